'use strict';

/** What the methods are called with: everything that native sees has passed here. */

const { wrongType, outOfRange, show } = require('./errors');

/** @typedef {{resource: string | string[], value: string, expiration: number}} LockLike */

/**
 * The names in a `resource` argument, in an array of our own.
 *
 * @param {unknown} resource
 * @param {boolean} [isLenient] whether a number is the name that a server makes of it
 * @returns {string[]}
 */
function readResource(resource, isLenient) {
  const names = typeof resource === 'string' || !Array.isArray(resource) ? [resource] : resource.slice();
  if (isLenient) nameNumbers(names);
  checkNames(names, resource);
  return names;
}

/** @param {unknown[]} names */
function nameNumbers(names) {
  for (let i = 0; i < names.length; i++) {
    if (Number.isFinite(names[i])) names[i] = String(names[i]);
  }
}

/**
 * @param {unknown[]} names
 * @param {unknown} resource as it was given
 * @returns {asserts names is string[]}
 */
function checkNames(names, resource) {
  if (names.length === 0) throw outOfRange('RESOURCE', 'resource must not be an empty array');
  for (let i = 0; i < names.length; i++) {
    const name = names[i];
    if (typeof name === 'string' && name !== '') continue;
    const what = Array.isArray(resource) ? `resource[${i}]` : 'resource';
    if (name === '') throw outOfRange('RESOURCE', `${what} must not be an empty string`);
    const expected = Array.isArray(resource) ? 'a string' : 'a string or an array of strings';
    throw wrongType('RESOURCE', `${what} must be ${expected}, not ${show(name)}`);
  }
  if (names.length > 1) refuseTwins(/** @type {string[]} */ (names));
}

/** @param {string[]} names */
function refuseTwins(names) {
  const seen = new Set();
  for (const name of names) {
    // A server sees what UTF-8 can say: lone surrogates are all alike there.
    const key = Buffer.from(name).toString();
    if (seen.has(key)) throw outOfRange('RESOURCE', `resource names ${show(name)} twice`);
    seen.add(key);
  }
}

/** The last moment a Date can tell, in ms. */
const LAST_DATE = 8.64e15;

/**
 * @param {unknown} ttl
 * @param {number} driftFactor
 * @returns {asserts ttl is number}
 */
function checkTtl(ttl, driftFactor) {
  if (typeof ttl !== 'number') {
    throw wrongType('TTL', `ttl must be a number of milliseconds, not ${show(ttl)}`);
  }
  if (!Number.isInteger(ttl) || ttl < 1) {
    throw outOfRange('TTL', `ttl must be a whole number of milliseconds, at least 1, not ${ttl}`);
  }
  const drift = Math.round(driftFactor * ttl) + 2;
  if (ttl - drift < 1) {
    throw outOfRange(
      'TTL',
      `a ttl of ${ttl} ms leaves no time to hold the lock: ${drift} ms of it are the allowance for clock drift`,
    );
  }
  if (Date.now() + ttl > LAST_DATE) {
    throw outOfRange('TTL', `a ttl of ${ttl} ms ends beyond the last valid Date`);
  }
}

/**
 * The names a lock is for. It need not be one of ours: whatever has a lock's properties will do.
 *
 * @param {any} lock
 * @param {boolean} [isLenient] whether its `expiration` may be missing, and names may be numbers
 * @returns {string[]}
 */
function readLock(lock, isLenient) {
  if (typeof lock !== 'object' || lock === null || Array.isArray(lock) || lock instanceof Promise) {
    throw wrongType('LOCK', `lock must be a Lock, not ${show(lock)}`);
  }
  const { value, expiration } = lock;
  if (typeof value !== 'string' || value === '') {
    throw wrongType('LOCK', `lock must be a Lock: its value must be a non-empty string, not ${show(value)}`);
  }
  if (!isLenient && (typeof expiration !== 'number' || Number.isNaN(expiration))) {
    throw wrongType('LOCK', `lock must be a Lock: its expiration must be a number, not ${show(expiration)}`);
  }
  const { resource } = lock;
  const names = !Array.isArray(resource) ? [resource] : isLenient ? resource.slice() : resource;
  if (isLenient) nameNumbers(names);
  try {
    checkNames(names, resource);
    return names;
  } catch (error) {
    const { message } = /** @type {Error} */ (error);
    throw wrongType('LOCK', `lock must be a Lock: its ${message}`);
  }
}

module.exports = { readResource, readLock, checkTtl };
