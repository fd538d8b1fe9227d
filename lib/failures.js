'use strict';

/** Failures that are found out in JavaScript, in the form in which native tells of its own. */

const { reasons } = require('./constants');

/** @typedef {import('./native').NativeFailure} NativeFailure */

/**
 * @param {{code: string}} kind
 * @param {string} reason
 * @returns {NativeFailure}
 */
function failure({ code }, reason) {
  return { code, reason, votes: [] };
}

const TOO_LATE = failure(reasons.tooSlow, 'it was over when it arrived');

/** Of an extension. */
const OVER = failure(reasons.expired, 'it was over when it arrived');

const EXPIRED = failure(reasons.expired, 'it has expired');

const UNLOCKED = failure(reasons.notHeld, 'it was unlocked');

const CLOSED = failure(reasons.closed, reasons.closed.reason);

/** @param {string} code whether another attempt may do better */
function isRetried(code) {
  return code === reasons.held.code || code === reasons.unavailable.code;
}

module.exports = { TOO_LATE, OVER, EXPIRED, UNLOCKED, CLOSED, isRetried };
