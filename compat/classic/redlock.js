'use strict';

/** Makes the class that one of the classic majors exports, from its row in compat/classic/profiles.js. */

const { EventEmitter } = require('node:events');

const { settle, call } = require('../../lib/native/calls');
const { show, wrongType } = require('../../lib/errors');
const { Locker } = require('../../lib/locker');
const { requireLocker } = require('../../lib/locker-registry');
const { random } = require('../../lib/retry');
const { findBluebird, hasDisposers } = require('../../lib/promises');
const { makeLockError, refusal } = require('./errors');
const { makeLockClass } = require('./lock');
const { countTruth, tieScripts } = require('./scripts');

/**
 * @typedef {import('./profiles').Classic} Classic
 * @typedef {Function | undefined} Callback
 */

/**
 * @param {Classic} classic
 * @returns {any} the class
 */
function classicRedlock(classic) {
  const library = classic.promises === 'bluebird' ? requireBluebird(classic.entry) : Promise;
  const LockError = makeLockError();
  const Lock = makeLockClass(classic);
  const profile = profileOf(classic, Lock, LockError);
  const Base = /** @type {new () => object} */ (classic.emits ? EventEmitter : Object);

  class Redlock extends Base {
    /** @param {...any} args */
    constructor(...args) {
      super();
      const [instances, options] = classic.options === 'first' ? [args.slice(1), args[0]] : args;
      const given = classic.falsyIsDefault ? withoutFalsy(options) : options;
      const locker = new Locker(this, profile, instances, given);
      if (classic.promises === 'bluebird') locker.hearLate();
      if (classic.scripts === 'scripts') tieScripts(this);
    }

    /** How each instance is reached. No major has this property, nor another of its name. */
    get connections() {
      return requireLocker(this).connections;
    }

    /**
     * @param {unknown} resource
     * @param {unknown} ttl where `lockExtends`, perhaps the value to extend, the others being one further
     * @param {any} [callback]
     * @param {Callback} [last]
     */
    lock(resource, ttl, callback, last) {
      const isExtension = classic.lockExtends && last !== undefined;
      demand(isExtension ? last : callback);
      if (isExtension) {
        return answer(
          requireLocker(this).relock(this, resource, /** @type {string} */ (ttl), callback, undefined),
          last,
        );
      }
      return answer(requireLocker(this).lock(this, resource, ttl, undefined), callback);
    }

    /**
     * @param {unknown} resource
     * @param {unknown} ttl
     * @param {any} [options]
     * @param {Callback} [callback]
     */
    lockWithOptions(resource, ttl, options, callback) {
      return this._lock(resource, null, ttl, options, callback);
    }

    /**
     * @param {unknown} lock
     * @param {Callback} [callback]
     */
    unlock(lock, callback) {
      return confirm(requireLocker(this).unlock(this, lock), callback);
    }

    /**
     * @param {any} lock
     * @param {unknown} ttl
     * @param {Callback} [callback]
     */
    extend(lock, ttl, callback) {
      demand(callback);
      const locker = requireLocker(this);
      return answer(
        classic.extended === 'new'
          ? locker.extendAnew(this, lock, ttl)
          : locker.extend(this, lock, ttl, undefined),
        callback,
      );
    }

    /**
     * @param {unknown} resource
     * @param {string | null} value
     * @param {unknown} ttl
     * @param {any} [options] or the callback
     * @param {Callback} [callback]
     * @returns {any}
     */
    _lock(resource, value, ttl, options, callback) {
      if (typeof options === 'function') return this._lock(resource, value, ttl, undefined, options);
      const given = classic.callOptions ? options : undefined;
      const locker = requireLocker(this);
      const isNew = value === null || value === undefined;
      return answer(
        isNew ? locker.lock(this, resource, ttl, given) : locker.relock(this, resource, value, ttl, given),
        callback,
      );
    }

    /**
     * @param {unknown} resource
     * @param {unknown} ttl
     * @param {(error: Error) => unknown} [unlockErrorHandler]
     */
    disposer(resource, ttl, unlockErrorHandler) {
      const handler = typeof unlockErrorHandler === 'function' ? unlockErrorHandler : () => {};
      const lock = library.resolve(requireLocker(this).lock(this, resource, ttl, undefined));
      return lock.disposer((/** @type {any} */ held) => held.unlock().catch(handler));
    }

    /** @param {Callback} [callback] */
    quit(callback) {
      return answer(requireLocker(this).quit(), callback);
    }
  }

  /**
   * What a method returns, and what its callback is called with.
   *
   * @param {Promise<any>} promise
   * @param {unknown} callback
   */
  function answer(promise, callback) {
    const promised = classic.promises === 'none' ? promise : library.resolve(promise);
    settle(promised, classic.callbacks ? callback : undefined);
    return classic.promises === 'none' ? undefined : promised;
  }

  /**
   * The same for an unlock. Where there are only callbacks, that is called without arguments.
   *
   * @param {Promise<void>} promise
   * @param {unknown} callback
   */
  function confirm(promise, callback) {
    if (classic.promises !== 'none') return answer(promise, callback);
    const told = typeof callback === 'function' ? callback : rethrow;
    promise.then(
      () => call(told),
      (error) => call(told, error),
    );
    return undefined;
  }

  /**
   * Without promises and without a callback, the caller would never learn of the lock, or that there is none.
   *
   * @param {unknown} callback
   */
  function demand(callback) {
    if (classic.promises !== 'none' || typeof callback === 'function') return;
    throw refusal(LockError, wrongType('CALLBACK', `callback must be a function, not ${show(callback)}`));
  }

  const { prototype } = Redlock;
  define(prototype, { acquire: prototype.lock, release: prototype.unlock, _random: random });
  define(prototype, { acquireWithOptions: prototype.lockWithOptions });
  keepOnly(prototype, ['constructor', 'connections', ...classic.methods]);
  const statics = { Lock, LockError };
  for (const name of classic.statics) Object.assign(Redlock, { [name]: statics[name] });
  return Redlock;
}

