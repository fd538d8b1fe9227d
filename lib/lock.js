'use strict';

/**
 * A lock that was acquired, or one that is rebuilt from stored values in another process. Its plain properties are all that
 * is needed to release it; it holds nothing native.
 *
 * @typedef {(error: Error | null, lock?: Lock) => void} LockCallback
 */

const { settle } = require('./native/calls');
const { wrongType } = require('./errors');
const { ownableLocks } = require('./lock-owner');
const { attachState, stateOf } = require('./lock-state');
const { lockerOf } = require('./locker-registry');
const { printWithoutValue } = require('./printed');
const { clock } = require('./addon');

/** A lock's properties. One class for all locks, and one for each Redlock's (lock-owner.js). */
function makeBase() {
  return class {
    /**
     * @param {any} redlock
     * @param {string | readonly string[]} resource
     * @param {string} value
     * @param {number} expiration
     * @param {number} [attempts]
     * @param {number} [attemptsRemaining]
     */
    constructor(redlock, resource, value, expiration, attempts = 0, attemptsRemaining = 0) {
      disposableLock();
      setOwner(this, redlock, new.target);
      this.resource = /** @type {string[]} */ (Array.isArray(resource) ? resource : [resource]);
      this.value = value;
      this.expiration = expiration;
      this.attempts = attempts;
      this.attemptsRemaining = attemptsRemaining;
      attachState(this, resource, value);
    }
  };
}

class Lock extends makeBase() {
  /** @param {(error: Error | null) => void} [callback] */
  unlock(callback) {
    const redlock = redlockOf(this);
    return redlock ? redlock.unlock(this, callback) : settle(orphaned(), callback);
  }

  /** @param {(error: Error | null) => void} [callback] */
  release(callback) {
    return this.unlock(callback);
  }

  /**
   * @param {number} ttl
   * @param {import('./options').CallOptions | LockCallback} [options]
   * @param {LockCallback} [callback]
   */
  extend(ttl, options, callback) {
    const redlock = redlockOf(this);
    if (redlock) return redlock.extend(this, ttl, options, callback);
    return settle(orphaned(), typeof options === 'function' ? options : callback);
  }

  /**
   * Has it extended on the engine's own thread, for as long as this object lives.
   *
   * @param {object} [options]
   */
  autoExtend(options) {
    return lockerFor(this).autoExtend(redlockOf(this), this, options);
  }

  /** Extends it no more: it ends when its validity does, which is no loss. */
  stopExtending() {
    return lockerFor(this).stopExtending(this);
  }

  /** Aborted when the lock is lost, with the reason; not when it is released. */
  get signal() {
    return lockerFor(this).watch(this).signal;
  }

  /** For how long it may still be believed in, in ms, on the engine's clock. */
  remaining() {
    return lockerOf(redlockOf(this))?.hasUnlockedAll ? 0 : remainingOf(this);
  }

  /** Whether it may be believed in now. */
  get held() {
    return this.remaining() > 0;
  }

  toJSON() {
    const { resource, value, expiration, attempts, attemptsRemaining } = this;
    const ttl = stateOf(this, keysOf(this)).requestedTtl;
    const stored = { resource, value, expiration, attempts, attemptsRemaining };
    return ttl === undefined ? stored : { ...stored, ttl };
  }
}

/** @param {Lock} lock */
function lockerFor(lock) {
  const locker = lockerOf(redlockOf(lock));
  if (locker) return locker;
  throw wrongType('LOCK', 'this lock has no redlock');
}

/** @param {Lock} lock */
function keysOf({ resource, value }) {
  return { names: Array.isArray(resource) ? resource : [resource], value };
}

/** @param {Lock} lock */
function remainingOf(lock) {
  const { expiration } = lock;
  const state = stateOf(lock, keysOf(lock));
  const { watchdog } = state;
  const until = watchdog ? watchdog.until : typeof expiration === 'number' ? state.validUntil(expiration) : 0;
  return until === undefined ? Number.POSITIVE_INFINITY : Math.max(0, until - clock());
}

const { classOf, setOwner } = ownableLocks(/** @type {any} */ (Lock), makeBase);

/**
 * By the accessor that its prototype has.
 *
 * @param {any} lock
 * @returns {any} undefined where it has none
 */
function redlockOf(lock) {
  return lock.redlock;
}

printWithoutValue(Lock);

const disposableLock = disposable(Lock, (lock) => {
  const locker = lockerOf(redlockOf(lock));
  return locker ? locker.unlockQuietly(redlockOf(lock), lock) : orphaned();
});

/**
 * Gives a class what `await using` calls. Not every Node.js has the symbol, and a polyfill may bring it at any time.
 *
 * @template T
 * @param {{prototype: T}} type
 * @param {(object: T) => Promise<void>} dispose
 * @returns {() => void} to be called whenever an object is made
 */
function disposable(type, dispose) {
  /** @type {symbol | undefined} */
  let known;
  const provide = () => {
    if (known === Symbol.asyncDispose) return;
    known = Symbol.asyncDispose;
    if (known === undefined) return;
    Object.defineProperty(type.prototype, known, {
      configurable: true,
      writable: true,
      /** @this {T} */
      value() {
        return dispose(this);
      },
    });
  };
  provide();
  return provide;
}

/** Where there is nothing to ask. */
async function orphaned() {
  throw wrongType('LOCK', 'this lock has no redlock: use redlock.unlock(lock) or redlock.extend(lock, ttl)');
}

module.exports = { Lock, lockClassOf: classOf, disposable };
