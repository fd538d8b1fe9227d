'use strict';

/**
 * What this process knows of a lock beyond its plain properties: until when it is valid on the engine's clock, whether it
 * was released, how it is kept. It is hidden in our own locks and kept beside whatever else is passed for one. Nobody
 * needs it to release a lock; without it the lock's plain properties decide.
 *
 * A lock has its state by reference, under a symbol that nobody else knows: a Proxy of the lock, and what Object.create
 * makes of it, find the same state, so that what one of them has released is released for all. The symbol isn't
 * enumerable, so that a copy is plain data, as is a lock that another process has stored: then its `expiration` decides.
 * So it does where a lock's resource or value are not those that were granted.
 *
 * All times are on the engine's clock. What `expiration` says by the wall clock is converted once, when a lock is
 * restored or first looked at: from then on it makes no difference that the wall clock is set.
 *
 * @typedef {{names: readonly unknown[], value: unknown}} Keys what a lock is on, as it says
 * @typedef {import('./native').Answer} Answer
 * @typedef {import('./options').Settings} Settings
 */

const { readLock } = require('./arguments');
const { LONGEST_FROM_NOW } = require('./constants');
const { hide, set } = require('./foreign');
const { clock } = require('./addon');
const { wallClock } = require('./wall-clock');

/** The key of a function that gives the state: Proxies that wrap all objects that are read leave functions alone, or bind them. */
const STATE = Symbol('lock state');

class LockState {
  /** The lock itself, whatever stands for it. */
  lock;
  #names;
  #value;
  /** The `expiration` that belongs to `#until`; NaN, which equals nothing, if there is none yet. */
  #shown = Number.NaN;
  /** Until when it may be believed in, as long as nobody has changed `expiration` meanwhile; 0 once it may not. */
  #until = 0;
  /** Since when it may have been held; 0 = unknown. */
  heldSince = 0;
  /** For how long it was taken, in ms. @type {number | undefined} */
  ttl;
  /** For how long it was asked for last, in ms. @type {number | undefined} */
  #requestedTtl;
  /** Those of the call that took it, if it had some of its own. @type {Settings | undefined} */
  settings;
  /** How it is kept, if it is. @type {import('./watchdog').Watchdog | undefined} */
  watchdog;
  /** What tells others how long it is held, if anybody listens. @type {import('./hold').Hold | undefined} */
  hold;
  #isReleased = false;
  /** Whether the engine gave it: then its names and its value are what native was asked for, and said. */
  #isGranted = false;
  /** How often it has ended, be it released or lost: another number than before says that it has meanwhile. */
  endCount = 0;

  /**
   * @param {object} lock
   * @param {readonly unknown[]} names
   * @param {unknown} value
   */
  constructor(lock, names, value) {
    this.lock = lock;
    this.#names = names;
    this.#value = value;
  }

  /**
   * As the engine gave it.
   *
   * @param {Answer} answer
   * @param {number} ttl
   * @param {Settings | undefined} settings
   */
  setGranted(answer, ttl, settings) {
    this.ttl = ttl;
    this.#requestedTtl = ttl;
    this.settings = settings;
    this.#shown = answer.expiration;
    this.#until = answer.until;
    this.heldSince = answer.since;
    this.#isGranted = true;
  }

  /**
   * The same for another lock on the same keys.
   *
   * @param {LockState} from
   */
  copyFrom(from) {
    this.#shown = from.#shown;
    this.#until = from.#until;
    this.heldSince = from.heldSince;
    this.ttl = from.ttl;
    this.#requestedTtl = from.#requestedTtl;
    this.settings = from.settings;
  }

  /**
   * Another lock on the same keys stands for it from now on.
   *
   * @param {LockState} other
   */
  passHoldTo(other) {
    this.hold?.passTo(other);
    this.hold = undefined;
  }

  /**
   * The lock comes from elsewhere, as from JSON, which may say for how long it was asked for last.
   *
   * @param {number} shown its `expiration`
   * @param {number | undefined} ttl
   */
  setRestored(shown, ttl) {
    this.#requestedTtl = ttl;
    this.validUntil(shown);
  }

  /**
   * Takes over what an extension's answer says of the validity.
   *
   * @param {object} lock what stands for it
   * @param {number | undefined} shown its `expiration`
   * @param {Answer} answer
   * @param {number} ttl
   */
  setExtended(lock, shown, answer, ttl) {
    // The engine moves its end by itself, and the watchdog knows it.
    if (this.watchdog?.isExtended) return;
    this.#setExpiration(lock, shown, answer.expiration);
    this.#until = answer.until;
    if (answer.until === 0) {
      this.endCount += 1;
      this.hold?.gone();
    } else if (answer.failure === undefined) this.#requestedTtl = ttl;
  }

  /**
   * Its holder has released it.
   *
   * @param {object} lock what stands for it
   * @param {number | undefined} shown its `expiration`
   */
  setReleased(lock, shown) {
    this.#setExpiration(lock, shown, 0);
    this.#until = 0;
    this.#isReleased = true;
    this.endCount += 1;
    this.hold?.released();
  }

