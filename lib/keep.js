'use strict';

/**
 * A lock that is kept: its end is watched, and put off if it is to be extended, in the engine's own thread.
 * JavaScript is told of its loss, and sees it by itself the first time it looks after having been blocked.
 *
 * @typedef {object} Renewal
 * @property {number} ttl for how long each extension is, in ms
 * @property {number} lead how long before its end it is extended, in ms
 * @property {number} cap the point on the engine's clock beyond which it isn't; 0 = none
 * @typedef {object} Held
 * @property {readonly string[]} names
 * @property {string} value
 * @property {number} until until when it may be believed in, on the engine's clock
 * @property {import('./options').Settings} settings of its extensions
 * @typedef {(failure: import('./errors').Failure, names: readonly string[]) => Error} MakeError
 */

const { explain } = require('./cause');
const { LockError } = require('./errors');
const { bare } = require('./foreign');
const { clock } = require('./addon');
const { soon } = require('./native/calls');
const { Context } = require('./native/context');
const { stayAwake } = require('./native/keep-alive');

// As it was when this was loaded.
const { setTimeout } = require('node:timers');

/** setTimeout's longest. */
const LONGEST_TIMER = 2 ** 31 - 1;

let last = 0;

/** Those that a routine runs under. @type {Set<Keep>} */
const pinned = new Set();

/** Those that are only watched, until their end. @type {Set<Keep>} */
const watched = new Set();

class Keep {
  #number;
  #engine;
  #held;
  /** @type {WeakRef<object>} */
  #lock;
  #controller = new AbortController();
  /** Of whoever has the lock: its loss is told there. */
  #context = new Context();
  #makeError;
  /** Why it is lost. @type {Error | undefined} */
  #error;
  #isReleased = false;
  #isExtended = false;
  /** Its end is no loss: its signal tells it all the same. */
  #isMeantToEnd = false;
  #ttl = 0;
  #cap = 0;

