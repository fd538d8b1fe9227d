'use strict';

/** The main class: redlock 4's, with native promises and more options. */

const { EventEmitter } = require('node:events');

const { readQuitOptions } = require('./acquire-options');
const { settle } = require('./native/calls');
const { isClient } = require('./clients');
const { readLock } = require('./arguments');
const { disposable, Lock, lockClassOf } = require('./lock');
const { LockError, InstanceError, ConnectionError, wrongType, show, warnOfIgnored } = require('./errors');
const { isArray, isUrl, pick } = require('./foreign');
const { enter, leave } = require('./in-use');
const { stateOf } = require('./lock-state');
const { Locker } = require('./locker');
const { lockerOf, requireLocker } = require('./locker-registry');
const { DEFAULTS } = require('./options');
const { random } = require('./retry');
const { withDisposers } = require('./promises');

/**
 * @typedef {import('./options').CallOptions} CallOptions
 * @typedef {import('./lock').LockCallback} LockCallback
 * @typedef {(error: Error | null) => void} UnlockCallback
 */

class Redlock extends EventEmitter {
  /** What the methods return promises of; bluebird, for those who need its methods. @type {any} */
  static Promise = Promise;

  /**
   * @param {unknown} instances
   * @param {unknown} [options]
   * @param {...unknown} more
   */
  constructor(instances, options, ...more) {
    super();
    disposableRedlock();
    if (isOldest(instances, options)) new Locker(this, PROFILE, [options, ...more], instances);
    else new Locker(this, PROFILE, instances, options);
  }

  /** The members of the quorum: clients as they were passed; the others by address, as they have passwords. */
  get servers() {
    return requireLocker(this).listed;
  }

  /** The quorum from the next call on, as in redlock 4. */
  set servers(servers) {
    requireLocker(this).listed = servers;
  }

  /** How each instance is reached. */
  get connections() {
    return requireLocker(this).connections;
  }

  /** What has come of everything so far, as counters and histograms. */
  stats() {
    return deliver(this, requireLocker(this).stats(), undefined);
  }

  /**
   * @param {unknown} resource
   * @param {unknown} ttl
   * @param {CallOptions | LockCallback} [options]
   * @param {LockCallback} [callback]
   */
  lock(resource, ttl, options, callback) {
    if (typeof options === 'function')
      return deliver(this, requireLocker(this).lock(this, resource, ttl, undefined), options);
    return deliver(this, requireLocker(this).lock(this, resource, ttl, options, false, true), callback);
  }

  /**
   * `lock` in one attempt: null if it is held.
   *
   * @param {unknown} resource
   * @param {unknown} ttl
   * @param {CallOptions | LockCallback} [options]
   * @param {LockCallback} [callback]
   * @returns {Promise<Lock | null>}
   */
  tryLock(resource, ttl, options, callback) {
    if (typeof options === 'function') return this.tryLock(resource, ttl, undefined, options);
    return deliver(this, requireLocker(this).lock(this, resource, ttl, options, false, true, true), callback);
  }

  /**
   * @param {unknown} lock
   * @param {UnlockCallback} [callback]
   */
  unlock(lock, callback) {
    return deliver(this, requireLocker(this).unlock(this, lock), callback);
  }

  /**
   * @template {import('./arguments').LockLike} L
   * @param {L} lock
   * @param {unknown} ttl
   * @param {CallOptions | LockCallback} [options]
   * @param {LockCallback} [callback]
   */
  extend(lock, ttl, options, callback) {
    if (typeof options === 'function')
      return deliver(this, requireLocker(this).extend(this, lock, ttl, undefined), options);
    return deliver(this, requireLocker(this).extend(this, lock, ttl, options), callback);
  }

  /**
   * Runs `routine` under a lock that is extended for as long as the routine takes, and then released.
   *
   * @template T
   * @param {unknown} resource
   * @param {unknown} ttl
   * @param {CallOptions | ((signal: AbortSignal, lock: Lock) => T)} [options]
   * @param {(signal: AbortSignal, lock: Lock) => T} [routine]
   * @returns {Promise<Awaited<T> | null>} null if `tryLock` found it held
   */
  using(resource, ttl, options, routine) {
    if (typeof options !== 'function')
      return deliver(this, use(this, resource, ttl, options ?? {}, routine), undefined);
    const used = routine === undefined ? use(this, resource, ttl, {}, options) : misplacedOptions();
    return deliver(this, used, undefined);
  }

