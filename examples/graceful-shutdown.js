// Shows what a process does on SIGTERM: it ends its work, gives its locks back, and the next one needn't wait for the ttl.
// Run it: node examples/run.js graceful-shutdown

const { fork } = require('node:child_process');
const { once } = require('node:events');
const { setTimeout: sleep } = require('node:timers/promises');
const Redlock = require('redlock-native');

const urls = (process.env.REDIS_URLS ?? 'redis://localhost:6379').split(',');
const TTL = 30_000;

async function worker() {
  const redlock = new Redlock(urls);
  const stopping = new AbortController();
  process.once('SIGTERM', () => stopping.abort());

  await redlock.using('inbox', TTL, async (lost) => {
    process.send('working');
    const signal = AbortSignal.any([lost, stopping.signal]);
    while (!signal.aborted) await readMessage();
    console.log(lost.aborted ? 'worker: the lock is lost' : 'worker: told to stop, has ended its message');
  });
  // `using` has released its own; what else is held is given back here.
  await redlock.quit({ unlock: true });
  process.disconnect();
}

function readMessage() {
  return sleep(50);
}

async function main() {
  const child = fork(__filename, ['worker']);
  await once(child, 'message');
  const redlock = new Redlock(urls, { retryCount: -1 });
  const start = performance.now();
  child.kill('SIGTERM');
  await redlock.using('inbox', TTL, () => {
    const waited = Math.round(performance.now() - start);
    console.log(`next: has the lock after ${waited} ms, of a ttl of ${TTL} ms`);
  });
  await redlock.quit();
}

if (process.argv[2] === 'worker') worker();
else main();
