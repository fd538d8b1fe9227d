'use strict';

/**
 * The errors of callers' clients, by number: they go through native as a number and a text, and come out as
 * the same objects. Only the newest are kept; of an older one its text is left.
 */

const { isArray } = require('../foreign');
const { read } = require('./inspect-object');

const MOST_ERRORS = 4096;

/** @type {Map<number, unknown>} */
const errors = new Map();
let lastNumber = 0;

/**
 * @param {unknown} error
 * @returns {number} to look it up with
 */
function register(error) {
  hideArguments(error);
  lastNumber = (lastNumber + 1) % 2 ** 32;
  errors.set(lastNumber, error);
  if (errors.size > MOST_ERRORS) errors.delete(/** @type {number} */ (errors.keys().next().value));
  return lastNumber;
}

/**
 * Libraries put the command into its error, with all of its arguments: the lock's value is one, and who knows that can unlock.
 *
 * @param {unknown} error
 */
function hideArguments(error) {
  for (const holder of [error, read(error, 'command')]) {
    try {
      if (isArray(read(holder, 'args'))) Reflect.set(Object(holder), 'args', []);
    } catch {
      // It lets nobody change it.
    }
  }
}

/** @param {number | undefined} number */
function lookup(number) {
  return number === undefined ? undefined : errors.get(number);
}

module.exports = { register, lookup };