  /**
   * Whether a resource is locked, as a majority shows.
   *
   * @param {unknown} resource one name
   */
  inspect(resource) {
    return deliver(this, requireLocker(this).inspect(this, resource), undefined);
  }

  /**
   * A lock as `JSON.stringify` has stored it, here or in another process.
   *
   * @param {unknown} stored text, or what was parsed of it
   */
  restore(stored) {
    const { names, value, expiration, attempts, attemptsRemaining, ttl } = readStored(stored);
    const lock = makeLock(this, names, value, expiration, attempts, attemptsRemaining);
    stateOf(lock, { names, value }).setRestored(expiration, ttl);
    return lock;
  }

  /**
   * @param {{unlock?: boolean} | ((error: Error | null, replies?: unknown[]) => void)} [options]
   * @param {(error: Error | null, replies?: unknown[]) => void} [callback]
   */
  quit(options, callback) {
    if (typeof options === 'function') return deliver(this, requireLocker(this).quit(), options);
    return deliver(this, quit(this, options), callback);
  }

  /**
   * `lock` as a disposer, whose release bluebird's `using` calls.
   *
   * @param {unknown} resource
   * @param {unknown} ttl
   * @param {(error: Error) => unknown} [unlockErrorHandler] is told why the release failed; nobody is by default
   */
  disposer(resource, ttl, unlockErrorHandler) {
    const library = withDisposers(libraryOf(this));
    requireLocker(this).hearLate();
    const handler = typeof unlockErrorHandler === 'function' ? unlockErrorHandler : () => {};
    const lock = library.resolve(requireLocker(this).lock(this, resource, ttl, undefined));
    return lock.disposer((/** @type {any} */ held) => library.resolve(held.unlock()).catch(handler));
  }

  /**
   * `lock` and `extend` in one, for those who have used redlock's own: without a value it locks, with
   * one it extends whatever has that value.
   *
   * @param {unknown} resource
   * @param {string | null | undefined} value
   * @param {unknown} ttl
   * @param {CallOptions | LockCallback | null} [options]
   * @param {LockCallback} [callback]
   * @returns {Promise<Lock>}
   */
  _lock(resource, value, ttl, options, callback) {
    if (typeof options === 'function') return this._lock(resource, value, ttl, undefined, options);
    const given = options ?? undefined;
    if (value === null || value === undefined)
      return deliver(this, requireLocker(this).lock(this, resource, ttl, given), callback);
    return deliver(this, requireLocker(this).relock(this, resource, value, ttl, given), callback);
  }

  // The methods' other names.

  /**
   * @param {unknown} resource
   * @param {unknown} ttl
   * @param {CallOptions | LockCallback} [options]
   * @param {LockCallback} [callback]
   */
  lockWithOptions(resource, ttl, options, callback) {
    // As in redlock 4, an unknown option is ignored here.
    if (typeof options === 'function') return this.lock(resource, ttl, options);
    return deliver(this, requireLocker(this).lock(this, resource, ttl, options), callback);
  }

  /**
   * @param {unknown} resource
   * @param {unknown} ttl
   * @param {CallOptions | LockCallback} [options]
   * @param {LockCallback} [callback]
   */
  acquireWithOptions(resource, ttl, options, callback) {
    return this.lockWithOptions(resource, ttl, options, callback);
  }

  /**
   * @param {unknown} resource
   * @param {unknown} ttl
   * @param {CallOptions | LockCallback} [options]
   * @param {LockCallback} [callback]
   */
  acquire(resource, ttl, options, callback) {
    return this.lock(resource, ttl, options, callback);
  }

  /**
   * @param {unknown} lock
   * @param {UnlockCallback} [callback]
   */
  release(lock, callback) {
    return this.unlock(lock, callback);
  }
}

/**
 * @param {Redlock} redlock
 * @param {unknown} resource
 * @param {unknown} ttl
 * @param {any} options
 * @param {any} routine
 */
