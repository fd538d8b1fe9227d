'use strict';

/**
 * A lock that was acquired, or one that is rebuilt from stored values in another process. What one
 * needs to release it are its plain properties; nothing native hangs on it.
 *
 * @typedef {import('./redlock').Redlock} Redlock
 * @typedef {import('./arguments').LockLike} LockLike
 * @typedef {import('./native').Answer} Answer
 */

const { wrongType } = require('./errors');
const { settle } = require('./callback');

/**
 * A lock as the engine gave it.
 *
 * @type {(redlock: Redlock, resource: string[], answer: Answer, attemptsRemaining: number) => Lock}
 */
let granted;

/**
 * Takes over what an extension's answer says of the validity.
 *
 * @type {(lock: LockLike, answer: Answer) => void}
 */
let believe;

/**
 * When the lock's validity ends, on the engine's clock; undefined if its `expiration` decides.
 *
 * @type {(lock: LockLike) => number | undefined}
 */
let deadlineOf;

/**
 * Since when it may have been held, on the engine's clock; 0 if that isn't known.
 *
 * @type {(lock: LockLike) => number}
 */
let heldSince;

class Lock {
  /** @type {Redlock | undefined} */
  #redlock;
  // The engine's own times decide as long as nobody has changed `expiration` meanwhile: the wall
  // clock may be set, the engine's may not.
  /** The `expiration` that was given; NaN, which equals nothing, if the engine knows nothing of it. */
  #given = Number.NaN;
  /** Until when it may be believed in, on the engine's clock. */
  #until = 0;
  /** Since when it may have been held, on the engine's clock; 0 = unknown. */
  #since = 0;

  /**
   * @param {Redlock | undefined} redlock
   * @param {string | readonly string[]} resource
   * @param {string} value
   * @param {number} expiration
   * @param {number} [attempts]
   * @param {number} [attemptsRemaining]
   */
  constructor(redlock, resource, value, expiration, attempts = 0, attemptsRemaining = 0) {
    this.#redlock = redlock;
    this.resource = /** @type {string[]} */ (Array.isArray(resource) ? resource : [resource]);
    this.value = value;
    this.expiration = expiration;
    this.attempts = attempts;
    this.attemptsRemaining = attemptsRemaining;
  }

  // An accessor on the prototype: printing or serialising a lock must not lead to its Redlock.
  get redlock() {
    /** @type {any} */
    let lock = this;
    // What Object.create made of a lock has the lock's.
    while (lock !== null && !(#redlock in lock)) lock = Object.getPrototypeOf(lock);
    return /** @type {Redlock | undefined} */ (lock === null ? undefined : lock.#redlock);
  }

  set redlock(redlock) {
    if (#redlock in this) {
      this.#redlock = redlock;
    } else {
      Object.defineProperty(this, 'redlock', { value: redlock, writable: true, configurable: true });
    }
  }

  /** @param {(error: Error | null) => void} [callback] */
  unlock(callback) {
    const { redlock } = this;
    return redlock ? redlock.unlock(this, callback) : settle(orphaned(), callback);
  }

  /** @param {(error: Error | null) => void} [callback] */
  release(callback) {
    return this.unlock(callback);
  }

  /**
   * @param {number} ttl
   * @param {import('./redlock').CallOptions | import('./redlock').LockCallback} [options]
   * @param {import('./redlock').LockCallback} [callback]
   */
  extend(ttl, options, callback) {
    const { redlock } = this;
    if (redlock) return redlock.extend(this, ttl, options, callback);
    return settle(orphaned(), typeof options === 'function' ? options : callback);
  }

  toJSON() {
    const { resource, value, expiration, attempts, attemptsRemaining } = this;
    return { resource, value, expiration, attempts, attemptsRemaining };
  }

  static {
    granted = (redlock, resource, answer, attemptsRemaining) => {
      const { value, expiration, attempts } = answer;
      const lock = new Lock(redlock, resource, value, expiration, attempts, attemptsRemaining);
      lock.#given = expiration;
      lock.#until = answer.until;
      lock.#since = answer.since;
      return lock;
    };
    believe = (lock, answer) => {
      lock.expiration = answer.expiration;
      if (#until in lock) {
        lock.#given = answer.expiration;
        lock.#until = answer.until;
      }
    };
    deadlineOf = (lock) => (#until in lock && lock.expiration === lock.#given ? lock.#until : undefined);
    heldSince = (lock) => (#since in lock ? lock.#since : 0);
  }
}

/** Where there is nothing to ask. */
async function orphaned() {
  throw wrongType('LOCK', 'this lock has no redlock: use redlock.unlock(lock) or redlock.extend(lock, ttl)');
}

module.exports = { Lock, granted, believe, deadlineOf, heldSince };
