'use strict';

/** redislock 1: locks on a single server, by key. */

const errors = require('./errors');
const { get } = require('../../lib/foreign');
const Lock = require('./lock');

const { LockAcquisitionError, LockReleaseError, LockExtendError } = errors;

/**
 * @param {unknown} client
 * @param {unknown} [options]
 */
function createLock(client, options) {
  return new Lock(client, options);
}

/**
 * Options that are absent, null or undefined keep their defaults.
 *
 * @param {any} [options]
 */
function setDefaults(options) {
  for (const name in Lock._defaults) {
    const given = get(options, name);
    if (given === null || given === undefined) continue;
    Lock._defaults[/** @type {keyof Lock._defaults} */ (name)] = Number.parseInt(given, 10);
  }
}

function getAcquiredLocks() {
  return Object.values(Lock._acquiredLocks);
}

module.exports = {
  createLock,
  setDefaults,
  getAcquiredLocks,
  LockAcquisitionError,
  LockReleaseError,
  LockExtendError,
};
