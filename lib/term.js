'use strict';

/**
 * What the engine knows of a lock's validity, kept out of sight: in our own locks, and beside whatever else is
 * passed for one. Nobody needs it to release a lock; without it the lock's plain properties decide.
 *
 * All times are on the engine's clock. What `expiration` says by the wall clock is taken into it once, when a lock
 * is restored or first looked at: from then on it makes no difference that the wall clock is set.
 *
 * @typedef {{expiration: number}} LockLike what counts here of a face's lock
 * @typedef {import('./native').Answer} Answer
 * @typedef {import('./options').Settings} Settings
 * @typedef {import('./keep').Keep} Keep
 */

const { set } = require('./foreign');
const { clock } = require('./mailbox');

/**
 * A lock as the engine gave it.
 *
 * @type {(lock: Term & LockLike, answer: Answer, ttl: number, settings: Settings | undefined) => void}
 */
let stamp;

/**
 * The same terms for another lock on the same keys.
 *
 * @type {(lock: Term & LockLike, from: object) => void}
 */
let copy;

/**
 * A lock from elsewhere, of which it is known for how long it was asked for last.
 *
 * @type {(lock: Term & LockLike, ttl: number | undefined) => void}
 */
let restore;

/**
 * Takes over what an extension's answer says of the validity.
 *
 * @type {(lock: object, shown: number | undefined, answer: Answer, ttl: number) => void} shown: its `expiration`
 */
let believe;

/**
 * Its holder has released it.
 *
 * @type {(lock: object, shown: number | undefined) => void} shown: its `expiration`
 */
let end;

/**
 * Whether it was released, and nobody has given it another end since.
 *
 * @type {(lock: object, shown: number | undefined) => boolean} shown: its `expiration`
 */
let isReleased;

/**
 * How often it has ended, be it released or lost: another number than before says that it has meanwhile.
 *
 * @type {(lock: object) => number}
 */
let endsOf;

/**
 * When the lock's validity ends; 0 once it has, undefined where nothing says when.
 *
 * @type {(lock: object, shown: number | undefined) => number | undefined} shown: its `expiration`
 */
let deadlineOf;

/**
 * Since when it may have been held; 0 if that isn't known.
 *
 * @type {(lock: object) => number}
 */
let heldSince;

/**
 * For how long it may still be believed in, in ms.
 *
 * @type {(lock: LockLike) => number}
 */
let remainingOf;

/**
 * What was agreed on when it was taken: its ttl, and the settings of that call if it had some of its own.
 *
 * @type {(lock: object) => {ttl: number | undefined, settings: Settings | undefined}}
 */
let agreedOn;

/**
 * For how long it was asked for last, in ms; undefined where that isn't known.
 *
 * @type {(lock: object) => number | undefined}
 */
let spanOf;

/**
 * How the lock is kept, if it is.
 *
 * @type {(lock: object) => Keep | undefined}
 */
let keepOf;

/**
 * The lock is kept from now on.
 *
 * @type {(lock: object, keep: Keep) => void}
 */
let keepBy;

class Term {
  /** The `expiration` that belongs to `#until`; NaN, which equals nothing, if there is none yet. */
  #given = Number.NaN;
  /** Until when it may be believed in, as long as nobody has changed `expiration` meanwhile; 0 once it may not. */
  #until = 0;
  /** Since when it may have been held; 0 = unknown. */
  #since = 0;
  /** For how long it was taken, in ms. @type {number | undefined} */
  #ttl;
  /** For how long it was asked for last, in ms. @type {number | undefined} */
  #span;
  /** Of the call that took it, if it had some of its own. @type {Settings | undefined} */
  #settings;
  /** @type {Keep | undefined} */
  #keep;
  #isReleased = false;
  #ends = 0;

  static {
    /**
     * What is known of objects that aren't ours, or of ours behind a Proxy, or of what Object.create made of one.
     *
     * @type {WeakMap<object, Term>}
     */
    const strangers = new WeakMap();

    const nothing = new Term();

    /**
     * @param {object} lock
     * @returns {Term} not to be changed
     */
    const known = (lock) => (#until in lock ? lock : (strangers.get(lock) ?? nothing));

    /**
     * @param {object} lock
     * @returns {Term}
     */
    const termOf = (lock) => {
      const before = known(lock);
      if (before !== nothing) return before;
      const term = new Term();
      strangers.set(lock, term);
      return term;
    };

    stamp = (lock, answer, ttl, settings) => {
      lock.#ttl = ttl;
      lock.#span = ttl;
      lock.#settings = settings;
      lock.#given = answer.expiration;
      lock.#until = answer.until;
      lock.#since = answer.since;
    };
    copy = (lock, from) => {
      const term = known(from);
      if (term === nothing) return;
      lock.#given = term.#given;
      lock.#until = term.#until;
      lock.#since = term.#since;
      lock.#ttl = term.#ttl;
      lock.#span = term.#span;
      lock.#settings = term.#settings;
    };
    restore = (lock, ttl) => {
      lock.#span = ttl;
      deadlineOf(lock, lock.expiration);
    };
    believe = (lock, shown, answer, ttl) => {
      const term = termOf(lock);
      // It follows by itself what the engine knows.
      if (term.#keep?.isExtended) return;
      // A lock that is frozen goes on showing its old end.
      const isShown = set(lock, 'expiration', answer.expiration);
      term.#given = isShown || shown === undefined ? answer.expiration : shown;
      term.#until = answer.until;
      if (answer.until === 0) term.#ends += 1;
      else if (answer.failure === undefined) term.#span = ttl;
    };
    end = (lock, shown) => {
      const term = termOf(lock);
      const isShown = set(lock, 'expiration', 0);
      term.#given = isShown || shown === undefined ? 0 : shown;
      term.#until = 0;
      term.#isReleased = true;
      term.#ends += 1;
    };
    isReleased = (lock, shown) => {
      const term = known(lock);
      if (shown === 0 && term.#given !== 0) return true;
      return term.#isReleased && term.#until === 0 && term.#given === shown;
    };
    endsOf = (lock) => known(lock).#ends;
    deadlineOf = (lock, shown) => {
      const term = termOf(lock);
      if (term.#keep?.isExtended) return term.#keep.until;
      if (shown === undefined || shown === Number.POSITIVE_INFINITY) return undefined;
      if (term.#given !== shown) {
        term.#given = shown;
        term.#until = untilOf(shown, term.#span);
        // That is how a lock looks whose holder has released it, here or elsewhere.
        if (shown === 0) term.#isReleased = true;
      }
      return term.#until;
    };
    remainingOf = (lock) => {
      const keep = known(lock).#keep;
      const { expiration } = lock;
      const until = keep ? keep.until : typeof expiration === 'number' ? deadlineOf(lock, expiration) : 0;
      return until === undefined ? Number.POSITIVE_INFINITY : Math.max(0, until - clock());
    };
    agreedOn = (lock) => ({ ttl: known(lock).#ttl, settings: known(lock).#settings });
    spanOf = (lock) => {
      const term = known(lock);
      return term.#keep?.ttl ?? term.#span;
    };
    keepOf = (lock) => known(lock).#keep;
    keepBy = (lock, keep) => {
      termOf(lock).#keep = keep;
    };
    heldSince = (lock) => known(lock).#since;
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

module.exports = {
  Term,
  stamp,
  copy,
  restore,
  believe,
  end,
  isReleased,
  endsOf,
  deadlineOf,
  heldSince,
  remainingOf,
  agreedOn,
  spanOf,
  keepOf,
  keepBy,
};
