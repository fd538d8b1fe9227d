'use strict';

/**
 * One process of those that contend for the same resources: `node contender.js <kind> <number>`, with the
 * servers' URLs in URLS and the resources in RESOURCES. It says that it is ready, waits for its stdin to end,
 * acquires that often, and prints for each the resource, when it began to hold it and when it was about to
 * release it, in ns on the clock that all processes share.
 */

const { once } = require('node:events');
const { setTimeout: sleep } = require('node:timers/promises');

const Redis = require('ioredis');

const TTL = 20_000;
/** How many a process holds or waits for at a time. */
const AT_ONCE = 4;

const OPTIONS = { retryCount: 1_000_000, retryDelay: 4, retryJitter: 4 };

/** Each kind's way to hold a resource: resolves with what releases it. */
const KINDS = {
  'redlock-2': (clients) => byLock(new (require('redlock-2'))(clients, OPTIONS)),
  'redlock-3': (clients) => byLock(new (require('redlock-3'))(clients, OPTIONS)),
  'redlock-4': (clients) => byLock(new (require('redlock'))(clients, OPTIONS)),
  'redlock-5': (clients) => byAcquire(new (require('redlock-5').default)(clients, { retryCount: 0 })),
  main: (clients) => byLock(new (require('redlock-native'))(clients, OPTIONS)),
  v4: (clients) => byLock(new (require('redlock-native/v4'))(clients, OPTIONS)),
  /** Doesn't lock at all, to show that this is noticed. */
  nobody: () => async () => async () => {},
};

function byLock(redlock) {
  return async (resource) => {
    const lock = await redlock.lock(resource, TTL);
    return () => lock.unlock();
  };
}

/** redlock 5 stands in its own way when it retries by itself: the keys of one attempt vote against the next. */
function byAcquire(redlock) {
  redlock.on('error', () => {});
  return async (resource) => {
    for (;;) {
      try {
        const lock = await redlock.acquire([resource], TTL);
        return () => lock.release();
      } catch (error) {
        if (error.name !== 'ExecutionError') throw error;
        await sleep(8 * Math.random());
      }
    }
  };
}

async function main() {
  const [kind, number] = process.argv.slice(2);
  const resources = JSON.parse(process.env.RESOURCES ?? '[]');
  const clients = JSON.parse(process.env.URLS ?? '[]').map((url) => new Redis(url));
  await Promise.all(clients.map((client) => client.ping()));
  const hold = KINDS[kind](clients);
  console.log('ready');
  process.stdin.resume();
  await once(process.stdin, 'end');

  let left = Number(number);
  const held = [];
  const contend = async () => {
    while (left-- > 0) {
      const resource = resources[Math.floor(Math.random() * resources.length)];
      const release = await hold(resource);
      const from = process.hrtime.bigint();
      await sleep(Math.random());
      held.push(`${resource} ${from} ${process.hrtime.bigint()}`);
      await release();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, contend));
  process.stdout.write(held.map((line) => `${line}\n`).join(''), () => process.exit(0));
}

main();
