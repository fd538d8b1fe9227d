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
    const { code, votes } = /** @type {any} */ (error);
    this.#end('lost', { error: channels.told(error), code, votes: channels.votesOf(votes) });
  }

  /** A majority has said that it is gone. */
  gone() {
    this.#end('lost', { code: reasons.notHeld.code });
  }

  /** Its validity is over, and nobody has released it. */
  expired() {
    this.#end('lost', { code: reasons.expired.code });
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

  /**
   * @param {'released' | 'lost'} outcome
   * @param {Partial<import('./channels').Trace>} [more]
   */
  #end(outcome, more) {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#all.delete(this);
    clearTimeout(this.#timer);
    channels.hold.finish(this.#trace, { outcome, held: clock() - this.#since, ...more });
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
