'use strict';

/** The locks of the classic majors, which differ in what they tell of attempts. */

const { attachState } = require('../../lib/lock-state');

/** @typedef {Function | undefined} Callback */

/** @param {import('./profiles').Classic} classic */
function makeLockClass({ lockKeys, callbacks }) {
  const countsAttempts = lockKeys.includes('attempts');
  const countsRemaining = lockKeys.includes('attemptsRemaining');

  return class Lock {
    /**
     * @param {any} redlock
     * @param {string | string[]} resource
     * @param {string} value
     * @param {number} expiration
     * @param {number} [attempts]
     * @param {number} [attemptsRemaining]
     */
    constructor(redlock, resource, value, expiration, attempts, attemptsRemaining) {
      this.redlock = redlock;
      this.resource = resource;
      this.value = value;
      this.expiration = expiration;
      if (countsAttempts) this.attempts = attempts;
      if (countsRemaining) this.attemptsRemaining = attemptsRemaining;
      attachState(this, resource, value);
    }

    /** @param {Callback} [callback] */
    unlock(callback) {
      return this.redlock.unlock(this, callbacks ? callback : undefined);
    }

    /**
     * @param {number} ttl
     * @param {Callback} [callback]
     */
    extend(ttl, callback) {
      return this.redlock.extend(this, ttl, callbacks ? callback : undefined);
    }

    /** Without its `redlock`, which leads to clients and their secrets, and in circles. */
    toJSON() {
      const { redlock: _, ...rest } = this;
      return rest;
    }
  };
}

module.exports = { makeLockClass };
