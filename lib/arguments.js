'use strict';

/** What the methods are called with: everything that native sees has passed here. */

const { isUtf8 } = require('node:buffer');
const { types } = require('node:util');

const { LAST_DATE } = require('./constants');
const { wrongType, outOfRange, show, unreadable } = require('./errors');
const { elementsOf, get, isArray } = require('./foreign');
const { wallClock } = require('./wall-clock');

/**
 * @typedef {{resource: string | string[], value: string, expiration: number}} LockLike
 * @typedef {object} LockRecord what a lock's properties said when they were read, which was once
 * @property {readonly string[]} names
 * @property {string} value
 * @property {number | undefined} expiration undefined where the lock doesn't say, as a lenient face allows
 */

/**
 * The names in a `resource` argument, in an array of our own.
 *
 * @param {unknown} resource
 * @param {boolean} [isLenient] whether what isn't text is the name that clients make of it
 * @returns {string[]}
 */
function readResource(resource, isLenient) {
  if (typeof resource === 'string' && resource !== '') return [resource];
  return namesIn(resource, isLenient);
}

/**
 * @param {unknown} resource
 * @param {boolean | undefined} isLenient
 * @returns {string[]}
 */
function namesIn(resource, isLenient) {
  if (!isArray(resource)) return [nameOf(resource, 'resource', 'a string or an array of strings', isLenient)];
  /** @type {string[]} */
  const names = [];
  elementsOf(resource, unreadable('RESOURCE', 'resource'), (element, index) => {
    names.push(nameOf(element, `resource[${index}]`, 'a string', isLenient));
  });
  if (names.length === 0) throw outOfRange('RESOURCE', 'resource must not be an empty array');
  if (names.length > 1) refuseTwins(names);
  return names;
}

/**
 * @param {unknown} given
 * @param {string} what
 * @param {string} expected
 * @param {boolean | undefined} isLenient
 * @returns {string}
 */
function nameOf(given, what, expected, isLenient) {
  if (typeof given === 'string' && given !== '') return given;
  const name = isLenient ? textOf(given, what) : undefined;
  if (name) return name;
  if (given === '' || name === '') throw outOfRange('RESOURCE', `${what} must not be an empty string`);
  throw wrongType('RESOURCE', `${what} must be ${expected}, not ${show(given)}`);
}

/**
 * The name that clients make of what isn't text: numbers, ids of databases, URLs. Plain objects, whose text says nothing,
 * have none.
 *
 * @param {any} given
 * @param {string} what
 * @returns {string | undefined}
 */
function textOf(given, what) {
  if (typeof given === 'bigint' || Number.isFinite(given)) return String(given);
  if (typeof given !== 'object' || given === null || isArray(given)) return undefined;
  // A server takes any bytes, but names are sent to native as text.
  if (Buffer.isBuffer(given)) {
    if (isUtf8(given)) return given.toString();
    throw wrongType('RESOURCE', `${what} must be text, and these bytes are none in UTF-8`);
  }
  try {
    if (types.isPromise(given) || given.toString === Object.prototype.toString) return undefined;
    const text = String(given);
    return text.startsWith('[object ') ? undefined : text;
  } catch {
    throw wrongType('RESOURCE', `${what} can't be read: making text of it throws`);
  }
}

/** @param {string[]} names */
function refuseTwins(names) {
  const seen = new Set();
  for (const name of names) {
    // Names are compared as UTF-8, as a server gets them: lone surrogates are all the same there.
    const key = Buffer.from(name).toString();
    if (seen.has(key)) throw outOfRange('RESOURCE', `resource names ${show(name)} twice`);
    seen.add(key);
  }
}

/**
 * @param {unknown} ttl
 * @param {number} driftFactor
 * @returns {asserts ttl is number}
 */
function checkTtl(ttl, driftFactor) {
  if (!isUsualTtl(ttl, driftFactor)) checkUnusualTtl(ttl, driftFactor);
}

/**
 * Whether there is nothing to be said of it. By itself, since it is small: V8 compiles it into what calls it.
 *
 * @param {unknown} ttl
 * @param {number} driftFactor
 */
function isUsualTtl(ttl, driftFactor) {
  const number = Number.isInteger(ttl) ? Number(ttl) : 0;
  return number >= 1 && number - driftOf(number, driftFactor) >= 1 && number <= HALF_TIME;
}

/** Whatever the time is, it isn't half as far. */
const HALF_TIME = LAST_DATE / 2;

/**
 * @param {number} ttl
 * @param {number} driftFactor
 */
function driftOf(ttl, driftFactor) {
  return Math.round(driftFactor * ttl) + 2;
}

/**
 * @param {unknown} ttl
 * @param {number} driftFactor
 */
function checkUnusualTtl(ttl, driftFactor) {
  if (typeof ttl !== 'number') {
    throw wrongType('TTL', `ttl must be a number of milliseconds, not ${show(ttl)}`);
  }
  if (!Number.isInteger(ttl) || ttl < 1) {
    throw outOfRange('TTL', `ttl must be a whole number of milliseconds, at least 1, not ${ttl}`);
  }
  const drift = driftOf(ttl, driftFactor);
  if (ttl - drift < 1) {
    throw outOfRange(
      'TTL',
      `a ttl of ${ttl} ms leaves no time to hold the lock: ${drift} ms of it are the allowance for clock drift`,
    );
  }
  if (wallClock() + ttl > LAST_DATE)
    throw outOfRange('TTL', `a ttl of ${ttl} ms ends beyond the last valid Date`);
}

/**
 * Reads a lock's properties. It need not be one of ours: anything that has them will do.
 *
 * @param {any} lock
 * @param {boolean} [isLenient] whether its `expiration` may be missing
 * @param {string} [key] what its names are called there
 * @param {boolean} [takesAny] whether names need not be text
 * @returns {LockRecord}
 */
function readLock(lock, isLenient, key = 'resource', takesAny = isLenient) {
  if (typeof lock !== 'object' || lock === null || isArray(lock) || types.isPromise(lock)) {
    throw wrongType('LOCK', `lock must be a Lock, not ${show(lock)}`);
  }
  const value = propertyOf(lock, 'value');
  const expiration = propertyOf(lock, 'expiration');
  if (typeof value !== 'string' || value === '') {
    throw wrongType('LOCK', `lock must be a Lock: its value must be a non-empty string, not ${show(value)}`);
  }
  const isNumber = typeof expiration === 'number' && !Number.isNaN(expiration);
  if (!isLenient && !isNumber) {
    throw wrongType('LOCK', `lock must be a Lock: its expiration must be a number, not ${show(expiration)}`);
  }
  const resource = propertyOf(lock, key);
  try {
    return { names: namesIn(resource, takesAny), value, expiration: isNumber ? expiration : undefined };
  } catch (error) {
    const { message } = /** @type {Error} */ (error);
    throw wrongType('LOCK', `lock must be a Lock: its ${message}`);
  }
}

/**
 * @param {object} lock
 * @param {string} key
 */
function propertyOf(lock, key) {
  try {
    return get(lock, key);
  } catch {
    throw wrongType('LOCK', `lock must be a Lock: its ${key} can't be read: reading it throws`);
  }
}

module.exports = { readResource, readLock, checkTtl };
