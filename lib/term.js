'use strict';

/**
 * What the engine knows of a lock's validity, kept out of sight in the lock: the part that all faces'
 * locks have in common. Nobody needs it to release a lock; without it the lock's plain properties decide.
 *
 * @typedef {import('./arguments').LockLike} LockLike
 * @typedef {import('./native').Answer} Answer
 */

/**
 * A lock as the engine gave it.
 *
 * @type {(lock: Term & LockLike, answer: Answer) => void}
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

class Term {
  // The engine's own times decide as long as nobody has changed `expiration` meanwhile: the wall
  // clock may be set, the engine's may not.
  /** The `expiration` that was given; NaN, which equals nothing, if the engine knows nothing of it. */
  #given = Number.NaN;
  /** Until when it may be believed in, on the engine's clock. */
  #until = 0;
  /** Since when it may have been held, on the engine's clock; 0 = unknown. */
  #since = 0;

  static {
    stamp = (lock, answer) => {
      lock.#given = answer.expiration;
      lock.#until = answer.until;
      lock.#since = answer.since;
    };
    copy = (lock, from) => {
      if (!(#until in from)) return;
      lock.#given = from.#given;
      lock.#until = from.#until;
      lock.#since = from.#since;
    };
    believe = (lock, answer) => {
      lock.expiration = answer.expiration;
      if (#until in lock) {
        lock.#given = answer.expiration;
        lock.#until = answer.until;
      }
    };
    deadlineOf = (lock) => (#until in lock && lock.expiration === lock.#given ? lock.#until : undefined);
    heldSince = (lock) => (#since in lock ? lock.#since : 0);
  }
}

module.exports = { Term, stamp, copy, believe, deadlineOf, heldSince };