async function use(redlock, resource, ttl, options, routine) {
  if (typeof ttl === 'function' && routine === undefined) {
    throw wrongType('TTL', 'the ttl is missing: using(resource, ttl, routine), with the ttl in milliseconds');
  }
  if (typeof routine !== 'function') {
    const given = routine === undefined && typeof options !== 'object' ? options : routine;
    throw wrongType('ROUTINE', `the routine must be a function, not ${show(given)}`);
  }
  const locker = requireLocker(redlock);
  const lock = await locker.lock(redlock, resource, ttl, options, true, true);
  if (lock === null) return null;
  enter(lock);
  try {
    return await locker.watch(lock).during(() => routine(lock.signal, lock));
  } finally {
    leave(lock);
    await locker.unlockQuietly(redlock, lock);
  }
}

/** Ignoring them could cost the caller the lock. @returns {Promise<never>} */
async function misplacedOptions() {
  throw wrongType('OPTIONS', 'options come before the routine: using(resource, ttl, options, routine)');
}

/**
 * @param {Redlock} redlock
 * @param {unknown} options
 */
async function quit(redlock, options) {
  return requireLocker(redlock).quit(readQuitOptions(options));
}

/**
 * @param {unknown} stored
 * @returns {any}
 */
function readStored(stored) {
  let parsed = stored;
  if (typeof stored === 'string') {
    try {
      parsed = JSON.parse(stored);
    } catch {
      throw wrongType('LOCK', 'what is restored must be the JSON of a lock');
    }
  }
  const { names, value, expiration } = readLock(parsed);
  // JSON can have numbers that become Infinity, as 1e999.
  if (!Number.isFinite(expiration)) {
    throw wrongType('LOCK', `what is restored must be a lock: its expiration can't be ${expiration}`);
  }
  const { attempts, attemptsRemaining, ttl } = pick(parsed, STORED, unreadable);
  if (ttl !== undefined && !(Number.isInteger(ttl) && ttl > 0)) {
    throw wrongType('LOCK', `lock must be a Lock: its ttl must be a whole number of ms, not ${show(ttl)}`);
  }
  return { names: [...names], value, expiration, attempts, attemptsRemaining, ttl };
}

/** What a stored lock may have beside a lock's properties. */
const STORED = ['attempts', 'attemptsRemaining', 'ttl'];

/** @param {string} key */
function unreadable(key) {
  return wrongType('LOCK', `lock must be a Lock: its ${key} can't be read: reading it throws`);
}

/** Where it is overridden, it gives the values of locks, one for each attempt. */
Object.defineProperty(Redlock.prototype, '_random', { value: random, writable: true, configurable: true });

const disposableRedlock = disposable(Redlock, async (redlock) => void (await redlock.quit()));

/** @type {import('./profile').Profile['makeLock']} */
function makeLock(redlock, names, value, expiration, attempts, remaining) {
  const Own = lockClassOf(redlock);
  return new Own(redlock, names, value, expiration, attempts, remaining);
}

/** @type {import('./profile').Profile} */
const PROFILE = {
  makeLock,
  LockError,
  refuse: (error) => error,
  defaults: DEFAULTS,
  warn: warnOfIgnored,
  scripts: 'scripts',
  isLenient: false,
  locksSeveral: true,
  release: 'strict',
  dialect: 'redlock 4',
  hasAcquireOptions: true,
};

/**
 * redlock 0.x had its options first, and then the clients one by one.
 *
 * @param {unknown} options
 * @param {unknown} first
 */
function isOldest(options, first) {
  const isText = typeof first === 'string' || isUrl(first);
  const isOptions = typeof options === 'object' && !isArray(options) && !isClient(options);
  return (options === undefined || isOptions) && (isText || isClient(first));
}

/**
 * @template T
 * @param {Redlock} redlock
 * @param {Promise<T>} promise
 * @param {unknown} callback
 * @returns {Promise<T>}
 */
function deliver(redlock, promise, callback) {
  const library = libraryOf(redlock);
  if (library === Promise) return settle(promise, callback);
  lockerOf(redlock)?.hearLate();
  return settle(library.resolve(promise), callback);
}

/**
 * A subclass may have promises of its own.
 *
 * @param {Redlock} redlock
 */
function libraryOf(redlock) {
  return /** @type {typeof Redlock} */ (redlock.constructor).Promise ?? Promise;
}

module.exports = Object.assign(Redlock, {
  Redlock,
  Lock,
  LockError,
  InstanceError,
  ConnectionError,
  default: Redlock,
});
