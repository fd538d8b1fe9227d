'use strict';

/**
 * The time of day, by which people and other processes are told until when a lock is valid. It decides nothing where a lock's
 * state is known.
 */

// As it was when this was loaded.
const { now: own } = Date;
const { isFinite: isNumber } = Number;

/** What `Date.now` says by now, which a test may have replaced; its own time where that is none. */
function wallClock() {
  try {
    const now = Date.now();
    if (isNumber(now)) return now;
  } catch {
    // There is none any more, or it throws.
  }
  return own();
}

module.exports = { wallClock };
