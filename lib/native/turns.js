'use strict';

/**
 * The turns of answers that say until when something is valid. They are settled one after the other, each only once
 * all that the one before has set off is done: whoever is told first may block the thread for long, and the validity
 * of those that come after must be looked at after that.
 */

const { tellNow } = require('../channels');
const { currentMailbox, onRest, IMMEDIATES_LOST_AFTER, after } = require('./mailbox');
const { requests } = require('./requests');
const { slots } = require('./slots');
const { canRunTicks, runTicks } = require('./ticks');

// As they were when this was loaded: see `#awaitImmediates`.
const { setImmediate } = require('node:timers');

/** @typedef {import('./answer').Answer} Answer */

/** How much of what is done is kept before it is cut off. */
const LONGEST_TAIL = 4096;

/** As many requests as are worth a hand-over. */
const MANY = 128;

/** After so many turns in one call of native's, the event loop goes round before the next. */
const MOST_AT_ONCE = 1000;

/** Deno runs microtasks and ticks only after several of native's calls: each turn has an event of its own there. */
const CALLS_ARE_TOGETHER = process.versions.deno !== undefined;

/** How often it is looked at again whether immediates are lost, once the event loop has gone round. */
const LOOKS = 3;

class Turns {
  /** Each slot whose turn has not come, and its answer. @type {(number | Answer)[]} */
  #waiting = [];
  /** Where the next one is in it. */
  #next = 0;
  #isTurning = false;
  /** How often native was asked to call, and has not yet. */
  #callsToCome = 0;
  /** Whether a turn is open whose answer is told in an event of its own. */
  #isLate = false;
  #lateTurns = 0;
  /** Whether a timer looks whether that turn ends. */
  #isWatched = false;
  /** A test's clock has taken the place of `setImmediate`. */
  #areImmediatesLost = false;
  /** What is told once that turn is over. @type {(() => void)[]} */
  #postponed = [];
  #drain;

  /** @param {() => number} drain takes all answers there are, and adds those that have turns; returns how many there were */
  constructor(drain) {
    this.#drain = drain;
    onRest(() => {
      this.#callsToCome = 0;
    });
  }

  /**
   * @param {number} slot
   * @param {Answer} answer
   */
  add(slot, answer) {
    slots.prepare(slot, answer);
    this.#waiting.push(slot, answer);
  }

  /**
   * Native calls it when there is something to drain; and once for each answer that has a turn of its own, where what a
   * turn has set off can't be done before that.
   */
  wake = () => {
    if (this.#callsToCome > 0) this.#callsToCome -= 1;
    if (this.#isTurning && !this.#isLate) this.#take(false);
    else {
      const count = this.#drain();
      if (this.#waiting.length > 0 && !this.#isTurning) {
        this.#isTurning = true;
        requests.isHeldBack = true;
        // What others were told in this drain may block the thread as well, and is done before the first turn.
        if (count > 1 && canRunTicks()) this.#takeAtOnce();
        else if (count === this.#left) this.#take(false);
      }
    }
    this.#askForCalls();
  };

  /**
   * Tells something that is no answer: not between the look at an answer and its hand-over, as it may take long.
   *
   * @param {() => void} tell must not throw
   */
  between(tell) {
    if (this.#isLate) this.#postponed.push(tell);
    else tell();
  }

  /** How many have not had their turns. */
  get #left() {
    return (this.#waiting.length - this.#next) / 2;
  }

  /** One after the other, for as long as what each has set off can be done. */
  #takeAtOnce() {
    let more = MOST_AT_ONCE;
    let isDone = true;
    while (isDone && this.#isTurning && more > 0) {
      this.#take(true);
      if (this.#isLate) return;
      isDone = runTicks();
      more -= 1;
      this.#passOn();
    }
  }

  #askForCalls() {
    if (!this.#isTurning || this.#isLate || this.#callsToCome > 0) return;
    // One more for a drain, before which nothing but this keeps the process alive.
    this.#callsToCome = this.#left + 1;
    currentMailbox()?.wakeAgain(this.#callsToCome);
  }

  /** @param {boolean} isAtOnce whether its turn ends before whoever calls this goes on */
  #take(isAtOnce) {
    // Who was answered before has gone on by now; and who listens to that may take long.
    tellNow();
    const slot = /** @type {number} */ (this.#waiting[this.#next]);
    const answer = /** @type {Answer} */ (this.#waiting[this.#next + 1]);
    this.#next += 2;
    const isHeardLate = slots.isHeardLate(slot) || CALLS_ARE_TOGETHER;
    if (isHeardLate && !this.#areImmediatesLost) this.#awaitImmediates();
    else if (!isAtOnce) this.#passOn();
    slots.settle(slot, answer);
  }

  /** The next turn's answer is to come, if there is one; what was asked for in those before goes out. */
  #passOn() {
    if (this.#next > LONGEST_TAIL) {
      this.#waiting = this.#waiting.slice(this.#next);
      this.#next = 0;
    }
    if (this.#next < this.#waiting.length) {
      // Nor does what was asked for wait for all of them.
      if (requests.count >= MANY) requests.flush();
      return;
    }
    this.#waiting = [];
    this.#next = 0;
    this.#isTurning = false;
    requests.isHeldBack = false;
    requests.flush();
  }

  /** Libraries such as bluebird schedule theirs in the same way: all that they do for the answer comes before the second. */
  #awaitImmediates() {
    this.#isLate = true;
    this.#lateTurns += 1;
    const which = this.#lateTurns;
    setImmediate(() => setImmediate(() => this.#endLate(which)));
    if (!this.#isWatched) this.#watch(which, IMMEDIATES_LOST_AFTER, LOOKS);
  }

  /** @param {number} which */
  #endLate(which) {
    if (!this.#isLate || which !== this.#lateTurns) return;
    this.#isLate = false;
    requests.flush();
    for (const tell of this.#postponed.splice(0)) tell();
    this.#passOn();
    if (this.#isTurning) this.#take(false);
    // A drain may have come meanwhile.
    this.#callsToCome = 0;
    this.#askForCalls();
  }

  /**
   * @param {number} which turn may not end
   * @param {number} ms
   * @param {number} looks
   */
  #watch(which, ms, looks) {
    this.#isWatched = true;
    after(ms, () => {
      this.#isWatched = false;
      if (!this.#isLate) return;
      if (which !== this.#lateTurns) this.#watch(this.#lateTurns, IMMEDIATES_LOST_AFTER, LOOKS);
      else if (looks > 0) this.#watch(which, 0, looks - 1);
      else {
        this.#areImmediatesLost = true;
        this.#endLate(which);
      }
    });
  }
}

module.exports = { Turns };
