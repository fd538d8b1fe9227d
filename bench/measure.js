'use strict';

const { cpu } = require('./cpu');

// Enough for half a minute of the fastest; beyond it, the oldest are overwritten.
const LATENCIES = new Float64Array(1 << 21);

let resources = 0;

/**
 * Keeps `c` cycles under way for `seconds`, each on a resource of its own, then waits for the last
 * ones. Per-cycle figures are in microseconds.
 *
 * @param {(resource: string) => Promise<unknown>} cycle
 * @param {{c: number, seconds: number}} options
 */
async function measure(cycle, { c, seconds }) {
  let cycles = 0;

  const before = cpu();
  const start = performance.now();
  const end = start + seconds * 1000;

  async function worker() {
    let from = performance.now();
    while (from < end) {
      await cycle(`bench:${resources++}`);
      const to = performance.now();
      LATENCIES[cycles % LATENCIES.length] = to - from;
      cycles += 1;
      from = to;
    }
  }
  await Promise.all(Array.from({ length: c }, worker));

  const elapsed = performance.now() - start;
  const after = cpu();
  const latencies = LATENCIES.slice(0, Math.min(cycles, LATENCIES.length)).sort();
  return {
    cycles,
    cyclesPerSecond: cycles / (elapsed / 1000),
    p50: percentile(latencies, 0.5) * 1000,
    p99: percentile(latencies, 0.99) * 1000,
    jsCpu: before.js === null ? null : (after.js - before.js) / cycles,
    processCpu: (after.process - before.process) / cycles,
  };
}

function percentile(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

module.exports = { measure };
