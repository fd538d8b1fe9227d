'use strict';

/**
 * What the engine knows of a lock's validity, kept out of sight in the lock: the part that all faces'
 * locks have in common. Nobody needs it to release a lock; without it the lock's plain properties decide.
 *
 * @typedef {{expiration: number}} LockLike what counts here of a face's lock
 * @typedef {import('./native').Answer} Answer
 * @typedef {import('./options').Settings} Settings
 * @typedef {import('./keep').Keep} Keep
 */

const { clock } = require('./native');

/**
 * A lock as the engine gave it.
 *
 * @type {(lock: Term & LockLike, answer: Answer, ttl: number, settings: Settings | undefined) => void}
 */
let stamp;

/**
 * The same terms for another lock on the same keys.
 *
 * @type {(lock: Term & LockLike, from: LockLike) => void}
 */
let copy;

/**
 * Takes over what an extension's answer says of the validity.
 *
 * @type {(lock: LockLike, answer: Answer) => void}
 */
let believe;

/**
 * When the lock's validity ends, on the engine's clock; undefined if its `expiration` decides.
 *
 * @type {(lock: LockLike) => number | undefined}
 */
let deadlineOf;

/**
 * Since when it may have been held, on the engine's clock; 0 if that isn't known.
 *
 * @type {(lock: LockLike) => number}
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
 * @type {(lock: LockLike) => {ttl: number | undefined, settings: Settings | undefined}}
 */
let agreedOn;

/**
 * How the lock is kept, if it is.
 *
 * @type {(lock: LockLike) => Keep | undefined}
 */
let keepOf;

/**
 * The lock is kept from now on.
 *
 * @type {(lock: LockLike, keep: Keep) => void}
 */
let keepBy;

class Term {
  // The engine's own times decide as long as nobody has changed `expiration` meanwhile: the wall
  // clock may be set, the engine's may not.
  /** The `expiration` that was given; NaN, which equals nothing, if the engine knows nothing of it. */
  #given = Number.NaN;
  /** Until when it may be believed in, on the engine's clock. */
  #until = 0;
  /** Since when it may have been held, on the engine's clock; 0 = unknown. */
  #since = 0;
  /** For how long it was asked for, in ms. @type {number | undefined} */
  #ttl;
  /** Of the call that took it, if it had some of its own. @type {Settings | undefined} */
  #settings;
  /** @type {Keep | undefined} */
  #keep;

  static {
    stamp = (lock, answer, ttl, settings) => {
      lock.#ttl = ttl;
      lock.#settings = settings;
      lock.#given = answer.expiration;
      lock.#until = answer.until;
      lock.#since = answer.since;
    };
    copy = (lock, from) => {
      if (!(#until in from)) return;
      lock.#given = from.#given;
      lock.#until = from.#until;
      lock.#since = from.#since;
      lock.#ttl = from.#ttl;
      lock.#settings = from.#settings;
    };
    believe = (lock, answer) => {
      // It follows by itself what the engine knows.
      if (#keep in lock && lock.#keep?.isExtended) return;
      lock.expiration = answer.expiration;
      if (#until in lock) {
        lock.#given = answer.expiration;
        lock.#until = answer.until;
      }
    };
    deadlineOf = (lock) => {
      if (!(#until in lock)) return undefined;
      if (lock.#keep?.isExtended) return lock.#keep.until;
      return lock.expiration === lock.#given ? lock.#until : undefined;
    };
    remainingOf = (lock) => {
      const until = #keep in lock && lock.#keep ? lock.#keep.until : deadlineOf(lock);
      return Math.max(0, until === undefined ? lock.expiration - Date.now() : until - clock());
    };
    agreedOn = (lock) =>
      #ttl in lock ? { ttl: lock.#ttl, settings: lock.#settings } : { ttl: undefined, settings: undefined };
    keepOf = (lock) => (#keep in lock ? lock.#keep : undefined);
    keepBy = (lock, keep) => {
      if (#keep in lock) lock.#keep = keep;
    };
    heldSince = (lock) => (#since in lock ? lock.#since : 0);
  }
}

module.exports = {
  Term,
  stamp,
  copy,
  believe,
  deadlineOf,
  heldSince,
  remainingOf,
  agreedOn,
  keepOf,
  keepBy,
};
