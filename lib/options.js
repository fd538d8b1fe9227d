'use strict';

/**
 * The options, of a Redlock and of one call. As in redlock 4, one that is unknown or of the wrong
 * type is ignored; here the process is warned of it.
 */

const { showSetting, wrongType } = require('./errors');
const { isArray, pick } = require('./foreign');
const { RULES } = require('./members');
const { namesIn } = require('./redact');

const UNLIMITED = -1;
/** As many as native counts; nobody has seen the end of it. */
const MOST_RETRIES = 2 ** 32 - 1;

/** How one request is retried, and what it allows for. */
class Settings {
  /**
   * @param {number} driftFactor
   * @param {number} retryCount
   * @param {number} retryDelay
   * @param {number} retryJitter
   * @param {boolean} [isEndless] whether a retryCount of -1 is without end
   */
  constructor(driftFactor, retryCount, retryDelay, retryJitter, isEndless = true) {
    this.driftFactor = driftFactor;
    /** As it was given, for errors and `attemptsRemaining`. */
    this.retryCount = retryCount;
    this.retryDelay = retryDelay;
    this.retryJitter = retryJitter;
    this.isEndless = isEndless;
    /** A whole number, -1 = unlimited. */
    this.retries = retryCount === UNLIMITED && !isEndless ? 0 : retriesOf(retryCount);
  }
}

/** @param {number} retryCount */
function retriesOf(retryCount) {
  if (retryCount === UNLIMITED || retryCount > MOST_RETRIES) return UNLIMITED;
  return Math.max(0, Math.floor(retryCount));
}

const DEFAULTS = new Settings(0.01, 10, 200, 100);

/** @typedef {'driftFactor' | 'retryCount' | 'retryDelay' | 'retryJitter'} SettingName */

/**
 * Each option's type: what it must be, and in words.
 *
 * @typedef {{accepts: (value: number) => boolean, expected: string}} Rule
 */
/** @type {Rule} */
const finite = { accepts: Number.isFinite, expected: 'a finite number' };
/** @type {Rule} */
const amount = {
  accepts: (value) => Number.isFinite(value) && value >= 0,
  expected: 'a finite number from 0',
};
/** @type {Rule} */
const time = { accepts: (value) => Number.isFinite(value) && value > 0, expected: 'a finite number above 0' };
/** @type {Rule} */
const count = { accepts: (value) => !Number.isNaN(value), expected: 'a number' };

/** @type {Record<SettingName, Rule>} */
const SETTINGS = { driftFactor: amount, retryCount: count, retryDelay: finite, retryJitter: finite };

/** How long an instance may take for its vote, in ms (`deadlineShare`: of the ttl). */
const PATIENCE = {
  deadlineShare: amount,
  deadlineFloor: time,
  deadlineCeiling: time,
  releaseDeadline: time,
};

const DEFAULT_FLOOR = 100;

/** lib/members.js knows what it says. */
const CONNECTIONS = 'connections';

/** lib/scripts.js reads them. */
const SCRIPTS = ['lockScript', 'unlockScript', 'extendScript'];

/**
 * A Redlock's options. All that is wrong with them is told at once.
 *
 * @param {unknown} options
 * @param {Settings} defaults
 * @param {(message: string) => void} tell
 * @returns {{
 *   settings: Settings,
 *   patience: {share?: number, floor?: number, ceiling?: number, release?: number},
 *   rule: import('./bridge').Rule,
 *   scripts: Record<string, any>,
 * }} `scripts` as they were given
 */
function readOptions(options, defaults, tell) {
  /** @type {string[]} */
  const complaints = [];
  const object = readObject(options, complaints);
  const known = [...Object.keys(SETTINGS), ...Object.keys(PATIENCE), CONNECTIONS, ...SCRIPTS];
  const given = pick(object, known, unreadable);
  const settings = override(defaults, given, complaints);
  const patience = readPatience(given, complaints);
  const rule = readRule(given, complaints);
  complainOfUnknown(object, known, complaints);
  complainOfScripts(given, complaints);
  tellOnce(complaints, tell);
  return { settings, patience, rule, scripts: given };
}

/** @param {string} name */
function unreadable(name) {
  return wrongType('OPTIONS', `the option "${name}" can't be read: reading it throws`);
}

/**
 * The options of one call.
 *
 * @param {Settings} base
 * @param {object} options
 * @param {(message: string) => void} tell
 * @param {string[]} others that are not settings
 * @returns {{settings: Settings, others: Record<string, any>}} `others` as they were given
 */
