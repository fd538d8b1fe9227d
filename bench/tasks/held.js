'use strict';

const { setTimeout: sleep } = require('node:timers/promises');

const { nextName } = require('./names');

const TTL = 600_000;

/** How many are asked for at once. */
const AT_ONCE = 1000;

/** Cycles before, so that what only the first ones need is there. */
const WARM_UP = 2000;

/**
 * Takes `locks` locks and keeps them: what each costs, in bytes of JavaScript's heap and of resident memory.
 *
 * @param {import('../contenders').Opened} contender
 * @param {{locks: number}} told
 */
async function measure({ lock, unlock }, { locks }) {
  await inTurns(WARM_UP, async () => unlock(await lock(nextName(), TTL)));
  const before = await memory();
  const held = new Array(locks);
  await inTurns(locks, async (at) => {
    held[at] = await lock(nextName(), TTL);
  });
  const after = await memory();
  return {
    locks: held.length,
    heapPerLock: (after.heapUsed - before.heapUsed) / locks,
    residentPerLock: (after.rss - before.rss) / locks,
  };
}

async function inTurns(count, one) {
  let next = 0;
  async function worker() {
    while (next < count) {
      const at = next;
      next += 1;
      await one(at);
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

async function memory() {
  // What is freed by finalizers goes with the second.
  globalThis.gc();
  await sleep(200);
  globalThis.gc();
  return process.memoryUsage();
}

module.exports = { measure };
