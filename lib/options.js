'use strict';

/**
 * The options of a Redlock and of one call. As in redlock 4, an unknown option or one of the wrong type is ignored; here
 * the process is warned of it.
 */

const { ACQUIRE_OPTIONS } = require('./acquire-options');
const { outOfRange, showSetting, wrongType } = require('./errors');
const { isArray, isThere, keysOf, pick } = require('./foreign');
const { ROUTE_POLICIES, notAPolicy } = require('./instances/members');
const { defaults, unlimited: UNLIMITED } = require('./constants');
const { namesIn } = require('./redact');
const { nearest, suggestion } = require('./suggestion');

/** The most that native counts to; more is without end. */
const MOST_RETRIES = 2 ** 32 - 1;

/**
 * @typedef {(attempt: number) => unknown} DelayOf the wait after an attempt, of which the first is 1, in ms
 * @typedef {Partial<Pick<Settings, 'driftFactor' | 'retryCount' | 'retryDelay' | 'retryJitter'>>} CallOptions
 */

/** How one request is retried, and its allowance for clock drift. */
class Settings {
  /**
   * @param {number} driftFactor
   * @param {number} retryCount
   * @param {number | DelayOf} retryDelay
   * @param {number} retryJitter
   * @param {boolean} [isEndless] whether a retryCount of -1 is without end
   */
  constructor(driftFactor, retryCount, retryDelay, retryJitter, isEndless = true) {
    /** What the votes on a request with these settings are told with. @type {import('./native/types').Trace | undefined} */
    this.trace = undefined;
    this.driftFactor = driftFactor;
    /** As it was given, for errors and `attemptsRemaining`. */
    this.retryCount = retryCount;
    /** As it was given. */
    this.retryDelay = retryDelay;
    /** What the engine waits between two attempts where it retries by itself, in ms. */
    this.delay = typeof retryDelay === 'function' ? DEFAULT_DELAY : retryDelay;
    this.retryJitter = retryJitter;
    this.isEndless = isEndless;
    /** A whole number, -1 = unlimited. */
    this.retries = retryCount === UNLIMITED && !isEndless ? 0 : retriesOf(retryCount);
  }

  /** The same for a single attempt. */
  once() {
    const { driftFactor, retryDelay, retryJitter, trace } = this;
    return new Settings(driftFactor, 0, retryDelay, retryJitter).tracedBy(trace);
  }

  /**
   * The same for one request that is traced. It is not to be kept: a lock's own settings trace nothing.
   *
   * @param {import('./native/types').Trace | undefined} trace
   * @returns {Settings}
   */
  tracedBy(trace) {
    if (trace === this.trace) return this;
    return Object.assign(Object.create(Settings.prototype), this, { trace });
  }
}

/** How long the engine waits between the extensions of a kept lock, where `retryDelay` is a function, in ms. */
const DEFAULT_DELAY = defaults.retryDelay;

/** @param {number} retryCount */
function retriesOf(retryCount) {
  if (retryCount === UNLIMITED || retryCount > MOST_RETRIES) return UNLIMITED;
  return Math.max(0, Math.floor(retryCount));
}

const { driftFactor, retryCount, retryDelay, retryJitter } = defaults;
const DEFAULTS = new Settings(driftFactor, retryCount, retryDelay, retryJitter);

/** @typedef {'driftFactor' | 'retryCount' | 'retryDelay' | 'retryJitter'} SettingName */

/**
 * What an option must be, and the same in words.
 *
 * @typedef {{accepts: (value: number) => boolean, expected: string}} Validator
 */
/** @type {Validator} */
const retries = {
  accepts: (value) => value === UNLIMITED || value === Infinity || (Number.isInteger(value) && value >= 0),
  expected: 'a whole number from 0, or -1 for no end',
};
/** @type {Validator} */
const finite = { accepts: Number.isFinite, expected: 'a finite number' };
/** @type {Validator} */
const amount = {
  accepts: (value) => Number.isFinite(value) && value >= 0,
  expected: 'a finite number from 0',
};
/** @type {Validator} */
const time = { accepts: (value) => Number.isFinite(value) && value > 0, expected: 'a finite number above 0' };
/** @type {Validator} */
const count = { accepts: (value) => !Number.isNaN(value), expected: 'a number' };

/** What the packages took that other faces stand for. @type {Record<SettingName, Validator>} */
const SETTINGS = { driftFactor: amount, retryCount: count, retryDelay: finite, retryJitter: finite };

/** The main class'. @type {Record<SettingName, Validator>} */
const OWN_SETTINGS = { driftFactor: amount, retryCount: retries, retryDelay: amount, retryJitter: amount };

/** Within which bounds an instance may take its time to vote, in ms. */
const DEADLINES = { deadlineFloor: time, deadlineCeiling: time };

const DEFAULT_FLOOR = 100;

/** lib/instances/members.js has its values. */
const CONNECTIONS = 'connections';

/** Whether what servers tell of changes to keys is made use of. */
const WAKEUPS = 'wakeups';

