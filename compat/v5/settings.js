'use strict';

/** redlock 5's settings: what isn't a number is ignored. */

const { wrongType, warnOfIgnored } = require('../../lib/errors');
const { pick } = require('../../lib/foreign');
const { DEFAULTS: ENGINE_DEFAULTS, Settings, readOptions } = require('../../lib/options');

/**
 * @typedef {object} V5Settings
 * @property {number} driftFactor
 * @property {number} retryCount
 * @property {number} retryDelay
 * @property {number} retryJitter
 * @property {number} automaticExtensionThreshold
 */

/** @type {Readonly<V5Settings>} */
const DEFAULTS = Object.freeze({
  driftFactor: ENGINE_DEFAULTS.driftFactor,
  retryCount: ENGINE_DEFAULTS.retryCount,
  retryDelay: ENGINE_DEFAULTS.delay,
  retryJitter: ENGINE_DEFAULTS.retryJitter,
  automaticExtensionThreshold: 500,
});

const NAMES = /** @type {(keyof V5Settings)[]} */ (Object.keys(DEFAULTS));

/**
 * @param {unknown} given
 * @param {Readonly<V5Settings>} [base]
 * @returns {V5Settings}
 */
function readSettings(given, base = DEFAULTS) {
  const own = pick(given, NAMES, unreadable);
  const entries = NAMES.map((name) => [name, isNumber(own[name]) ? own[name] : base[name]]);
  return Object.fromEntries(entries);
}

/** @param {string} name */
function unreadable(name) {
  return wrongType('OPTIONS', `the setting "${name}" can't be read: reading it throws`);
}

/** @param {unknown} value */
function isNumber(value) {
  return typeof value === 'number' && !Number.isNaN(value);
}

/**
 * For the engine, which knows no endless waits and no drift backwards.
 *
 * @param {V5Settings} settings
 */
function toEngine({ driftFactor, retryCount, retryDelay, retryJitter }) {
  return new Settings(
    Number.isFinite(driftFactor) ? Math.max(0, driftFactor) : DEFAULTS.driftFactor,
    retryCount,
    Number.isFinite(retryDelay) ? retryDelay : DEFAULTS.retryDelay,
    Number.isFinite(retryJitter) ? retryJitter : DEFAULTS.retryJitter,
  );
}

/** Our options that redlock 5 doesn't have; lib/options.js reads them. */
const NEWER = ['connections', 'deadlineFloor', 'deadlineCeiling'];

/** @param {unknown} settings */
function readNewer(settings) {
  return readOptions(pick(settings, NEWER, unreadable), ENGINE_DEFAULTS, warnOfIgnored);
}

module.exports = { readSettings, readNewer, toEngine };
