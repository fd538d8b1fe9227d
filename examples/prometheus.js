// Shows a Prometheus endpoint made of `redlock.stats()` and `redlock.connections`: the engine counts, and is asked when
// Prometheus asks. It stays until it is told to end.
// Run it: node examples/run.js prometheus, and look at http://localhost:9464/metrics, or at another PORT

const { once } = require('node:events');
const http = require('node:http');
const Redlock = require('redlock-native');

const urls = (process.env.REDIS_URLS ?? 'redis://localhost:6379').split(',');

async function metrics(redlock) {
  const { acquires, extensions, held, holds, instances, lost, waiting } = await redlock.stats();
  return [
    ...histogram('redlock_acquire_duration_seconds', by('outcome', acquires), ({ duration }) => duration),
    ...histogram('redlock_hold_duration_seconds', by('outcome', holds)),
    ...histogram('redlock_extension_slack_seconds', [[{}, extensions.slack]]),
    ...metric('redlock_extension_failures_total', 'counter', [[{}, extensions.failed]]),
    ...metric('redlock_endangered_total', 'counter', [[{}, extensions.endangered]]),
    ...metric('redlock_lost_total', 'counter', by('error_type', lost)),
    ...metric('redlock_held', 'gauge', [[{}, held]]),
    ...metric('redlock_waiting', 'gauge', [[{}, waiting]]),
    ...histogram('redlock_instance_duration_seconds', of(instances), ({ duration }) => duration),
    ...metric('redlock_instance_votes_total', 'counter', of(instances, 'vote', 'votes')),
    ...metric('redlock_instance_failures_total', 'counter', of(instances, 'error_type', 'failures')),
    ...metric('redlock_instance_up', 'gauge', of(redlock.connections), ({ state }) =>
      Number(state !== 'down'),
    ),
  ].join('\n');
}

// Each thing with its labels: what is counted by name, and the instances, or what is counted by name of each.
function by(label, things, labels = {}) {
  return Object.entries(things).map(([name, thing]) => [{ ...labels, [label]: name }, thing]);
}

function of(instances, label, key) {
  return instances.flatMap((instance) => {
    const labels = { address: instance.address };
    return label ? by(label, instance[key], labels) : [[labels, instance]];
  });
}

function metric(name, type, things, numberOf = (thing) => thing) {
  return [
    `# TYPE ${name} ${type}`,
    ...things.map(([labels, thing]) => sample(name, labels, numberOf(thing))),
  ];
}

function histogram(name, things, histogramOf = (thing) => thing) {
  const samples = things.flatMap(([labels, thing]) => {
    const { buckets, sum, count } = histogramOf(thing);
    // Every fourth bucket is exact enough, and the last must be there.
    const shown = buckets.filter((_, at) => at % 4 === 3 || at === buckets.length - 1);
    return [
      ...shown.map(({ le, count: below }) =>
        sample(`${name}_bucket`, { ...labels, le: le === Infinity ? '+Inf' : le }, below),
      ),
      sample(`${name}_sum`, labels, sum),
      sample(`${name}_count`, labels, count),
    ];
  });
  return [`# TYPE ${name} histogram`, ...samples];
}

function sample(name, labels, value) {
  const said = Object.entries(labels).map(([label, text]) => `${label}=${JSON.stringify(String(text))}`);
  return `${name}{${said}} ${value}`;
}

async function main() {
  const redlock = new Redlock(urls);
  const server = http.createServer((_request, response) => {
    metrics(redlock).then(
      (text) => response.setHeader('Content-Type', 'text/plain; version=0.0.4').end(`${text}\n`),
      (error) => response.writeHead(503).end(error.message),
    );
  });
  await once(server.listen(process.env.PORT ?? 9464), 'listening');
  // A server that hangs while nothing is asked of it is seen when it is asked.
  const probe = setInterval(() => redlock.inspect('health').catch(() => {}), 10_000);

  await redlock.using('report:7', 5000, () => console.log('made the report'));
  console.log(`http://localhost:${server.address().port}/metrics`);

  await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
  clearInterval(probe);
  server.closeAllConnections();
  server.close();
  await redlock.quit();
}

main();
