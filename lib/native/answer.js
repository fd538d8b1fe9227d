'use strict';

const { clock } = require('../addon');
const { answers, reasons } = require('../constants');

/** @typedef {import('./types').NativeFailure} NativeFailure */

/** What came of one request. */
class Answer {
  /**
   * @param {number} kind
   * @param {number} attempts
   * @param {number} expiration until when the lock may be believed in, as `Date.now()` counts; 0 = not at all
   * @param {number} until the same on the engine's clock
   * @param {number} since locked: since when it may have been held, on the engine's clock
   * @param {string} value locked: what it is stored under
   * @param {NativeFailure | undefined} failure
   */
  constructor(kind, attempts, expiration, until, since, value, failure) {
    this.kind = kind;
    this.attempts = attempts;
    this.expiration = expiration;
    this.until = until;
    this.since = since;
    this.value = value;
    this.failure = failure;
  }

  /** Whether what was granted is over: to be asked where it is handed over, whenever that is. */
  get isOver() {
    return this.until <= clock();
  }

  /** Whether it was granted, but is over by now. */
  get isLate() {
    return this.failure === undefined && this.isOver;
  }

  /** It came too late to be believed in. */
  letEnd() {
    this.until = 0;
    this.expiration = 0;
  }

  /** Whether an extension got far enough to say something of the lock's validity. */
  get isCarriedOut() {
    return this.failure === undefined || !NOT_CARRIED_OUT.includes(this.failure.code);
  }
}

const CLOSED = reasons.closed.code;
const CANCELLED = reasons.cancelled.code;

const NOT_CARRIED_OUT = [CLOSED, reasons.invalid.code, reasons.internal.code];

/** @type {NativeFailure} */
const UNEXPLAINED = { code: reasons.internal.code, reason: reasons.internal.reason, votes: [] };

/** A release in one attempt, of which there is no more to say: one for all of them. */
const UNLOCKED = Object.freeze(new Answer(answers.unlocked, 1, 0, 0, 0, '', undefined));

/**
 * A failure of which no instance knows.
 *
 * @param {string} code
 * @param {string} reason
 */
function failed(code, reason) {
  return new Answer(answers.failed, 0, 0, 0, 0, '', { code, reason, votes: [] });
}

module.exports = { Answer, failed, CANCELLED, UNEXPLAINED, UNLOCKED };
