'use strict';

/**
 * Retries: how long to wait between two attempts, and attempts that are made one by one from JavaScript. The engine
 * retries by itself, except where the caller has a say in it: an overridden `_random` gives a value for each attempt,
 * since a late answer to an old attempt must not pass for one to the next; a function as `retryDelay` says how long to
 * wait.
 *
 * @typedef {import('./native').Answer} Answer
 * @typedef {import('./options').Settings} Settings
 * @typedef {object} Attempt
 * @property {number} number the first is 1
 * @property {boolean} isLast
 * @property {Settings} settings for this attempt alone
 */

const { randomBytes } = require('node:crypto');

const { isError, outOfRange, show, showSetting, wrongType } = require('./errors');
const { clock } = require('./addon');
const { isRetried } = require('./failures');
const { disregard } = require('./promises');

/**
 * Whether a function says how long to wait.
 *
 * @param {Settings} settings
 */
function isPacedByCaller({ retries, retryDelay }) {
  return typeof retryDelay === 'function' && retries !== 0;
}

/**
 * @param {(attempt: Attempt) => Promise<Answer>} ask makes one attempt
 * @param {(ms: number) => Promise<unknown>} pause waits
 * @param {Settings} settings
 * @param {number} [limit] until when it may be waited for, on the engine's clock
 * @returns {Promise<Answer>} to the last attempt
 */
async function lockByAttempts(ask, pause, settings, limit = Number.POSITIVE_INFINITY) {
  const once = settings.once();
  /** @type {import('./native').NativeVote[]} */
  let before = [];
  for (let number = 1; ; number++) {
    const isLast = isLastAttempt(settings, number);
    const answer = await ask({ number, isLast, settings: once });
    answer.attempts = number;
    const { failure } = answer;
    // An attempt that was cut short says less than the one before it.
    const isShort = failure?.code === 'ERR_REDLOCK_TIMEOUT' && !failure.votes.some(isCast);
    if (failure && isShort && before.length > 0) failure.votes = before;
    if (!failure || isLast || !isRetried(failure.code)) return answer;
    before = failure.votes;
    const wait = waitAfter(settings, number);
    const time = limit - clock();
    await pause(Math.min(wait, Math.max(0, time)));
    if (wait >= time) {
      answer.failure = { ...failure, code: 'ERR_REDLOCK_TIMEOUT' };
      return answer;
    }
  }
}

/**
 * The same for an extension.
 *
 * @param {(settings: Settings) => Promise<Answer>} ask makes one attempt
 * @param {(ms: number) => Promise<unknown>} pause waits
 * @param {Settings} settings
 * @param {number} until when the lock ends if it isn't extended, on the engine's clock
 * @returns {Promise<Answer>} to the last attempt
 */
async function extendByAttempts(ask, pause, settings, until) {
  const once = settings.once();
  /** The failure after which the lock may be believed in for the shortest time. @type {Answer | undefined} */
  let worst;
  for (let attempt = 1; ; attempt++) {
    const answer = await ask(once);
    answer.attempts = attempt;
    if (!answer.failure) return answer;
    if (worst === undefined || answer.until < worst.until) worst = answer;
    answer.until = worst.until;
    answer.expiration = worst.expiration;
    if (isLastAttempt(settings, attempt) || !isRetried(answer.failure.code)) return answer;
    const wait = waitAfter(settings, attempt);
    if (clock() + wait >= until) return answer;
    await pause(wait);
  }
}

/**
 * @param {Settings} settings
 * @param {number} attempt the first is 1
 */
function isLastAttempt({ retries }, attempt) {
  return retries >= 0 && attempt > retries;
}

/** @param {import('./native').NativeVote} vote */
function isCast({ vote }) {
  return vote !== 'pending';
}

/** In ms: beyond three weeks it is a slip. */
const LONGEST_DELAY = 2 ** 31 - 1;

/**
 * How long to wait after an attempt that has failed.
 *
 * @param {Settings} settings
 * @param {number} attempt the first is 1
 * @returns {number} in ms
 */
function waitAfter({ retryDelay, retryJitter }, attempt) {
  const delay = typeof retryDelay === 'function' ? delayAfter(retryDelay, attempt) : retryDelay;
  return Math.max(0, delay + Math.floor((Math.random() * 2 - 1) * retryJitter));
}

/**
 * @param {import('./options').DelayOf} retryDelay
 * @param {number} attempt
 * @returns {number}
 */
function delayAfter(retryDelay, attempt) {
  let delay;
  try {
    delay = retryDelay(attempt);
  } catch (error) {
    const what = `the option "retryDelay" threw when it was asked for attempt ${attempt}`;
    const refusal = wrongType('OPTIONS', what);
    throw isError(error) ? Object.assign(refusal, { cause: error }) : refusal;
  }
  if (typeof delay === 'number' && delay >= 0 && delay <= LONGEST_DELAY) return delay;
  disregard(delay);
  const message =
    `the option "retryDelay" must return a number of ms from 0 to ${LONGEST_DELAY}, ` +
    `not ${showSetting(delay)} (for attempt ${attempt})`;
  throw typeof delay === 'number' ? outOfRange('OPTIONS', message) : wrongType('OPTIONS', message);
}

/**
 * What a face has as its `_random`, which is redlock's own, and in whose place people have put theirs. The engine makes values like
 * these by itself.
 */
function random() {
  return randomBytes(16).toString('hex');
}

/**
 * A value of the caller's for one attempt.
 *
 * @param {any} face whose `_random` is overridden
 * @returns {string}
 */
function valueFrom(face) {
  const value = face._random();
  if (typeof value === 'string' && value !== '') return value;
  disregard(value);
  throw wrongType('OPTIONS', `_random() must return a non-empty string, not ${show(value)}`);
}

module.exports = {
  ...{ isPacedByCaller, lockByAttempts, extendByAttempts, isLastAttempt, waitAfter },
  ...{ random, valueFrom },
};
