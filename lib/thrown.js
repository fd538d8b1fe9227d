'use strict';

/**
 * The errors of callers' clients, by number: they go through native as a number and a text, and come out as
 * the same objects. Only the newest are kept; of an older one its text is left.
 */

const MOST = 4096;

/** @type {Map<number, unknown>} */
const errors = new Map();
let last = 0;

/**
 * @param {unknown} error
 * @returns {number}
 */
function remember(error) {
  last = (last + 1) % 2 ** 32;
  errors.set(last, error);
  if (errors.size > MOST) errors.delete(/** @type {number} */ (errors.keys().next().value));
  return last;
}

/** @param {number | undefined} number */
function recall(number) {
  return number === undefined ? undefined : errors.get(number);
}

module.exports = { remember, recall };
