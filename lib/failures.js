'use strict';

/** Failures that are found out in JavaScript, in the form in which native tells of its own; and what is said of failures. */

const { reasons } = require('./constants');
const { majorityOf } = require('./quorum');

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

/** More of the names is not in a message. */
const MOST_SHOWN = 200;

/** @param {readonly string[]} names */
function shown(names) {
  const text = String(names);
  return text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}…` : text;
}

// ---- the messages of LockErrors, in redlock 4's own words where it has some

/**
 * Why a lock was not had.
 *
 * @param {string} code
 * @param {readonly string[]} names
 * @param {import('./options').Settings} settings
 * @param {import('./acquire-options').AcquireOptions | undefined} options
 * @param {readonly import('./errors').Vote[]} votes
 */
function notLocked(code, names, settings, options, votes) {
  if (code === 'ERR_REDLOCK_TIMEOUT') {
    const why = areTooFew(votes) ? TOO_FEW : '';
    return `Gave up waiting for the resource "${shown(names)}" after ${options?.maxWait} ms${why}.`;
  }
  if (code === 'ERR_REDLOCK_CLOSED') return closed('lock', names);
  if (!options?.isTry) return exceeded(settings, names);
  const why = code === reasons.unavailable.code ? TOO_FEW : '';
  return `Could not lock the resource "${shown(names)}" in one attempt${why}.`;
}

const TOO_FEW = `: ${reasons.unavailable.reason}`;

/**
 * Whether no majority can have answered.
 *
 * @param {readonly import('./errors').Vote[]} votes
 */
function areTooFew(votes) {
  const failed = votes.filter(({ vote }) => vote === 'failed').length;
  return failed > 0 && votes.length - failed < majorityOf(votes.length);
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
  return isAsked ? expired(names) : `Unable to extend the lock on resource "${shown(names)}".`;
}

/**
 * @param {import('./options').Settings} settings
 * @param {readonly string[]} names
 */
function exceeded({ retryCount }, names) {
  return `Exceeded ${retryCount} attempts to lock the resource "${shown(names)}".`;
}

/** @param {readonly string[]} names */
function unreleased(names) {
  return `Unable to fully release the lock on resource "${shown(names)}".`;
}

/** @param {readonly string[]} names */
function expired(names) {
  return `Cannot extend lock on resource "${shown(names)}" because the lock has already expired.`;
}

/**
 * @param {import('./cause').Operation} operation
 * @param {readonly string[]} names
 */
function closed(operation, names) {
  return `Cannot ${operation} resource "${shown(names)}": ${CLOSED.reason}.`;
}

module.exports = {
  ...{ TOO_LATE, OVER, EXPIRED, UNLOCKED, CLOSED, isRetried },
  ...{ notLocked, notExtended, unreleased, expired, closed },
};
