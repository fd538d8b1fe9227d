'use strict';

/**
 * The middle one, or what is between the two; `null` if one of them is not known: who has completed no cycle has no figure
 * of one.
 *
 * @param {(number | null)[]} values
 */
function median(values) {
  if (values.length === 0 || !values.every(Number.isFinite)) return null;
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * @param {Float64Array} sorted
 * @param {number} share 0.5 is the median
 */
function percentile(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

module.exports = { median, percentile };
