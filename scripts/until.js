'use strict';

const { setTimeout: sleep } = require('node:timers/promises');

/**
 * Waits until `condition` (which may be async) gives something truthy, and resolves with it. What the
 * condition throws counts as "not yet". Rejects after `timeout` milliseconds, with the last error or
 * value seen.
 *
 * @template T
 * @param {() => T | Promise<T>} condition
 * @param {{timeout?: number, interval?: number, what?: string}} [options] `what` names the condition
 *   in the error.
 * @returns {Promise<NonNullable<T>>}
 */
async function until(condition, { timeout = 5000, interval = 5, what = String(condition) } = {}) {
  const deadline = performance.now() + timeout;
  for (;;) {
    let value;
    let error;
    try {
      value = await condition();
      if (value) return value;
    } catch (thrown) {
      error = thrown;
    }
    if (performance.now() >= deadline) {
      const last = error ? `it threw: ${error.message}` : `it gave ${String(value)}`;
      throw new Error(`not within ${timeout} ms: ${what} (at last ${last})`, { cause: error });
    }
    await sleep(interval);
  }
}

module.exports = { until };
