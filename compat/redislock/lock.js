'use strict';

/** redislock's Lock: one key on one server, taken, extended and released by the object itself. */

const { isUtf8 } = require('node:buffer');
const { randomUUID } = require('node:crypto');

const { LockAcquisitionError, LockReleaseError, LockExtendError } = require('./errors');
const channels = require('../../lib/channels');
const { clock } = require('../../lib/addon');
const { get, has, set } = require('../../lib/foreign');
const { beginHold } = require('../../lib/hold');
const { sleep } = require('../../lib/native/mailbox');
const { findBluebird } = require('../../lib/promises');
const { requestsOf } = require('../redislock-requests');

/**
 * @typedef {import('../../lib/channels').Trace} Trace
 * @typedef {import('../redislock-requests').Refusal} Refusal
 * @typedef {(error: Error | null) => void} Callback
 * @typedef {{timeout: number, retries: number, delay: number}} Defaults
 */

/** What redislock returns promises of: `.catch(LockReleaseError, …)` is in its documentation. */
const bluebird = findBluebird();
if (!bluebird) {
  const error = new Error(
    "redlock-native/redislock returns bluebird's promises, as redislock does, and bluebird isn't installed: " +
      'npm install bluebird',
  );
  throw Object.assign(error, { code: 'ERR_REDLOCK_NO_BLUEBIRD' });
}

class Lock {
  /** What new Locks begin with; `setDefaults` changes it. @type {Defaults} */
  static _defaults = { timeout: 10000, retries: 0, delay: 50 };

  /** Those that are held, by `_id`. @type {Record<string, Lock>} */
  static _acquiredLocks = {};

  /**
   * @param {unknown} client of any Redis library
   * @param {any} [options] `timeout`, `retries`, `delay`
   */
  constructor(client, options) {
    /** What is stored under the key. @type {string} */
    this._id = randomUUID();
    this._locked = false;
    /** @type {any} */
    this._key = null;
    /** @type {any} */
    this._client = client;
    this.timeout = 0;
    this.retries = 0;
    this.delay = 0;
    // As redislock does, also what the defaults inherit.
    for (const name in Lock._defaults) {
      if (!has(Lock._defaults, name)) continue;
      const own = /** @type {keyof Defaults} */ (name);
      const isGiven = has(Object(options), name);
      this[own] = isGiven ? Number.parseInt(get(options, name), 10) || 0 : Lock._defaults[own];
    }
    addPromised(client, requestsFor(this).library);
  }

  /**
   * @param {unknown} key
   * @param {Callback} [fn]
   */
  acquire(key, fn) {
    if (!channels.lock.hasSubscribers) return bluebird.resolve(acquire(this, key)).nodeify(fn);
    const trace = channels.traceOf(key, this.timeout);
    const asked = channels.lock.tell(trace, () => acquire(this, key, trace), 'granted');
    return bluebird.resolve(asked).nodeify(fn);
  }

  /** @param {Callback} [fn] */
  release(fn) {
    if (!channels.unlock.hasSubscribers) return bluebird.resolve(release(this)).nodeify(fn);
    const trace = channels.traceOf(this._key);
    const asked = channels.unlock.tell(trace, () => release(this, trace), 'released');
    return bluebird.resolve(asked).nodeify(fn);
  }

  /**
   * @param {number} time in ms from now
   * @param {Callback} [fn]
   */
  extend(time, fn) {
    if (!channels.extend.hasSubscribers) return bluebird.resolve(extend(this, time)).nodeify(fn);
    const trace = channels.traceOf(this._key, time);
    const asked = channels.extend.tell(trace, () => extend(this, time, trace), 'extended');
    return bluebird.resolve(asked).nodeify(fn);
  }
}

/**
 * @param {Lock} lock
 * @param {unknown} key
 * @param {Trace} [trace] whom to tell what comes of it
 */
async function acquire(lock, key, trace) {
  if (lock._locked) throw new LockAcquisitionError(HELD_ALREADY);
  const timeout = Number(lock.timeout);
  if (!(timeout >= 1)) throw new LockAcquisitionError("ERR invalid expire time in 'set' command");

  const requests = requestsFor(lock);
  const name = nameOf(key);
  let { retries } = lock;
  for (;;) {
    const value = nextValue(lock);
    trace?.note({ attempts: (trace.attempts ?? 0) + 1 });
    const refusal = await requests.acquire(name, value, timeout, trace);
    if (!refusal) return hold(lock, key, name, value, timeout);
    if (!refusal.isHeld) throw because(LockAcquisitionError, messageOf(refusal, key), refusal);
    if (retries === 0) throw because(LockAcquisitionError, notAcquired(key), refusal);
    // Below 0 there is no end to them.
    retries -= 1;
    await sleep(lock.delay);
  }
}

/**
 * @param {Lock} lock
 * @param {unknown} key
 * @param {string} name
 * @param {string} value
 * @param {number} timeout
 */
