'use strict';

/**
 * Keeps a lock extended while its routine runs, and says when it is lost. Timers of JavaScript's do it
 * here: all that `using` knows of them is `hold`, its signal and `stop`.
 */

const { ExecutionError, TEXTS } = require('./errors');

/**
 * @typedef {import('./lock').Lock} Lock
 * @typedef {AbortSignal & {error?: Error}} Signal
 * @typedef {object} Terms
 * @property {number} threshold what is left of a lock when it is extended, in ms
 * @property {(lock: Lock) => Promise<Lock>} extend makes one attempt
 * @property {() => number} wait until the next attempt, in ms
 */

/**
 * @param {Lock} lock that was acquired just now
 * @param {Terms} terms
 * @returns {{signal: Signal, stop: () => Lock}} `stop` returns the lock as it was extended last
 */
function hold(lock, terms) {
  const holding = new Holding(lock, terms);
  return { signal: holding.signal, stop: () => holding.stop() };
}

class Holding {
  #controller = new AbortController();
  #terms;
  #lock;
  /** When it ends, as `performance.now()` counts: the wall clock may be set. */
  #until = 0;
  #cancelExtension = nothing;
  #cancelEnd = nothing;
  /** Why the last attempt to extend it failed. @type {Error | undefined} */
  #trouble;
  #isOver = false;

  /**
   * @param {Lock} lock
   * @param {Terms} terms
   */
  constructor(lock, terms) {
    this.#terms = terms;
    this.#lock = lock;
    this.signal = watched(this.#controller.signal, () => this.#look());
    this.#keep(lock);
  }

  stop() {
    this.#over();
    return this.#lock;
  }

  #over() {
    this.#isOver = true;
    this.#cancelExtension();
    this.#cancelEnd();
  }

  /** @param {Lock} lock */
  #keep(lock) {
    const left = Math.max(0, lock.expiration - Date.now());
    this.#lock = lock;
    this.#trouble = undefined;
    this.#until = performance.now() + left;
    this.#cancelEnd();
    this.#cancelEnd = after(left, () => this.#look());
    this.#extendAfter(pause(left, this.#terms.threshold));
  }

  /** @param {number} ms */
  #extendAfter(ms) {
    this.#cancelExtension = after(ms, () => this.#extend());
  }

  async #extend() {
    let lock;
    try {
      lock = await this.#terms.extend(this.#lock);
    } catch (error) {
      if (!this.#isOver) this.#retry(/** @type {Error} */ (error));
      return;
    }
    // The routine may have ended meanwhile.
    if (!this.#isOver) this.#keep(lock);
  }

  /** @param {Error} error */
  #retry(error) {
    this.#trouble = error;
    // A majority has said that it is gone, or it was over before it was asked for.
    if (this.#lock.expiration === 0) this.#lose(error);
    else this.#extendAfter(this.#terms.wait());
  }

  /** Timers are late where JavaScript was kept busy. */
  #look() {
    if (this.#isOver || performance.now() < this.#until) return;
    this.#lose(this.#trouble ?? new ExecutionError(TEXTS.expired, []));
  }

  /** @param {Error} error */
  #lose(error) {
    this.#over();
    this.signal.error = error;
    this.#controller.abort(error);
  }
}

/**
 * Whoever asks a signal whether it was aborted is told what is true now.
 *
 * @param {Signal} signal
 * @param {() => void} look may abort it
 */
function watched(signal, look) {
  const prototype = Object.getPrototypeOf(signal);
  const isAborted = Object.getOwnPropertyDescriptor(prototype, 'aborted')?.get;
  const aborted = () => {
    look();
    return isAborted?.call(signal);
  };
  const throwIfAborted = () => {
    look();
    prototype.throwIfAborted.call(signal);
  };
  return Object.defineProperties(signal, {
    aborted: { get: aborted, configurable: true },
    throwIfAborted: { value: throwIfAborted, writable: true, configurable: true },
  });
}

/** Shares of what is left: an extension at its very end comes too late, and one at once is in vain. */
const EARLIEST = 0.1;
const LATEST = 0.9;

/**
 * @param {number} left
 * @param {number} threshold
 */
function pause(left, threshold) {
  return Math.min(Math.max(left - threshold, left * EARLIEST), left * LATEST);
}

/** The longest that a timer can wait; with more it is over at once. */
const LONGEST = 2 ** 31 - 1;

/**
 * @param {number} ms however many
 * @param {() => void} callback
 * @returns {() => void} cancels it
 */
function after(ms, callback) {
  const end = performance.now() + ms;
  /** @type {NodeJS.Timeout} */
  let timer;
  // A timer may be early, too, by a fraction of a millisecond.
  const wait = () => {
    const left = Math.ceil(end - performance.now());
    if (left <= 0) callback();
    else timer = setTimeout(wait, Math.min(left, LONGEST));
  };
  timer = setTimeout(wait, Math.min(Math.ceil(ms), LONGEST));
  return () => clearTimeout(timer);
}

function nothing() {}

module.exports = { hold };
