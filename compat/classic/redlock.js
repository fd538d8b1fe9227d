'use strict';

/** Makes the class that one of the classic majors exports, from its row in compat/classic/profiles.js. */

const { EventEmitter } = require('node:events');

const { settle, call } = require('../../lib/native/calls');
const { LockError: BaseError, show, wrongType } = require('../../lib/errors');
const { bare } = require('../../lib/foreign');
const { Locker } = require('../../lib/locker');
const { requireLocker } = require('../../lib/locker-registry');
const { random } = require('../../lib/retry');
const { findBluebird, hasDisposers } = require('../../lib/promises');
const { LOCK_SCRIPTS, describe } = require('../../lib/scripts');
const { makeLockClass } = require('./lock');

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

/** A class of its own, so that an error is known for this entry's; it is our LockError all the same. */
function makeLockError() {
  class LockError extends BaseError {
    /**
     * @param {string} [message]
     * @param {number} [attempts]
     * @param {import('../../lib/errors').Failure} [failure]
     */
    constructor(message, attempts, failure) {
      super(message, attempts, failure);
      // Own and enumerable, as redlock's are: whoever logs errors as JSON has them there.
      this.name = 'LockError';
      Object.defineProperty(this, 'message', bare({ enumerable: true }));
    }
  }
  return LockError;
}

/**
 * @param {any} LockError
 * @param {any} error why nothing was asked for
 */
function refusal(LockError, error) {
  return new LockError(error.message, 0, { code: error.code, resource: [], votes: [], cause: error });
}

/**
 * In some majors a script of the caller's is carried out if it answers something, as JavaScript sees it, and not only the
 * number of keys.
 *
 * @param {import('../../lib/native').Scripts} custom
 */
function countTruth(custom) {
  const { acquire, extend } = custom;
  return { ...custom, acquire: acquire && truthOf(acquire), extend: extend && truthOf(extend) };
}

/** @param {string} text */
function truthOf(text) {
  return `local reply = (function(...)
${text}
end)()
if type(reply) == 'table' and reply.err then return reply end
if not reply or reply == 0 or reply == '' then return 0 end
return #KEYS`;
}

/**
 * The properties `lockScript` and so on are the texts in `scripts`, whichever is set.
 *
 * @param {any} redlock
 */
function tieScripts(redlock) {
  for (const name of LOCK_SCRIPTS.names) {
    const tied = bare({
      get: () => redlock.scripts[name].value,
      set: (/** @type {string} */ text) => {
        redlock.scripts[name] = describe(text);
      },
      enumerable: true,
      configurable: true,
    });
    Object.defineProperty(redlock, name, tied);
  }
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
