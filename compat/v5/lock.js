'use strict';

/**
 * redlock 5's Lock: one that was acquired or extended, or one that is rebuilt from stored values.
 *
 * @typedef {import('./redlock').Redlock} Redlock
 * @typedef {import('./attempts').Stats} Stats
 * @typedef {import('../../lib/native').Answer} Answer
 */

/**
 * A lock as the engine gave it.
 *
 * @type {(redlock: Redlock, resources: string[], value: string, since: number, attempts: Promise<Stats>[], answer: Answer) => Lock}
 */
let granted;

/**
 * Takes over what the answer to an extension that failed says of the validity.
 *
 * @type {(lock: Lock, answer: Answer) => void}
 */
let believe;

/**
 * When the lock's validity ends, on the engine's clock; undefined if its `expiration` decides.
 *
 * @type {(lock: Lock) => number | undefined}
 */
let deadlineOf;

/**
 * Since when it may have been held, on the engine's clock; 0 if that isn't known.
 *
 * @type {(lock: Lock) => number}
 */
let heldSince;

class Lock {
  // As in lib/lock.js: the engine's times decide as long as nobody has changed `expiration`.
  /** The `expiration` that was given; NaN, which equals nothing, if the engine knows nothing of it. */
  #given = Number.NaN;
  /** Until when it may be believed in, on the engine's clock. */
  #until = 0;
  /** Since when it may have been held, on the engine's clock; 0 = unknown. */
  #since = 0;

  /**
   * @param {Redlock} redlock
   * @param {string[]} resources
   * @param {string} value
   * @param {readonly Promise<Stats>[]} attempts
   * @param {number} expiration
   */
  constructor(redlock, resources, value, attempts, expiration) {
    /** @type {Redlock} */
    this.redlock = redlock;
    // Printing or serialising a lock must not lead to its clients.
    Object.defineProperty(this, 'redlock', { enumerable: false });
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

  static {
    granted = (redlock, resources, value, since, attempts, { expiration, until }) => {
      const lock = new Lock(redlock, resources, value, attempts, expiration);
      lock.#given = expiration;
      lock.#until = until;
      lock.#since = since;
      return lock;
    };
    believe = (lock, { expiration, until }) => {
      lock.expiration = expiration;
      if (!(#until in lock)) return;
      lock.#given = expiration;
      lock.#until = until;
    };
    deadlineOf = (lock) => (#until in lock && lock.expiration === lock.#given ? lock.#until : undefined);
    heldSince = (lock) => (#since in lock ? lock.#since : 0);
  }
}

module.exports = { Lock, granted, believe, deadlineOf, heldSince };
