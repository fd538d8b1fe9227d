'use strict';

const { setTimeout: sleep } = require('node:timers/promises');

const { cpu } = require('../cpu');
const { percentile } = require('../statistics');
const { nextName } = require('./names');

const TTL = 10_000;

/** How many cycles of each that are under way are waited for, and for how many times as long as was asked. */
const FEW = 4;
const MOST_WINDOWS = 100;

// Enough for ten seconds of the fastest; beyond it, the oldest are overwritten.
const LATENCIES = new Float64Array(1 << 21);

/**
 * Keeps `c` cycles under way, each on a resource of its own; measures for `seconds` after `warmUp` of them. Per-cycle
 * figures are in microseconds, memory in bytes.
 *
 * @param {import('../contenders').Opened} contender
 * @param {{c: number, warmUp: number, seconds: number}} told
 */
async function measure({ lock, unlock }, { c, warmUp, seconds }) {
  let cycles = 0;
  let failed = 0;
  let firstError = null;
  let isOver = false;

  async function worker() {
    let from = performance.now();
    while (!isOver) {
      try {
        await unlock(await lock(nextName(), TTL));
        const to = performance.now();
        LATENCIES[cycles % LATENCIES.length] = to - from;
        cycles += 1;
        from = to;
      } catch (error) {
        failed += 1;
        firstError ??= String(error.message);
        await sleep(1);
        from = performance.now();
      }
    }
  }
  const workers = Promise.all(Array.from({ length: c }, worker));
  await sleep(warmUp * 1000);
  const cyclesInWarmUp = cycles;
  cycles = 0;
  const before = cpu();
  const start = performance.now();
  // Longer where not even a few of each come to their end in that time, since they may all end together.
  for (let waited = 0; waited === 0 || (waited < MOST_WINDOWS && cycles < FEW * c); waited += 1) {
    await sleep(seconds * 1000);
  }
  const elapsed = performance.now() - start;
  const after = cpu();
  const counted = cycles;
  const latencies = LATENCIES.slice(0, Math.min(counted, LATENCIES.length)).sort();
  isOver = true;
  await workers;
  return {
    cycles: counted,
    cyclesInAll: cyclesInWarmUp + cycles,
    failed,
    firstError,
    cyclesPerSecond: counted / (elapsed / 1000),
    p50: percentile(latencies, 0.5) * 1000,
    p99: percentile(latencies, 0.99) * 1000,
    jsCpu: before.js === null ? null : (after.js - before.js) / counted,
    processCpu: (after.process - before.process) / counted,
    memory: process.memoryUsage.rss(),
  };
}

module.exports = { measure };
