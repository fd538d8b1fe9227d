'use strict';

/**
 * An AbortSignal of the caller's that ends a wait. It may be a polyfill's or somebody's own: it need not know how to stop
 * listening or why it was aborted, and what it throws must not leave anybody waiting.
 *
 * @template T
 * @typedef {object} Abandonment what is to be done about a request that nobody waits for any more
 * @property {() => void} cancel cancels it
 * @property {(outcome: T) => void} discard is called with what came of it all the same
 */

const { outOfRange, wrongType, showSetting } = require('./errors');
const { get } = require('./foreign');

class Signal {
  #signal;
  #listen;
  #unlisten;

  /** @param {any} signal */
  constructor(signal) {
    this.#signal = signal;
    this.#listen = get(signal, 'addEventListener');
    this.#unlisten = get(signal, 'removeEventListener');
    if (typeof get(signal, 'aborted') !== 'boolean' || typeof this.#listen !== 'function') {
      throw new TypeError('no AbortSignal');
    }
  }

  get aborted() {
    try {
      return get(this.#signal, 'aborted') === true;
    } catch {
      return false;
    }
  }

  /** Why it is aborted. Where it doesn't say, what a signal says by default. */
  get reason() {
    try {
      const reason = get(this.#signal, 'reason');
      if (reason !== undefined) return reason;
    } catch {
      // It doesn't say.
    }
    return new DOMException('This operation was aborted', 'AbortError');
  }

  /**
   * @param {() => void} listener is called once at most, perhaps before this returns
   * @returns {() => void} listens no longer
   */
  onAbort(listener) {
    let isListening = true;
    const once = () => {
      if (isListening) listener();
      isListening = false;
    };
    const known = fanOuts.get(this.#signal);
    const fanOut = known === undefined || known.isTold ? new FanOut() : known;
    fanOut.listeners.add(once);
    if (fanOut !== known) this.#listenFor(fanOut);
    return () => {
      isListening = false;
      fanOut.listeners.delete(once);
      if (fanOut.listeners.size === 0) this.#unlistenFor(fanOut);
    };
  }

  /** @param {FanOut} fanOut */
  #listenFor(fanOut) {
    fanOuts.set(this.#signal, fanOut);
    try {
      this.#listen.call(
        this.#signal,
        'abort',
        fanOut.tell,
        Object.assign(Object.create(null), { once: true }),
      );
    } catch {
      fanOuts.delete(this.#signal);
      throw outOfRange('OPTIONS', "signal can't be listened to: its addEventListener throws");
    }
  }

  /** @param {FanOut} fanOut */
  #unlistenFor(fanOut) {
    if (fanOuts.get(this.#signal) !== fanOut) return;
    fanOuts.delete(this.#signal);
    try {
      this.#unlisten?.call(this.#signal, 'abort', fanOut.tell);
    } catch {
      // Should it still call, nobody is there.
    }
  }
}

/** Those who wait for one signal. They share one listener on it, or many waits with one signal would look like a leak. */
class FanOut {
  /** @type {Set<() => void>} */
  listeners = new Set();
  /** Whether it has been aborted: a later wait needs another FanOut. */
  isTold = false;

  tell = () => {
    this.isTold = true;
    const told = [...this.listeners];
    this.listeners.clear();
    for (const listener of told) listener();
  };
}

/** By signal, for as long as anybody waits. @type {WeakMap<object, FanOut>} */
const fanOuts = new WeakMap();

/**
 * @param {any} signal
 * @returns {Signal | undefined}
 */
function readSignal(signal) {
  if (signal === undefined) return undefined;
  try {
    return new Signal(signal);
  } catch {
    throw wrongType('OPTIONS', `signal must be an AbortSignal, not ${showSetting(signal)}`);
  }
}

/**
 * What was asked for, unless the caller gives up first.
 *
 * @template T
 * @param {Signal} signal
 * @param {Promise<T>} asked which is never rejected
 * @param {Abandonment<T>} abandonment
 * @returns {Promise<T>} rejects with the signal's reason
 */
function unlessAborted(signal, asked, abandonment) {
  return new Promise((resolve, reject) => {
    let isGivenUp = false;
    const giveUp = (/** @type {unknown} */ reason) => {
      isGivenUp = true;
      abandonment.cancel();
      reject(reason);
    };
    let stop = () => {};
    asked.then((outcome) => {
      stop();
      if (!isGivenUp && signal.aborted) giveUp(signal.reason);
      if (isGivenUp) abandonment.discard(outcome);
      else resolve(outcome);
    });
    try {
      stop = signal.onAbort(() => giveUp(signal.reason));
    } catch (error) {
      giveUp(error);
    }
  });
}

module.exports = { Signal, readSignal, unlessAborted };