function readCallOptions(base, options, tell, others) {
  /** @type {string[]} */
  const complaints = [];
  const known = [...Object.keys(SETTINGS), ...others];
  const given = pick(options, known, unreadable);
  const settings = override(base, given, complaints);
  complainOfUnknown(options, known, complaints);
  tellOnce(complaints, tell);
  return { settings, others: given };
}

/**
 * What a Redlock's properties say.
 *
 * @param {object} redlock
 * @param {Settings} defaults
 * @param {(message: string) => void} tell
 */
function readProperties(redlock, defaults, tell) {
  /** @type {string[]} */
  const complaints = [];
  const settings = override(defaults, redlock, complaints);
  tellOnce(complaints, tell);
  return settings;
}

/**
 * @param {Settings} base
 * @param {any} given
 * @param {string[]} complaints
 */
function override(base, given, complaints) {
  /** @param {SettingName} name */
  const setting = (name) => read(given, name, SETTINGS[name], complaints) ?? base[name];
  return new Settings(
    setting('driftFactor'),
    setting('retryCount'),
    setting('retryDelay'),
    setting('retryJitter'),
    base.isEndless,
  );
}

/**
 * @param {any} given
 * @param {string[]} complaints
 */
function readPatience(given, complaints) {
  const share = read(given, 'deadlineShare', PATIENCE.deadlineShare, complaints);
  const floor = read(given, 'deadlineFloor', PATIENCE.deadlineFloor, complaints);
  const ceiling = read(given, 'deadlineCeiling', PATIENCE.deadlineCeiling, complaints);
  const release = read(given, 'releaseDeadline', PATIENCE.releaseDeadline, complaints);
  // A floor wins over a ceiling; the default floor must not win over a ceiling that was asked for.
  const lowered = ceiling === undefined ? undefined : Math.min(ceiling, DEFAULT_FLOOR);
  return { share, floor: floor ?? lowered, ceiling, release };
}

/**
 * @param {any} given
 * @param {string[]} complaints
 * @returns {import('./bridge').Rule}
 */
function readRule(given, complaints) {
  const rule = given[CONNECTIONS];
  if (RULES.includes(rule)) return rule;
  if (rule !== undefined) {
    const known = RULES.map((one) => `"${one}"`).join(', ');
    complaints.push(`the option "${CONNECTIONS}" must be one of ${known}, not ${showSetting(rule)}`);
  }
  return 'auto';
}

/**
 * @param {any} given
 * @param {string} name
 * @param {Rule} rule
 * @param {string[]} complaints
 * @returns {number | undefined}
 */
function read(given, name, rule, complaints) {
  const value = given[name];
  if (value === undefined) return undefined;
  if (typeof value === 'number' && rule.accepts(value)) return value;
  complaints.push(`the option "${name}" must be ${rule.expected}, not ${showSetting(value)}`);
  return undefined;
}

/**
 * @param {unknown} options
 * @param {string[]} complaints
 * @returns {object}
 */
function readObject(options, complaints) {
  if (typeof options === 'object' && options !== null && !isArray(options)) return options;
  if (options !== undefined && options !== null) {
    complaints.push(`options must be an object, not ${showSetting(options)}`);
  }
  return {};
}

/**
 * @param {object} given
 * @param {string[]} known
 * @param {string[]} complaints
 */
function complainOfUnknown(given, known, complaints) {
  let keys;
  try {
    keys = Object.keys(given);
  } catch {
    throw wrongType('OPTIONS', "options can't be read: their keys can't be listed");
  }
  const unknown = keys.filter((name) => !known.includes(name));
  for (const name of namesIn(unknown)) complaints.push(`the option ${name} is unknown`);
}

/**
 * @param {any} given
 * @param {string[]} complaints
 */
function complainOfScripts(given, complaints) {
  for (const name of SCRIPTS) {
    const script = given[name];
    if (script === undefined || typeof script === 'function') continue;
    complaints.push(
      `the option "${name}" must be a function from our script to yours, not ${showSetting(script)}`,
    );
  }
}

/**
 * @param {string[]} complaints
 * @param {(message: string) => void} tell
 */
function tellOnce(complaints, tell) {
  if (complaints.length > 0) tell(complaints.join('; '));
}

/** @param {string} message */
function warn(message) {
  process.emitWarning(`redlock-native: ${message} (ignored)`, 'RedlockWarning', 'REDLOCK_OPTIONS');
}

module.exports = { Settings, DEFAULTS, readOptions, readCallOptions, readProperties, warn };
