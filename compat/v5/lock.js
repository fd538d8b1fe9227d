'use strict';

/**
 * redlock 5's Lock: one that was acquired or extended, or one that is rebuilt from stored values.
 *
 * @typedef {import('./redlock').Redlock} Redlock
 * @typedef {import('./attempts').Stats} Stats
 * @typedef {import('../../lib/native').Answer} Answer
 */

const { bare } = require('../../lib/foreign');
const { Term, stamp } = require('../../lib/term');

class Lock extends Term {
  /**
   * @param {Redlock} redlock
   * @param {string[]} resources
   * @param {string} value
   * @param {readonly Promise<Stats>[]} attempts
   * @param {number} expiration
   */
  constructor(redlock, resources, value, attempts, expiration) {
    super();
    /** @type {Redlock} */
    this.redlock = redlock;
    // Printing or serialising a lock must not lead to its clients.
    Object.defineProperty(this, 'redlock', bare({ enumerable: false }));
    this.resources = resources;
    this.value = value;
    this.attempts = attempts;
    this.expiration = expiration;
  }

  async release() {
    return this.redlock.release(this);
  }

  /** @param {number} duration */
  async extend(duration) {
    return this.redlock.extend(this, duration);
  }
}

/**
 * A lock as the engine gave it.
 *
 * @param {Redlock} redlock
 * @param {string[]} resources
 * @param {string} value
 * @param {number} since it can't have been held before, on the engine's clock
 * @param {number} duration
 * @param {Promise<Stats>[]} attempts
 * @param {Answer} answer
 */
function granted(redlock, resources, value, since, duration, attempts, answer) {
  const lock = /** @type {any} */ (new Lock(redlock, resources, value, attempts, answer.expiration));
  answer.since = since;
  stamp(lock, answer, duration, undefined);
  return /** @type {Lock} */ (lock);
}

module.exports = { Lock, granted };
