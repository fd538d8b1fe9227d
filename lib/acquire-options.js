'use strict';

/**
 * The options of one call that are no settings: how long to wait for a lock, what ends the wait, how the lock is
 * extended by itself; and those of `quit`. Unlike a setting, one that can't be used throws: ignoring it could cost the
 * caller the lock.
 *
 * @typedef {object} AcquireOptions
 * @property {import('./abort-signal').Signal | undefined} signal ends the wait
 * @property {number | undefined} maxWait in ms
 * @property {boolean} isTry whether there is one attempt, and no error if it is held
 * @property {boolean | undefined} isFair whether it waits in turn, if they say so
 * @property {Extension | undefined} extension how it is extended by itself, if it is
 *
 * @typedef {object} Extension
 * @property {number} ttl for how long each time, in ms
 * @property {number} threshold how long before its end, in ms
 * @property {number | undefined} maxHold for how long altogether, in ms
 */

const { checkTtl } = require('./arguments');
const { outOfRange, wrongType, showSetting, unreadable } = require('./errors');
const { isArray, keysOf, pick } = require('./foreign');
const { readSignal } = require('./abort-signal');
const { namesIn } = require('./redact');
const { suggestion } = require('./suggestion');

const ACQUIRE_OPTIONS = ['signal', 'maxWait', 'tryLock', 'autoExtend', 'fair'];

const EXTENSION_KEYS = ['ttl', 'threshold', 'maxHold'];

const QUIT_OPTIONS = ['unlock'];

/** A lock is extended when this share of its ttl is left, which leaves time for several tries. */
const SHARE_LEFT = 2 / 3;

/**
 * @param {Record<string, any>} options of one call, as lib/options.js has read them
 * @param {number} ttl
 * @param {number} driftFactor
 * @param {boolean} isExtended whether it is extended by itself if they don't say
 * @param {boolean} isTry whether there is one attempt whatever they say
 * @returns {AcquireOptions}
 */
function readAcquireOptions(options, ttl, driftFactor, isExtended, isTry) {
  const { signal, maxWait, tryLock, autoExtend = isExtended, fair } = options;
  return {
    signal: readSignal(signal),
    maxWait: maxWait === undefined ? undefined : readTime(maxWait, 'maxWait', 0),
    isTry: readFlag(tryLock, 'tryLock') || isTry,
    isFair: fair === undefined ? undefined : readFlag(fair, 'fair'),
    extension:
      autoExtend === false
        ? undefined
        : readExtension(autoExtend === true ? undefined : autoExtend, ttl, driftFactor),
  };
}

/**
 * @param {any} options
 * @param {number | undefined} ttl the lock's own, where it is known
 * @param {number} driftFactor
 * @returns {Extension}
 */
function readExtension(options, ttl, driftFactor) {
  if (options !== undefined && (typeof options !== 'object' || options === null || isArray(options))) {
    throw wrongType('OPTIONS', `autoExtend must be true or an object, not ${showSetting(options)}`);
  }
  const given = pick(options, EXTENSION_KEYS, unreadable('OPTIONS', 'autoExtend'));
  refuseUnknown(options ?? {}, 'autoExtend', EXTENSION_KEYS);
  const { ttl: own = ttl, threshold, maxHold } = given;
  if (own === undefined) {
    throw wrongType('OPTIONS', 'autoExtend needs a ttl: this lock does not know the one it was taken with');
  }
  checkTtl(own, driftFactor);
  const extension = {
    ttl: own,
    threshold: threshold === undefined ? own * SHARE_LEFT : readTime(threshold, 'threshold', 1),
    maxHold: maxHold === undefined ? undefined : readTime(maxHold, 'maxHold', 0),
  };
  if (extension.threshold >= own) {
    const message = `threshold must be less than the ttl of ${own} ms, not ${showSetting(threshold)}`;
    throw outOfRange('OPTIONS', message);
  }
  if (extension.maxHold !== undefined && extension.maxHold < own) {
    const message = `maxHold must not be less than the ttl of ${own} ms, not ${showSetting(maxHold)}`;
    throw outOfRange('OPTIONS', message);
  }
  return extension;
}

/**
 * What `quit` is called with.
 *
 * @param {any} options
 * @returns {boolean} whether what is held is to be unlocked
 */
function readQuitOptions(options) {
  if (options === undefined || options === null) return false;
  if (typeof options !== 'object' || isArray(options)) {
    throw wrongType('OPTIONS', `the options of quit must be an object, not ${showSetting(options)}`);
  }
  const { unlock } = pick(options, QUIT_OPTIONS, unreadable('OPTIONS', 'quit'));
  refuseUnknown(options, 'quit', QUIT_OPTIONS);
  return readFlag(unlock, 'unlock');
}

/**
 * @param {object} options
 * @param {string} what they are
 * @param {string[]} known
 */
function refuseUnknown(options, what, known) {
  const keys = keysOf(options, () => wrongType('OPTIONS', `${what} can't be read: its keys can't be listed`));
  const [unknown] = namesIn(keys.filter((key) => !known.includes(key)));
  if (unknown === undefined) return;
  const meant = suggestion(unknown, known) || `; known are ${known.join(', ')}`;
  throw outOfRange('OPTIONS', `${what} has the unknown key ${unknown}${meant}`);
}

/**
 * @param {unknown} value
 * @param {string} name
 */
function readFlag(value, name) {
  if (value === undefined || typeof value === 'boolean') return value === true;
  throw wrongType('OPTIONS', `${name} must be true or false, not ${showSetting(value)}`);
}

/**
 * @param {unknown} value
 * @param {string} name
 * @param {number} least
 */
function readTime(value, name, least) {
  const message = `${name} must be a number of milliseconds from ${least}, not ${showSetting(value)}`;
  if (typeof value !== 'number') throw wrongType('OPTIONS', message);
  if (!Number.isFinite(value) || value < least) throw outOfRange('OPTIONS', message);
  return value;
}

module.exports = { refuseUnknown, ACQUIRE_OPTIONS, readAcquireOptions, readExtension, readQuitOptions };
