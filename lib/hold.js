'use strict';

/** From a lock's grant to its release or loss, as `redlock:hold` tells it: there is none where nobody listens. */

const channels = require('./channels');
const { clock } = require('./addon');
const { reasons } = require('./constants');

/**
 * @typedef {object} Held what is known of a lock, as its state
 * @property {number} until until when it may be believed in, on the engine's clock
 * @property {Hold} [hold]
 * @property {{hold?: Hold}} [watchdog]
 */

// As it was when this was loaded.
const { setTimeout, clearTimeout } = require('node:timers');

/** setTimeout's longest. */
const LONGEST_TIMER = 2 ** 31 - 1;

class Hold {
  #trace;
  #since;
  #all;
  #isOver = false;
  /** @type {NodeJS.Timeout | undefined} */
  #timer;

  /**
   * @param {readonly string[]} names
   * @param {number} ttl
   * @param {number} since on the engine's clock
   * @param {Set<Hold>} all those that go on
   */
  constructor(names, ttl, since, all) {
    this.#trace = new channels.Trace([...names], ttl);
    this.#since = since;
    this.#all = all;
    all.add(this);
    channels.hold.begin(this.#trace);
  }

  /** The holder has let go of it. */
  released() {
    this.#end('released');
  }

  /** @param {unknown} error why it is held no more */
  lost(error) {
    if (this.#isOver) return;
    this.#trace.note({ outcome: 'lost' });
    this.#trace.noteError(error);
    this.#end('lost');
  }

  /** A majority has said that it is gone. */
  gone() {
    this.#lostBy(reasons.notHeld.code);
  }

  /** Its validity is over, and nobody has released it. */
  expired() {
    this.#lostBy(reasons.expired.code);
  }

  /** @param {string} code */
  #lostBy(code) {
    if (this.#isOver) return;
    this.#trace.note({ code });
    this.#end('lost');
  }

  /**
   * Another lock stands for the same from now on.
   *
   * @param {Held} state its
   */
  passTo(state) {
    state.hold = this;
    if (state.watchdog) state.watchdog.hold = this;
    if (!this.#isOver) this.#endWith(state);
  }

  /**
   * Ends it when the validity ends, whoever looks at the lock by then.
   *
   * @param {Held} state
   */
  #endWith(state) {
    clearTimeout(this.#timer);
    this.#wait(new WeakRef(state), state.until);
  }

  /**
   * @param {WeakRef<Held>} state
   * @param {number} until
   */
  #wait(state, until) {
    const left = Math.min(Math.max(1, Math.ceil(until - clock())), LONGEST_TIMER);
    const look = () => {
      // An extension, or one that goes on by itself, has moved it.
      const now = state.deref()?.until ?? until;
      if (now > clock()) this.#wait(state, now);
      else this.expired();
    };
    this.#timer = setTimeout(look, left);
    this.#timer.unref?.();
  }

  /** @param {'released' | 'lost'} outcome */
  #end(outcome) {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#all.delete(this);
    clearTimeout(this.#timer);
    this.#trace.note({ outcome, held: clock() - this.#since });
    channels.hold.finish(this.#trace);
  }
}

/**
 * Tells that a lock is held from now on. To be called where somebody listens.
 *
 * @param {Held & {heldSince: number}} state
 * @param {readonly string[]} names
 * @param {number} ttl
 * @param {Set<Hold>} all
 */
function beginHold(state, names, ttl, all) {
  new Hold(names, ttl, state.heldSince || clock(), all).passTo(state);
}

module.exports = { Hold, beginHold };
