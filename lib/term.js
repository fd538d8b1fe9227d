'use strict';

/**
 * What the engine knows of a lock's validity, kept out of sight: in our own locks, and beside whatever else is
 * passed for one. Nobody needs it to release a lock; without it the lock's plain properties decide.
 *
 * A lock has its term by reference, under a symbol that nobody else knows: a Proxy of it, and what Object.create makes
 * of it, find the same one, so that what one of them has released none of them believes in. It isn't enumerable, so
 * that a copy is plain data, as is a lock that another process has stored: then its `expiration` decides. So it does
 * where a lock's resource or value are others than were granted.
 *
 * All times are on the engine's clock. What `expiration` says by the wall clock is taken into it once, when a lock
 * is restored or first looked at: from then on it makes no difference that the wall clock is set.
 *
 * @typedef {{names: readonly unknown[], value: unknown}} Keys what a lock is on, as it says
 * @typedef {import('./native').Answer} Answer
 * @typedef {import('./options').Settings} Settings
 * @typedef {import('./keep').Keep} Keep
 */

const { bare, set } = require('./foreign');
const { clock } = require('./native');

/** Under it is a function: whoever wraps all objects that are read through a Proxy leaves functions alone, or binds them. */
const TERM = Symbol('term');

class Term {
  /** The lock itself, whatever stands for it. */
  lock;
  #names;
  #value;
  /** The `expiration` that belongs to `#until`; NaN, which equals nothing, if there is none yet. */
  #given = Number.NaN;
  /** Until when it may be believed in, as long as nobody has changed `expiration` meanwhile; 0 once it may not. */
  #until = 0;
  /** Since when it may have been held; 0 = unknown. */
  since = 0;
  /** For how long it was taken, in ms. @type {number | undefined} */
  ttl;
  /** For how long it was asked for last, in ms. @type {number | undefined} */
  #span;
  /** Of the call that took it, if it had some of its own. @type {Settings | undefined} */
  settings;
  /** How it is kept, if it is. @type {Keep | undefined} */
  keep;
  #isReleased = false;
  /** How often it has ended, be it released or lost: another number than before says that it has meanwhile. */
  ends = 0;

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
  begin(answer, ttl, settings) {
    this.ttl = ttl;
    this.#span = ttl;
    this.settings = settings;
    this.#given = answer.expiration;
    this.#until = answer.until;
    this.since = answer.since;
  }

  /**
   * The same for another lock on the same keys.
   *
   * @param {Term} from
   */
  copy(from) {
    this.#given = from.#given;
    this.#until = from.#until;
    this.since = from.since;
    this.ttl = from.ttl;
    this.#span = from.#span;
    this.settings = from.settings;
  }

  /**
   * It is from elsewhere, and it is known for how long it was asked for last.
   *
   * @param {number} shown its `expiration`
   * @param {number | undefined} ttl
   */
  restore(shown, ttl) {
    this.#span = ttl;
    this.deadline(shown);
  }

  /**
   * Takes over what an extension's answer says of the validity.
   *
   * @param {object} lock what stands for it
   * @param {number | undefined} shown its `expiration`
   * @param {Answer} answer
   * @param {number} ttl
   */
  believe(lock, shown, answer, ttl) {
    // It follows by itself what the engine knows.
    if (this.keep?.isExtended) return;
    this.#show(lock, shown, answer.expiration);
    this.#until = answer.until;
    if (answer.until === 0) this.ends += 1;
    else if (answer.failure === undefined) this.#span = ttl;
  }

  /**
   * Its holder has released it.
   *
   * @param {object} lock what stands for it
   * @param {number | undefined} shown its `expiration`
   */
  end(lock, shown) {
    this.#show(lock, shown, 0);
    this.#until = 0;
    this.#isReleased = true;
    this.ends += 1;
  }

