'use strict';

/**
 * `_random`, which gives a lock's value where it is overridden. It is redlock's own, and people have put theirs in its
 * place.
 */

const { randomBytes } = require('node:crypto');

const { show, wrongType } = require('./errors');
const { disregard } = require('./promises');

/** What a face has as its `_random`. The engine makes values like these by itself. */
function random() {
  return randomBytes(16).toString('hex');
}

/**
 * A value of the caller's for one attempt.
 *
 * @param {any} face whose `_random` is overridden
 * @returns {string}
 */
function valueFrom(face) {
  const value = face._random();
  if (typeof value === 'string' && value !== '') return value;
  disregard(value);
  throw wrongType('OPTIONS', `_random() must return a non-empty string, not ${show(value)}`);
}

module.exports = { random, valueFrom };
