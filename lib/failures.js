'use strict';

/**
 * Failures that are found out in JavaScript, in the form in which native tells of its own.
 *
 * @typedef {import('./native').NativeFailure} NativeFailure
 */

/**
 * @param {string} code
 * @param {string} reason
 * @returns {NativeFailure}
 */
function failure(code, reason) {
  return { code: `ERR_REDLOCK_${code}`, reason, votes: [] };
}

/** @type {NativeFailure} */
const TOO_LATE = failure('TOO_SLOW', 'it was over when it arrived');

/** Of an extension. @type {NativeFailure} */
const OVER = failure('EXPIRED', 'it was over when it arrived');

/** @type {NativeFailure} */
const EXPIRED = failure('EXPIRED', 'it has expired');

/** @type {NativeFailure} */
const UNLOCKED = failure('NOT_HELD', 'it was unlocked');

/** @type {NativeFailure} */
const CLOSED = failure('CLOSED', 'this Redlock was closed with quit()');

module.exports = { TOO_LATE, OVER, EXPIRED, UNLOCKED, CLOSED };