/** Whether locks are granted in the order in which they were asked for, to all processes. */
const FAIR = 'fair';

/** lib/scripts.js reads them. */
const SCRIPTS = ['lockScript', 'unlockScript', 'extendScript'];

/**
 * Reads a Redlock's options. All that is wrong with them is in one warning.
 *
 * @param {unknown} options
 * @param {Settings} defaults
 * @param {(message: string) => void} tell
 * @param {boolean} [isMain] whether they are the main class', where retryDelay may be a function and there are wake-ups
 * @returns {{
 *   settings: Settings,
 *   deadlines: {floor?: number, ceiling?: number},
 *   policy: import('./instances/members').RoutePolicy,
 *   wakeups: boolean,
 *   fair: boolean,
 *   scripts: Record<string, any>,
 * }} `scripts` as they were given
 */
function readOptions(options, defaults, tell, isMain = false) {
  /** @type {string[]} */
  const complaints = [];
  const object = readObject(options, complaints);
  const known = [...Object.keys(SETTINGS), ...Object.keys(DEADLINES), CONNECTIONS, ...SCRIPTS];
  if (isMain) known.push(WAKEUPS, FAIR);
  const given = pick(object, known, unreadable);
  const settings = override(defaults, given, complaints, isMain);
  if (isMain && settings.driftFactor >= 1) throw noTimeLeft(settings.driftFactor);
  const deadlines = readDeadlines(given, complaints);
  const policy = readPolicy(given, complaints);
  const wakeups = isMain && readWakeups(given, complaints);
  const fair = isMain && readFair(given, complaints);
  complaints.push(...unknownIn(object, known, isMain ? ACQUIRE_OPTIONS : []));
  complainOfScripts(given, complaints);
  tellOnce(complaints, tell);
  return { settings, deadlines, policy, wakeups, fair, scripts: given };
}

/** @param {number} driftFactor with which nothing could ever be locked */
function noTimeLeft(driftFactor) {
  const message = `the option "driftFactor" must be less than 1, not ${driftFactor}: it is the share of a ttl that is set aside`;
  return outOfRange('OPTIONS', message);
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
 * @param {readonly string[] | undefined} others that are not settings, where there are any
 * @param {boolean} isStrict whether one that is unknown is refused
 * @returns {{settings: Settings, others: Record<string, any>}} `others` as they were given
 */
function readCallOptions(base, options, tell, others, isStrict) {
  /** @type {string[]} */
  const complaints = [];
  const known = [...Object.keys(SETTINGS), ...(others ?? [])];
  const given = pick(options, known, unreadable);
  const unknown = unknownIn(options, known, []);
  if (isStrict && unknown.length > 0) throw outOfRange('OPTIONS', unknown.join('; '));
  const settings = override(base, given, complaints, others !== undefined);
  tellOnce([...complaints, ...unknown], tell);
  return { settings, others: given };
}

/**
 * @param {Settings} base
 * @param {any} given
 * @param {string[]} complaints
 * @param {boolean} isMain whether they are the main class', where retryDelay may be a function
 */
function override(base, given, complaints, isMain) {
  const validators = isMain ? OWN_SETTINGS : SETTINGS;
  /** @param {SettingName} name */
  const setting = (name) => read(given, name, validators[name], complaints) ?? base[name];
  const { retryDelay } = given;
  const isFunction = isMain && typeof retryDelay === 'function';
  return new Settings(
    /** @type {number} */ (setting('driftFactor')),
    /** @type {number} */ (setting('retryCount')),
    isFunction ? retryDelay : setting('retryDelay'),
    /** @type {number} */ (setting('retryJitter')),
    base.isEndless,
  );
}

/**
 * @param {any} given
 * @param {string[]} complaints
 */
function readDeadlines(given, complaints) {
  const floor = read(given, 'deadlineFloor', DEADLINES.deadlineFloor, complaints);
  const ceiling = read(given, 'deadlineCeiling', DEADLINES.deadlineCeiling, complaints);
  // A floor wins over a ceiling; the default floor must not win over a ceiling that was asked for.
  const lowered = ceiling === undefined ? undefined : Math.min(ceiling, DEFAULT_FLOOR);
  return { floor: floor ?? lowered, ceiling };
}

/**
 * @param {any} given
 * @param {string[]} complaints
 * @returns {import('./instances/members').RoutePolicy}
 */
function readPolicy(given, complaints) {
  const policy = given[CONNECTIONS];
  if (ROUTE_POLICIES.includes(policy)) return policy;
  if (policy !== undefined) complaints.push(notAPolicy(`the option "${CONNECTIONS}"`, policy));
  return 'auto';
}

/**
 * @param {any} given
 * @param {string[]} complaints
 */
function readWakeups(given, complaints) {
  const value = given[WAKEUPS];
  if (value !== undefined && value !== 'auto' && value !== false) {
    complaints.push(`the option "${WAKEUPS}" must be 'auto' or false, not ${showSetting(value)}`);
  }
  return value !== false;
}

/**
 * @param {any} given
 * @param {string[]} complaints
 */
function readFair(given, complaints) {
  const value = given[FAIR];
  if (value !== undefined && typeof value !== 'boolean') {
    complaints.push(`the option "${FAIR}" must be true or false, not ${showSetting(value)}`);
  }
  return value === true;
}

/**
 * @param {any} given
 * @param {string} name
 * @param {Validator} validator
 * @param {string[]} complaints
 * @returns {number | undefined}
 */
function read(given, name, validator, complaints) {
  const value = given[name];
  if (value === undefined) return undefined;
  if (typeof value === 'number' && validator.accepts(value)) return value;
  complaints.push(`the option "${name}" must be ${validator.expected}, not ${showSetting(value)}`);
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
    complaints.push(notOptions(options));
  }
  return {};
}

