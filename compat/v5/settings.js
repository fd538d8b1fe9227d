'use strict';

/** redlock 5's settings: a number counts, anything else is as if it weren't there. */

const { wrongType } = require('../../lib/errors');
const { pick } = require('../../lib/foreign');
const { Settings } = require('../../lib/options');

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
  driftFactor: 0.01,
  retryCount: 10,
  retryDelay: 200,
  retryJitter: 100,
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
 * In the engine's terms, which knows no endless waits and no drift backwards.
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

/**
 * How long to wait between two attempts.
 *
 * @param {V5Settings} settings
 */
function waitOf(settings) {
  const { delay, retryJitter } = toEngine(settings);
  return Math.max(0, delay + Math.floor((Math.random() * 2 - 1) * retryJitter));
}

module.exports = { readSettings, unreadable, toEngine, waitOf };
