'use strict';

/**
 * What the engine has counted, as `redlock.stats()` shows it: histograms have the bounds of their buckets, and each bucket's
 * count has those of all before it, as Prometheus wants them.
 *
 * @typedef {import('./native/types').NativeStats} NativeStats
 * @typedef {import('./native/types').NativeHistogram} NativeHistogram
 */

/**
 * @param {NativeStats} counted
 * @param {readonly string[]} addresses by instance
 */
function toStats(counted, addresses) {
  const { bounds, acquires, holds, extensions, instances, waiting, held, lost, wakeups } = counted;
  const times = (/** @type {NativeHistogram} */ histogram) => cumulative(histogram, bounds.times);
  return {
    acquires: mapValues(acquires, ({ duration, attempts }) => ({
      duration: times(duration),
      attempts: cumulative(attempts, bounds.attempts),
    })),
    waiting,
    held,
    holds: mapValues(holds, times),
    lost,
    extensions: { ...extensions, slack: times(extensions.slack) },
    instances: instances.map(({ duration, votes, failures }, index) => ({
      address: addresses[index],
      duration: times(duration),
      votes,
      failures: Object.fromEntries(
        Object.entries(failures).map(([code, count]) => [`ERR_REDLOCK_${code}`, count]),
      ),
    })),
    wakeups,
  };
}

/**
 * @param {NativeHistogram} histogram
 * @param {readonly number[]} bounds
 */
function cumulative({ counts, sum }, bounds) {
  let count = 0;
  const buckets = [...bounds, Number.POSITIVE_INFINITY].map((le, at) => {
    count += counts[at] ?? 0;
    return { le, count };
  });
  return { count, sum, buckets };
}

/**
 * @template V, R
 * @param {Record<string, V>} object
 * @param {(value: V) => R} map
 * @returns {Record<string, R>}
 */
function mapValues(object, map) {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value)]));
}

module.exports = { toStats };