/** @param {unknown} options */
function notOptions(options) {
  return `options must be an object, not ${showSetting(options)}`;
}

/**
 * @param {object} given
 * @param {string[]} known
 * @param {readonly string[]} ofCalls that are known, but not here
 * @returns {string[]} what is to be said of those that aren't
 */
function unknownIn(given, known, ofCalls) {
  const keys = keysOf(given, () => wrongType('OPTIONS', "options can't be read: their keys can't be listed"));
  const unknown = keys.filter((name) => !known.includes(name));
  return namesIn(unknown).map((name) => {
    const own = suggestion(name, known);
    const ofCall = own ? undefined : nearest(name, ofCalls);
    if (ofCall === undefined) return `the option ${name} is unknown${own}`;
    const example = `lock(resource, ttl, { ${ofCall}: ${EXAMPLES[ofCall]} })`;
    return name === `"${ofCall}"`
      ? `the option ${name} is one of each call, as in ${example}`
      : `the option ${name} is unknown: did you mean "${ofCall}" of each call, as in ${example}?`;
  });
}

/** Of the options that only calls have. @type {Record<string, string>} */
const EXAMPLES = {
  maxWait: '5000',
  tryLock: 'true',
  autoExtend: 'true',
  signal: 'AbortSignal.timeout(5000)',
};

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

/**
 * The settings of a face: its options, its properties of the same names, which may be changed at any time, and what one
 * call says in place of them.
 */
class FaceSettings {
  #profile;
  /** What the properties said when they were last looked at. @type {Settings} */
  current;
  /** What the process was warned of, so that a busy caller is told once. @type {Set<string>} */
  #warnings = new Set();

  /**
   * Gives the face its properties.
   *
   * @param {any} face
   * @param {import('./profile').Profile} profile
   * @param {Settings} settings
   */
  constructor(face, profile, settings) {
    this.#profile = profile;
    this.current = settings;
    face.driftFactor = settings.driftFactor;
    face.retryCount = settings.retryCount;
    face.retryDelay = settings.retryDelay;
    face.retryJitter = settings.retryJitter;
  }

  /**
   * The settings of one call: its own options, then what the properties say now.
   *
   * @param {any} face
   * @param {CallOptions | undefined} options
   * @param {Settings} [own] of the lock, in place of the properties
   * @param {boolean} [isStrict] whether an option that is unknown is refused
   * @returns {{settings: Settings, others?: Record<string, any>}} `others`: what else the options say
   */
  of(face, options, own, isStrict = false) {
    const settings = own ?? this.currentOn(face);
    const { hasAcquireOptions } = this.#profile;
    if (typeof options !== 'object' || options === null || (hasAcquireOptions && isArray(options))) {
      // redlock 4 ignores whatever it is.
      if (hasAcquireOptions && isThere(options)) this.#warn(notOptions(options));
      return { settings };
    }
    const others = hasAcquireOptions ? ACQUIRE_OPTIONS : undefined;
    return readCallOptions(settings, options, this.#warn, others, isStrict);
  }

  /**
   * What the properties say now.
   *
   * @param {any} face
   * @returns {Settings} the same as before, if they do
   */
  currentOn(face) {
    const { retryCount, retryDelay, retryJitter, driftFactor } = face;
    const settings = this.current;
    const isSame =
      retryCount === settings.retryCount &&
      retryDelay === settings.retryDelay &&
      retryJitter === settings.retryJitter &&
      driftFactor === settings.driftFactor;
    return isSame ? settings : this.#follow({ retryCount, retryDelay, retryJitter, driftFactor });
  }

  /** @param {Record<SettingName, unknown>} properties that were changed */
  #follow(properties) {
    const { defaults, hasAcquireOptions } = this.#profile;
    /** @type {string[]} */
    const complaints = [];
    this.current = override(defaults, properties, complaints, hasAcquireOptions);
    tellOnce(complaints, this.#warn);
    return this.current;
  }

  #warn = (/** @type {string} */ message) => {
    if (this.#warnings.has(message) || this.#warnings.size >= MOST_WARNINGS) return;
    this.#warnings.add(message);
    this.#profile.warn(message);
  };
}

/** How many different warnings are given, of one face's properties and calls. */
const MOST_WARNINGS = 100;

module.exports = { Settings, FaceSettings, DEFAULTS, readOptions };