  /**
   * @param {object} lock
   * @param {number | undefined} shown
   * @param {number} expiration
   */
  #show(lock, shown, expiration) {
    // A lock that is frozen goes on showing its old end.
    const isShown = set(lock, 'expiration', expiration);
    if (lock !== this.lock) set(this.lock, 'expiration', expiration);
    this.#given = isShown || shown === undefined ? expiration : shown;
  }

  /**
   * Whether it was released, and nobody has given it another end since.
   *
   * @param {number | undefined} shown its `expiration`
   */
  isReleasedAs(shown) {
    if (shown === 0 && this.#given !== 0) return true;
    return this.#isReleased && this.#until === 0 && this.#given === shown;
  }

  /**
   * When the lock's validity ends; 0 once it has, undefined where nothing says when.
   *
   * @param {number | undefined} shown its `expiration`
   * @returns {number | undefined}
   */
  deadline(shown) {
    if (this.keep?.isExtended) return this.keep.until;
    if (shown === undefined || shown === Number.POSITIVE_INFINITY) return undefined;
    if (this.#given !== shown) {
      this.#given = shown;
      this.#until = untilOf(shown, this.#span);
      // That is how a lock looks whose holder has released it, here or elsewhere.
      if (shown === 0) this.#isReleased = true;
    }
    return this.#until;
  }

  /** For how long it was asked for last, in ms; undefined where that isn't known. @returns {number | undefined} */
  get span() {
    return this.keep?.ttl ?? this.#span;
  }

  /** @param {Keys} keys */
  isOn({ names, value }) {
    const own = this.#names;
    if (value !== this.#value || names.length !== own.length) return false;
    for (let at = 0; at < own.length; at++) if (names[at] !== own[at]) return false;
    return true;
  }

  /**
   * What inherits from the lock may have been given an end of its own: then that decides, but once this one has ended
   * it has too.
   *
   * @param {object} lock
   * @param {Keys} keys
   * @returns {Term}
   */
  seenFrom(lock, keys) {
    if (Object.hasOwn(lock, TERM) || !Object.hasOwn(lock, 'expiration')) return this;
    const { expiration } = /** @type {{expiration?: any}} */ (lock);
    if (expiration === this.#given) return this;
    if (this.#until > 0 || this.ends === 0) return strangerOf(lock, keys);
    const ended = new Term(lock, keys.names, keys.value);
    ended.#given = expiration;
    ended.#isReleased = this.#isReleased;
    ended.ends = this.ends;
    return ended;
  }
}

/**
 * Gives a lock of ours its term.
 *
 * @param {object} lock
 * @param {unknown} resource
 * @param {unknown} value
 */
function tie(lock, resource, value) {
  const term = new Term(lock, Array.isArray(resource) ? resource.slice() : [resource], value);
  HIDDEN.value = () => term;
  Object.defineProperty(lock, TERM, HIDDEN);
  // It would keep the lock, and its Redlock with it.
  HIDDEN.value = undefined;
}

/** One for all: it is copied at once, and a lock's making shouldn't take longer for it. @type {PropertyDescriptor} */
const HIDDEN = bare({ value: undefined, configurable: true });

/**
 * What is known of objects that aren't ours, or of ours that were changed.
 *
 * @type {WeakMap<object, Term>}
 */
const strangers = new WeakMap();

/**
 * @param {object} lock
 * @param {Keys} keys
 * @returns {Term}
 */
function termOf(lock, keys) {
  const own = ownOf(lock);
  return own?.isOn(keys) ? own.seenFrom(lock, keys) : strangerOf(lock, keys);
}

/**
 * @param {object} lock
 * @param {Keys} keys
 * @returns {Term}
 */
function strangerOf(lock, keys) {
  const known = strangers.get(lock);
  if (known?.isOn(keys)) return known;
  const term = new Term(lock, [...keys.names], keys.value);
  strangers.set(lock, term);
  return term;
}

/**
 * Of a lock of ours, or what stands for one.
 *
 * @param {any} lock
 * @returns {Term | undefined}
 */
function ownOf(lock) {
  try {
    const tell = lock[TERM];
    const term = typeof tell === 'function' ? tell() : undefined;
    return term instanceof Term ? term : undefined;
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
function untilOf(expiration, ttl = LONGEST) {
  const left = Math.min(expiration - Date.now(), ttl);
  return left > 0 ? clock() + left : 0;
}

/** In ms; a hundred years, which the engine's clock can count. */
const LONGEST = 3.2e12;

module.exports = { tie, termOf, ownOf };