  /**
   * @param {import('./native').Engine} engine
   * @param {object} lock is let go of when it is garbage-collected
   * @param {Held} held
   * @param {MakeError} makeError what its loss is told with
   */
  constructor(engine, lock, held, makeError = lossOf) {
    last = (last + 1) % 2 ** 32;
    this.#number = last;
    this.#engine = engine;
    this.#held = held;
    this.#makeError = makeError;
    this.#lock = new WeakRef(lock);
    collected.register(lock, { engine, number: this.#number }, this);
    watchBy(this.#controller.signal, this, lock);
  }

  /** Aborted when the lock is lost. It keeps the lock alive. */
  get signal() {
    return this.#controller.signal;
  }

  /** Whether it is extended, so that its end moves by itself. */
  get isExtended() {
    return this.#isExtended;
  }

  /** For how long each extension is, in ms; undefined if there is none. */
  get ttl() {
    return this.#isExtended ? this.#ttl : undefined;
  }

  /** @param {Renewal} [renewal] how it is extended, if it is */
  start(renewal) {
    const { names, value, settings } = this.#held;
    const until = this.#isExtended ? this.until : this.#held.until;
    const { ttl, lead, cap } = renewal ?? NO_RENEWAL;
    this.#isExtended = renewal !== undefined;
    this.#isMeantToEnd = false;
    this.#ttl = ttl;
    // Who waits for the signal's event alone has nothing else that keeps it; this ends with the ttl.
    if (this.#isExtended) watched.delete(this);
    else watched.add(this);
    this.#cap = cap;
    const { driftFactor, delay, retryJitter } = settings;
    const terms = [until, ttl, lead, cap, driftFactor, delay, retryJitter];
    this.#engine.keep(this, this.#number, terms, value, names);
  }

  /** It is extended no more, and ends as it is meant to. */
  stop() {
    if (!this.#isExtended || this.#isReleased || this.#error) return;
    this.start();
    this.#isMeantToEnd = true;
  }

  /** Until when the lock may be believed in, on the engine's clock; 0 once it is not. */
  get until() {
    return this.#isReleased || this.#error ? 0 : this.#engine.keptUntil(this.#number);
  }

  /**
   * Runs a routine under the lock. Its signal's loss may be all that it waits for, which by itself would not
   * keep the process.
   *
   * @template T
   * @param {() => T} routine
   * @returns {Promise<Awaited<T>>}
   */
  async during(routine) {
    // Nor would it keep the lock from being collected.
    const letSleep = stayAwake();
    pinned.add(this);
    try {
      return await routine();
    } finally {
      pinned.delete(this);
      letSleep();
    }
  }

  /** Its holder lets go of it. */
  release() {
    this.#isReleased = true;
    watched.delete(this);
    collected.unregister(this);
    this.#engine.letGo(this.#number);
  }

  /**
   * Looks at the engine's clock.
   *
   * @returns {Error | undefined} why it is lost, if it is
   */
  look() {
    if (this.#error || this.#isReleased) return this.#error;
    const until = this.#engine.keptUntil(this.#number);
    if (until > clock()) return undefined;
    const isCapped = this.#cap > 0 && until >= this.#cap - NEAR;
    const code = until === 0 ? 'NOT_HELD' : isCapped ? 'MAX_HOLD' : 'EXPIRED';
    this.#error = this.#lossFor({ code: `ERR_REDLOCK_${code}`, reason: REASONS[code], votes: [] });
    // Who looks must not run the listeners.
    soon(() => this.#abort());
    return this.#error;
  }

  /**
   * Native says that it is lost.
   *
   * @param {import('./native').NativeFailure} failure
   * @param {boolean} [isTold] whether there is an event of it
   */
  lose(failure, isTold = true) {
    if (this.#isReleased) return;
    watched.delete(this);
    collected.unregister(this);
    // The last extension may have failed at the very end, or just before: both are the same loss.
    const isOver = OVER.includes(failure.code);
    this.#error ??= this.#lossFor(isOver ? { ...failure, code: 'ERR_REDLOCK_EXPIRED' } : failure);
    this.#abort();
    if (isTold) this.#tell();
  }

  #abort() {
    const { signal } = this.#controller;
    // From now on it says so by itself. One that says so before it is aborted would not be aborted any more.
    for (const key of WATCHED) Reflect.deleteProperty(signal, key);
    this.#context.runInAsyncScope(() => this.#controller.abort(this.#error));
  }

  /**
   * Native tells nothing any more: timers do, as well as they can.
   */
  orphan() {
    watched.delete(this);
    if (this.#isReleased) return;
    if (this.look()) {
      this.#tell();
      return;
    }
    const left = Math.min(Math.max(1, Math.ceil(this.until - clock())), LONGEST_TIMER);
    const self = new WeakRef(this);
    setTimeout(() => self.deref()?.orphan(), left).unref();
  }

  #tell() {
    if (!this.#isMeantToEnd) this.#engine.tell('lost', this.#error, this.#lock.deref());
  }

  /** @param {import('./native').NativeFailure} failure */
  #lossFor(failure) {
    const { names } = this.#held;
    const request = /** @type {const} */ ({ operation: 'extend', names, ttl: 0 });
    return this.#makeError(explain(failure, request, this.#engine.addresses), names);
  }
}

/** @type {MakeError} */
function lossOf(failure, names) {
  return new LockError(`The lock on resource "${names}" is no longer held.`, 0, failure);
}

/** @type {Renewal} */
const NO_RENEWAL = { ttl: 0, lead: 0, cap: 0 };

/** As near to its cap as no extension is worth while. */
const NEAR = 5;

/** What an extension fails with when there was no time left for another. */
const OVER = ['ERR_REDLOCK_UNAVAILABLE', 'ERR_REDLOCK_TOO_SLOW'];

/** @type {Record<string, string>} */
const REASONS = {
  NOT_HELD: 'the lock is no longer held',
  MAX_HOLD: 'it was held for as long as maxHold allows',
  EXPIRED: "the lock's validity had passed",
};

/** A lock that nobody can unlock any more isn't extended any more. */
const collected = new FinalizationRegistry(
  (/** @type {{engine: import('./native').Engine, number: number}} */ { engine, number }) =>
    engine.letGo(number),
);

/**
 * Has the signal look for itself whenever it is asked.
 *
 * @param {AbortSignal} signal
 * @param {Keep} keep
 * @param {object} lock is kept alive by it
 */
function watchBy(signal, keep, lock) {
  Object.defineProperties(signal, {
    aborted: bare({ configurable: true, get: () => keep.look() !== undefined }),
    reason: bare({ configurable: true, get: () => keep.look() }),
    throwIfAborted: {
      configurable: true,
      value() {
        const error = keep.look();
        if (error) throw error;
      },
    },
    [HELD]: { value: lock },
  });
}

const HELD = Symbol('lock');

/** What a signal says by itself once it is aborted. */
const WATCHED = ['aborted', 'reason', 'throwIfAborted'];

module.exports = { Keep };