async function hold(lock, key, name, value, timeout) {
  // Another call on this object was faster.
  if (lock._locked) {
    await requestsOf(lock._client).release(name, value);
    throw new LockAcquisitionError(HELD_ALREADY);
  }
  set(lock, '_id', value);
  set(lock, '_locked', true);
  set(lock, '_key', key);
  Lock._acquiredLocks[value] = lock;
  if (!channels.hold.hasSubscribers) return;
  const state = { heldSince: clock(), until: clock() + timeout };
  beginHold(state, [name], timeout, holds);
  told.set(lock, state);
}

/** What is held, as far as that is told. @type {Set<import('../../lib/hold').Hold>} */
const holds = new Set();

/** Of locks whose hold is told. @type {WeakMap<Lock, import('../../lib/hold').Held>} */
const told = new WeakMap();

/**
 * @param {Lock} lock
 * @param {Trace} [trace]
 */
async function release(lock, trace) {
  const { _key: key } = lock;
  const value = String(lock._id);
  if (!lock._locked) throw new LockReleaseError(NOT_ACQUIRED);

  const refusal = await requestsFor(lock).release(nameOf(key), value, trace);
  if (refusal && !refusal.isHeld) throw because(LockReleaseError, refusal.message, refusal);
  forget(lock, value, refusal !== undefined);
  if (refusal) throw because(LockReleaseError, expired(key), refusal);
}

/**
 * @param {Lock} lock
 * @param {unknown} time
 * @param {Trace} [trace]
 */
async function extend(lock, time, trace) {
  const { _key: key } = lock;
  const value = String(lock._id);
  if (!Number.isInteger(time) || /** @type {number} */ (time) < 1) {
    throw new LockExtendError('Int time is required to extend lock');
  }
  if (!lock._locked) throw new LockExtendError(NOT_ACQUIRED);

  const ms = /** @type {number} */ (time);
  const refusal = await requestsFor(lock).extend(nameOf(key), value, ms, trace);
  if (!refusal) {
    const state = told.get(lock);
    if (state) state.until = clock() + ms;
    return;
  }
  if (!refusal.isHeld) throw because(LockExtendError, refusal.message, refusal);
  forget(lock, value, true);
  throw because(LockExtendError, expired(key), refusal);
}

/**
 * @param {Lock} lock
 * @param {string} value it may have been taken anew since, with another
 * @param {boolean} isGone whether it was not there any more
 */
function forget(lock, value, isGone) {
  delete Lock._acquiredLocks[value];
  if (lock._id !== value) return;
  const hold = told.get(lock)?.hold;
  if (isGone) hold?.gone();
  else hold?.released();
  set(lock, '_locked', false);
  set(lock, '_key', null);
}

/** Those whose first value was used. @type {WeakSet<Lock>} */
const used = new WeakSet();

/**
 * Each attempt has a value of its own: the clean-up of a failed attempt must never delete the key of a later one.
 *
 * @param {Lock} lock
 * @returns {string}
 */
function nextValue(lock) {
  if (used.has(lock)) return randomUUID();
  used.add(lock);
  return String(lock._id);
}

/** What each Lock asks, so that it lives as long as the Lock. @type {WeakMap<Lock, ReturnType<typeof requestsOf>>} */
const owned = new WeakMap();

/** @param {Lock} lock */
function requestsFor(lock) {
  const before = owned.get(lock);
  if (before && before.client === lock._client) return before;
  const requests = requestsOf(lock._client);
  owned.set(lock, requests);
  return requests;
}

/** The methods that redislock adds to a client of callbacks, with the promises of bluebird. */
const PROMISED = ['get', 'set', 'watch'];

/**
 * @param {any} client
 * @param {string | undefined} library
 */
function addPromised(client, library) {
  if (!library?.startsWith('redis ')) return;
  for (const method of PROMISED) {
    client[`${method}Async`] ??= bluebird.promisify(client[method]);
  }
}

/**
 * A key as clients write it.
 *
 * @param {unknown} key
 */
function nameOf(key) {
  if (!Buffer.isBuffer(key) || isUtf8(key)) return String(key);
  throw new LockAcquisitionError('a key of bytes must be text in UTF-8');
}

const HELD_ALREADY = 'Lock already held';
const NOT_ACQUIRED = 'Lock has not been acquired';

/** @param {unknown} key */
function notAcquired(key) {
  return `Could not acquire lock on "${key}"`;
}

/** @param {unknown} key */
function expired(key) {
  return `Lock on "${key}" had expired`;
}

/**
 * @param {Refusal} refusal
 * @param {unknown} key
 */
function messageOf(refusal, key) {
  // It was granted, but too late: there is no server's message.
  return refusal.failure.code === 'ERR_REDLOCK_TOO_SLOW' ? notAcquired(key) : refusal.message;
}

/**
 * `code` and `cause` are not enumerable, so that printing or comparing an error is as in redislock.
 *
 * @param {import('./errors').ErrorConstructor} Type
 * @param {string} message
 * @param {Refusal} refusal
 */
function because(Type, message, { failure: { code, cause } }) {
  return Object.defineProperties(new Type(message), {
    code: { value: code, writable: true, configurable: true },
    cause: { value: cause, writable: true, configurable: true },
  });
}

module.exports = Lock;
