'use strict';

/**
 * redlock 5's Lock: one that was acquired or extended, or one that is rebuilt from stored values.
 *
 * @typedef {import('./errors').Stats} Stats
 */

const { hideOwner, ownableLocks } = require('../../lib/lock-owner');
const { attachState, stateOf } = require('../../lib/lock-state');

/** A lock's properties. One class for all locks, and one for each Redlock's. */
function makeBase() {
  return class {
    /**
     * @param {any} redlock
     * @param {string[]} resources
     * @param {string} value
     * @param {readonly Promise<Stats>[]} attempts
     * @param {number} expiration
     */
    constructor(redlock, resources, value, attempts, expiration) {
      setOwner(this, redlock, new.target);
      // Its own too, as redlock 5's.
      hideOwner(this, redlock);
      this.resources = resources;
      this.value = value;
      this.attempts = attempts;
      this.expiration = expiration;
      attachState(this, resources, value);
    }
  };
}

class Lock extends makeBase() {
  async release() {
    const { redlock } = /** @type {any} */ (this);
    return redlock.release(this);
  }

  /** @param {number} duration */
  async extend(duration) {
    const { redlock } = /** @type {any} */ (this);
    return redlock.extend(this, duration);
  }
}

const { classOf, setOwner } = ownableLocks(/** @type {any} */ (Lock), makeBase);

/**
 * A lock as the engine gave it.
 *
 * @param {any} redlock
 * @param {string[]} resources
 * @param {string} value
 * @param {number} since it can't have been held before, on the engine's clock
 * @param {number} duration
 * @param {Promise<Stats>[]} attempts
 * @param {import('../../lib/native').Answer} answer
 */
function grantedLock(redlock, resources, value, since, duration, attempts, answer) {
  const Own = classOf(redlock);
  const lock = new Own(redlock, resources, value, attempts, answer.expiration);
  answer.since = since;
  stateOf(lock, { names: resources, value }).setGranted(answer, duration, undefined);
  return lock;
}

module.exports = { Lock, grantedLock };
