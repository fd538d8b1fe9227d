'use strict';

const { setTimeout: sleep } = require('node:timers/promises');
const { getHeapStatistics } = require('node:v8');

const { nextName } = require('./names');

const TTL = 10_000;

/** For so many seconds memory may grow: what is lost to a hung server is still being found out. */
const SETTLED = 5;

/**
 * Keeps `c` cycles under way for `seconds`, and waits for none that is under way then: what they ask may hang. Says how
 * many ended well and how many didn't, and how resident memory grew, in bytes: in the first 5 s, and from then on
 * (`null` where it was over by then).
 *
 * @param {import('../contenders').Opened} contender
 * @param {{c: number, seconds: number}} told
 */
async function measure({ lock, unlock }, { c, seconds }) {
  let cycles = 0;
  let failed = 0;
  let isOver = false;

  async function worker() {
    while (!isOver) {
      try {
        await unlock(await lock(nextName(), TTL));
        cycles += 1;
      } catch {
        failed += 1;
        await sleep(1);
      }
    }
  }
  const before = memory();
  const start = performance.now();
  for (let at = 0; at < c; at += 1) worker();
  await sleep(Math.min(seconds, SETTLED) * 1000);
  const settled = memory();
  await sleep(Math.max(0, seconds - SETTLED) * 1000);
  const elapsed = performance.now() - start;
  isOver = true;
  return {
    cycles,
    failed,
    cyclesPerSecond: cycles / (elapsed / 1000),
    growth: settled - before,
    growthAfter: seconds > SETTLED ? memory() - settled : null,
  };
}

/**
 * Resident, but for what JavaScript's heap has not collected yet or keeps free for itself: of what that has reserved, only
 * what was touched is resident.
 */
function memory() {
  globalThis.gc();
  const heap = getHeapStatistics();
  return process.memoryUsage.rss() - heap.total_physical_size + heap.used_heap_size;
}

module.exports = { measure };
