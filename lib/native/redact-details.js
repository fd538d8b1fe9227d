'use strict';

/** Keeps secrets out of what instances, and native for them, have said in words. */

/**
 * @typedef {import('../redact').Redactor} Redactor
 * @typedef {import('../errors').Trouble} Trouble
 * @typedef {{reason?: string, votes?: (Partial<Trouble> & {value?: unknown})[], locks?: any[]} & Partial<Trouble>} Details
 */

/**
 * Takes the secrets out of each text, in place.
 *
 * @param {Details} told
 * @param {Redactor} redactor
 */
function cleanDetails(told, redactor) {
  cleanTexts(told, redactor);
  if (hasText(told, 'reason')) told.reason = redactor.clean(told.reason);
  if (Object.hasOwn(told, 'votes')) {
    for (const vote of told.votes ?? []) {
      cleanTexts(vote, redactor);
      if (hasText(vote, 'value')) vote.value = redactor.mask(vote.value);
    }
  }
  if (Object.hasOwn(told, 'locks')) for (const lock of told.locks ?? []) cleanDetails(lock, redactor);
}

/**
 * @param {Partial<Trouble>} told
 * @param {Redactor} redactor
 */
function cleanTexts(told, redactor) {
  if (hasText(told, 'message')) told.message = redactor.clean(told.message);
  if (hasText(told, 'reply')) told.reply = redactor.clean(told.reply);
}

/**
 * Whether it has that text itself: what is in `Object.prototype` by now must not become its own.
 *
 * @template {string} K
 * @param {object} told
 * @param {K} key
 * @returns {told is Record<K, string>}
 */
function hasText(told, key) {
  return Object.hasOwn(told, key) && typeof (/** @type {any} */ (told)[key]) === 'string';
}

module.exports = { cleanDetails };
