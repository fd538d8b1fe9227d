'use strict';

/**
 * A lock that was acquired, or one that is rebuilt from stored values in another process. What one
 * needs to release it are its plain properties; nothing native hangs on it.
 *
 * @typedef {import('./redlock').Redlock} Redlock
 */

const { settle } = require('./callback');
const { wrongType } = require('./errors');
const { lockers } = require('./lockers');
const { Term, remainingOf, spanOf } = require('./term');

class Lock extends Term {
  /** @type {Redlock | undefined} */
  #redlock;

  /**
   * @param {Redlock | undefined} redlock
   * @param {string | readonly string[]} resource
   * @param {string} value
   * @param {number} expiration
   * @param {number} [attempts]
   * @param {number} [attemptsRemaining]
   */
  constructor(redlock, resource, value, expiration, attempts = 0, attemptsRemaining = 0) {
    super();
    if (disposal !== Symbol.asyncDispose) makeDisposable();
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

  /**
   * Has it extended in the engine's own thread, for as long as this object lives.
   *
   * @param {object} [options]
   */
  autoExtend(options) {
    return this.#locker().autoExtend(this, options);
  }

  /** Has it end when its validity does, which is no loss. */
  stopExtending() {
    return this.#locker().stopExtending(this);
  }

  /** Is aborted when the lock is lost, with the reason; not when it is released. */
  get signal() {
    return this.#locker().watch(this).signal;
  }

  /** For how long it may still be believed in, in ms, on the engine's clock. */
  remaining() {
    const { redlock } = this;
    return redlock && lockers.get(redlock)?.hasParted ? 0 : remainingOf(this);
  }

  /** Whether it may be believed in now. */
  get held() {
    return this.remaining() > 0;
  }

  #locker() {
    const { redlock } = this;
    const locker = redlock && lockers.get(redlock);
    if (locker) return locker;
    throw wrongType('LOCK', 'this lock has no redlock');
  }

  toJSON() {
    const { resource, value, expiration, attempts, attemptsRemaining } = this;
    const ttl = spanOf(this);
    const stored = { resource, value, expiration, attempts, attemptsRemaining };
    return ttl === undefined ? stored : { ...stored, ttl };
  }
}

/** What `await using` calls; a polyfill may bring it at any time. @type {symbol | undefined} */
let disposal;

function makeDisposable() {
  disposal = Symbol.asyncDispose;
  if (disposal === undefined) return;
  Object.defineProperty(Lock.prototype, disposal, {
    configurable: true,
    writable: true,
    /** @this {Lock} */
    value() {
      const locker = this.redlock && lockers.get(this.redlock);
      return locker ? locker.letGo(this) : orphaned();
    },
  });
}

makeDisposable();

/** Where there is nothing to ask. */
async function orphaned() {
  throw wrongType('LOCK', 'this lock has no redlock: use redlock.unlock(lock) or redlock.extend(lock, ttl)');
}

module.exports = { Lock };
