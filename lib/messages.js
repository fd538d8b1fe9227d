'use strict';

/**
 * The messages of LockErrors, in redlock 4's own words where it has some.
 *
 * @typedef {import('./cause').Operation} Operation
 */

const { CLOSED } = require('./failures');

/**
 * Why a lock was not had.
 *
 * @param {string} code
 * @param {readonly string[]} names
 * @param {import('./options').Settings} settings
 * @param {import('./acquire-options').AcquireOptions | undefined} options
 */
function notLocked(code, names, settings, options) {
  if (code === 'ERR_REDLOCK_TIMEOUT') {
    return `Gave up waiting for the resource "${names}" after ${options?.maxWait} ms.`;
  }
  if (code === 'ERR_REDLOCK_CLOSED') return closed('lock', names);
  return options?.isTry
    ? `Could not lock the resource "${names}" in one attempt.`
    : exceeded(settings, names);
}

/**
 * Why a lock was not extended. It has expired only where the engine says so: a request that didn't get as far says nothing
 * of the lock.
 *
 * @param {string} code
 * @param {number} attempts
 * @param {import('./options').Settings} settings
 * @param {readonly string[]} names
 */
function notExtended(code, attempts, settings, names) {
  if (attempts > 0) return exceeded(settings, names);
  if (code === 'ERR_REDLOCK_CLOSED') return closed('extend', names);
  const isAsked = code !== 'ERR_REDLOCK_INTERNAL' && code !== 'ERR_REDLOCK_INVALID';
  return isAsked ? expired(names) : `Unable to extend the lock on resource "${names}".`;
}

/**
 * @param {import('./options').Settings} settings
 * @param {readonly string[]} names
 */
function exceeded({ retryCount }, names) {
  return `Exceeded ${retryCount} attempts to lock the resource "${names}".`;
}

/** @param {readonly string[]} names */
function unreleased(names) {
  return `Unable to fully release the lock on resource "${names}".`;
}

/** @param {readonly string[]} names */
function expired(names) {
  return `Cannot extend lock on resource "${names}" because the lock has already expired.`;
}

/**
 * @param {Operation} operation
 * @param {readonly string[]} names
 */
function closed(operation, names) {
  return `Cannot ${operation} resource "${names}": ${CLOSED.reason}.`;
}

module.exports = { notLocked, notExtended, unreleased, expired, closed };
