'use strict';

/**
 * `node bench/holding.js [seconds]`: what it costs JavaScript to hold many locks that are extended by
 * themselves. The event loop's utilisation of one process, over URLs, without locks and with them.
 */

const { performance } = require('node:perf_hooks');
const { setTimeout: sleep } = require('node:timers/promises');

const Redlock = require('..');
const { startServers } = require('../scripts/servers');

const LOCKS = 10_000;
const TTL = 30_000;
/** How many are asked for at once, so that nothing has to wait for long. */
const AT_ONCE = 100;

async function main() {
  const seconds = Number(process.argv[2] ?? 60);
  if (!(seconds > 0)) throw new Error('usage: node bench/holding.js [seconds]');
  const servers = await startServers(3);
  const redlock = new Redlock(servers.map(({ url }) => url));
  try {
    await (await redlock.lock('warm up', TTL)).unlock();
    const without = await measure(seconds);
    const locks = await take(redlock);
    const before = await extensionsOf(servers);
    const withLocks = await measure(seconds);
    const extensions = (await extensionsOf(servers)) - before;
    const held = locks.filter((lock) => lock.held).length;
    console.log(`${seconds} s each, ${LOCKS} locks with a ttl of ${TTL} ms on ${servers.length} servers`);
    console.log(`held at the end: ${held}; scripts run at the servers meanwhile: ${extensions}`);
    console.log(`event-loop utilisation without: ${percent(without)}, with: ${percent(withLocks)}`);
    console.log(`difference: ${((withLocks - without) * 100).toFixed(3)} points`);
    await redlock.quit();
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
}

/** @param {Redlock} redlock */
async function take(redlock) {
  const locks = [];
  while (locks.length < LOCKS) {
    const names = Array.from({ length: AT_ONCE }, (_, at) => `holding ${locks.length + at}`);
    locks.push(...(await Promise.all(names.map((name) => redlock.lock(name, TTL, { autoExtend: true })))));
  }
  return locks;
}

/** @param {number} seconds */
async function measure(seconds) {
  const before = performance.eventLoopUtilization();
  await sleep(seconds * 1000);
  return performance.eventLoopUtilization(before).utilization;
}

async function extensionsOf(servers) {
  const stats = await Promise.all(servers.map((server) => server.info('commandstats')));
  const calls = stats.map(({ cmdstat_evalsha: found }) => Number(/calls=(\d+)/.exec(found ?? '')?.[1] ?? 0));
  return calls.reduce((sum, one) => sum + one, 0);
}

/** @param {number} share */
function percent(share) {
  return `${(share * 100).toFixed(3)} %`;
}

main();