/**
 * @param {Classic} classic
 * @param {any} Lock
 * @param {any} LockError
 * @returns {import('../../lib/profile').Profile}
 */
function profileOf(classic, Lock, LockError) {
  const { defaults, scripts, truthyReplies, locksSeveral, release, dialect } = classic;
  return {
    makeLock: (redlock, names, value, expiration, attempts, remaining) =>
      new Lock(redlock, locksSeveral ? names : names[0], value, expiration, attempts, remaining),
    LockError,
    refuse: (error) => (error instanceof LockError ? error : refusal(LockError, error)),
    defaults,
    // The originals don't warn.
    warn: () => {},
    scripts,
    adaptScripts: truthyReplies ? countTruth : undefined,
    isLenient: true,
    locksSeveral,
    release,
    dialect,
    hasAcquireOptions: false,
  };
}

/** @param {string} entry */
function requireBluebird(entry) {
  const bluebird = findBluebird();
  if (hasDisposers(bluebird)) return bluebird;
  const error = new Error(
    `${entry} returns bluebird's promises, and bluebird was not found: install it (npm install bluebird), ` +
      'or use redlock-native itself, whose promises are native',
  );
  throw Object.assign(error, { code: 'ERR_REDLOCK_NO_BLUEBIRD' });
}

/** @param {any} options */
function withoutFalsy(options) {
  return options && Object.fromEntries(Object.entries(options).filter(([, value]) => value));
}

/**
 * As a class's own methods are.
 *
 * @param {object} prototype
 * @param {Record<string, unknown>} methods
 */
function define(prototype, methods) {
  for (const [name, value] of Object.entries(methods)) {
    Object.defineProperty(prototype, name, { value, writable: true, configurable: true });
  }
}

/**
 * @param {any} prototype
 * @param {string[]} names
 */
function keepOnly(prototype, names) {
  for (const name of Object.getOwnPropertyNames(prototype)) {
    if (!names.includes(name)) delete prototype[name];
  }
}

/** @param {unknown} [error] */
function rethrow(error) {
  if (error) throw error;
}

module.exports = { classicRedlock };