  /**
   * @param {object} lock
   * @param {number | undefined} shown
   * @param {number} expiration
   */
  #setExpiration(lock, shown, expiration) {
    // A lock that is frozen goes on showing its old end.
    const isShown = set(lock, 'expiration', expiration);
    if (lock !== this.lock) set(this.lock, 'expiration', expiration);
    this.#shown = isShown || shown === undefined ? expiration : shown;
  }

  /**
   * Whether it was released, and nobody has given it another end since.
   *
   * @param {number | undefined} shown its `expiration`
   */
  isReleased(shown) {
    if (shown === 0 && this.#shown !== 0) return true;
    return this.#isReleased && this.#until === 0 && this.#shown === shown;
  }

  /**
   * When the lock's validity ends; 0 once it has, undefined where nothing says when.
   *
   * @param {number | undefined} shown its `expiration`
   * @returns {number | undefined}
   */
  validUntil(shown) {
    if (this.watchdog?.isExtended) return this.watchdog.until;
    if (shown === undefined || shown === Number.POSITIVE_INFINITY) return undefined;
    if (this.#shown !== shown) {
      this.#shown = shown;
      this.#until = untilOf(shown, this.#requestedTtl);
      // That is how a lock looks whose holder has released it, here or elsewhere.
      if (shown === 0) this.#isReleased = true;
    }
    return this.#until;
  }

  /** Until when it may be believed in, as far as is known without a look at the lock itself. */
  get until() {
    return this.watchdog?.isExtended ? this.watchdog.until : this.#until;
  }

  /** For how long it was asked for last, in ms; undefined where that isn't known. @returns {number | undefined} */
  get requestedTtl() {
    return this.watchdog?.ttl ?? this.#requestedTtl;
  }

  /** @param {Keys} keys */
  matches({ names, value }) {
    return value === this.#value && this.#hasNames(names);
  }

  /** @param {readonly unknown[]} names */
  #hasNames(names) {
    const own = this.#names;
    if (names.length !== own.length) return false;
    for (let at = 0; at < own.length; at++) if (names[at] !== own[at]) return false;
    return true;
  }

  /**
   * What the lock itself says, where that is what was granted: nothing of it has to be checked.
   *
   * @returns {import('./arguments').LockRecord | undefined}
   */
  get record() {
    if (!this.#isGranted) return undefined;
    const { resource, value, expiration } = /** @type {any} */ (this.lock);
    const names = this.#names;
    if (value !== this.#value || typeof expiration !== 'number' || Number.isNaN(expiration)) return undefined;
    const isSame = Array.isArray(resource)
      ? this.#hasNames(resource)
      : names.length === 1 && resource === names[0];
    return isSame ? { names: /** @type {readonly string[]} */ (names), value, expiration } : undefined;
  }

  /**
   * An object that inherits from the lock may have been given an `expiration` of its own: then that decides, unless the
   * lock itself has ended.
   *
   * @param {object} lock
   * @param {Keys} keys
   * @returns {LockState}
   */
  asSeenBy(lock, keys) {
    if (Object.hasOwn(lock, STATE) || !Object.hasOwn(lock, 'expiration')) return this;
    const { expiration } = /** @type {{expiration?: any}} */ (lock);
    if (expiration === this.#shown) return this;
    if (this.#until > 0 || this.endCount === 0) return foreignStateOf(lock, keys);
    const ended = new LockState(lock, keys.names, keys.value);
    ended.#shown = expiration;
    ended.#isReleased = this.#isReleased;
    ended.endCount = this.endCount;
    return ended;
  }
}

/**
 * Gives a lock of ours its state.
 *
 * @param {object} lock
 * @param {unknown} resource
 * @param {unknown} value
 */
function attachState(lock, resource, value) {
  const state = new LockState(lock, namesIn(resource), value);
  hide(lock, STATE, () => state, false);
}

/**
 * @param {unknown} resource
 * @returns {unknown[]} in an array of our own
 */
function namesIn(resource) {
  if (!Array.isArray(resource)) return [resource];
  return resource.length === 1 ? [resource[0]] : resource.slice();
}

/**
 * What is known of objects that aren't ours, or of ours that were changed.
 *
 * @type {WeakMap<object, LockState>}
 */
const foreignStates = new WeakMap();

/**
 * @param {object} lock
 * @param {Keys} keys
 * @returns {LockState}
 */
function stateOf(lock, keys) {
  const own = ownStateOf(lock);
  return own?.matches(keys) ? own.asSeenBy(lock, keys) : foreignStateOf(lock, keys);
}

/**
 * @param {object} lock
 * @param {Keys} keys
 * @returns {LockState}
 */
function foreignStateOf(lock, keys) {
  const known = foreignStates.get(lock);
  if (known?.matches(keys)) return known;
  const state = new LockState(lock, [...keys.names], keys.value);
  foreignStates.set(lock, state);
  return state;
}

/**
 * What is to be known of a lock for its release: what it says, and its state.
 *
 * @param {any} lock
 * @param {boolean} isLenient as for `readLock`
 */
function readState(lock, isLenient) {
  const own = ownStateOf(lock);
  const known = own !== undefined && own.lock === lock ? recordOf(own) : undefined;
  if (own !== undefined && known !== undefined) return { record: known, state: own };
  const record = readLock(lock, isLenient);
  return { record, state: stateOf(lock, record) };
}

/** @param {LockState} state */
function recordOf(state) {
  try {
    return state.record;
  } catch {
    // A getter's, which somebody has put into it.
    return undefined;
  }
}

/**
 * Of a lock of ours, or what stands for one.
 *
 * @param {any} lock
 * @returns {LockState | undefined}
 */
function ownStateOf(lock) {
  try {
    const tell = lock[STATE];
    const state = typeof tell === 'function' ? tell() : undefined;
    return state instanceof LockState ? state : undefined;
  } catch {
    // A Proxy's.
    return undefined;
  }
}

/**
 * An end by the wall clock on the engine's.
 *
 * @param {number} expiration
 * @param {number | undefined} ttl no lock ends later than its ttl from now, whatever the wall clock says
 */
function untilOf(expiration, ttl = LONGEST_FROM_NOW) {
  const left = Math.min(expiration - wallClock(), ttl);
  return left > 0 ? clock() + left : 0;
}

module.exports = { attachState, readState, stateOf, ownStateOf };
