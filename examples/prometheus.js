// Shows a Prometheus endpoint made of `redlock.stats()`: the engine counts, and is asked when Prometheus asks.
// Run it: node examples/run.js prometheus

const { once } = require('node:events');
const http = require('node:http');
const Redlock = require('redlock-native');

const urls = (process.env.REDIS_URLS ?? 'redis://localhost:6379').split(',');
const redlock = new Redlock(urls);

const labelled = (labels) => Object.entries(labels).map(([key, value]) => `${key}="${value}"`);

function histogram(name, labels, { buckets, sum, count }) {
  const own = labelled(labels);
  // Every fourth bucket is exact enough, and the last must be there.
  const shown = buckets.filter((_, at) => at % 4 === 3 || at === buckets.length - 1);
  const line = ({ le, count: below }) =>
    `${name}_bucket{${[...own, `le="${le === Infinity ? '+Inf' : le}"`]}} ${below}`;
  return [...shown.map(line), `${name}_sum{${own}} ${sum}`, `${name}_count{${own}} ${count}`];
}

async function metrics() {
  const { acquires, extensions, held, instances, lost, waiting } = await redlock.stats();
  return [
    ...Object.entries(acquires).flatMap(([outcome, { duration }]) =>
      histogram('redlock_acquire_seconds', { outcome }, duration),
    ),
    ...histogram('redlock_extension_slack_seconds', {}, extensions.slack),
    ...instances.flatMap(({ address: instance, duration, votes }) => [
      ...histogram('redlock_instance_seconds', { instance }, duration),
      ...Object.entries(votes).map(([vote, n]) => `redlock_votes{${labelled({ instance, vote })}} ${n}`),
    ]),
    ...Object.entries(lost).map(([code, n]) => `redlock_lost{${labelled({ code })}} ${n}`),
    `redlock_held ${held}`,
    `redlock_waiting ${waiting}`,
  ].join('\n');
}

async function main() {
  const server = http.createServer((_request, response) => {
    metrics().then(
      (text) => response.setHeader('Content-Type', 'text/plain; version=0.0.4').end(`${text}\n`),
      (error) => response.writeHead(503).end(error.message),
    );
  });
  await once(server.listen(0), 'listening');
  await redlock.using('report:7', 5000, async () => {
    console.log(await (await fetch(`http://localhost:${server.address().port}/metrics`)).text());
  });
  server.closeAllConnections();
  server.close();
  await redlock.quit();
}

main();
