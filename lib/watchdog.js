'use strict';

/**
 * A lock whose loss is watched for, and which is extended if it is to be, both in the engine's own thread. JavaScript is
 * told of its loss; after having been blocked, it sees the loss the first time it checks, before it is told.
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
 * @property {number} [wakeups] `WAKEUPS` if its keys are watched; they aren't otherwise
 * @typedef {(failure: import('./errors').Failure, names: readonly string[]) => Error} MakeError
 */

const { explain } = require('./cause');
const channels = require('./channels');
const { LockError } = require('./errors');
const { bare } = require('./foreign');
const { clock } = require('./addon');
const { soon } = require('./native/calls');
const { reasons } = require('./constants');
const { Context } = require('./native/context');
const { keepAlive } = require('./native/mailbox');

// As it was when this was loaded.
const { setTimeout } = require('node:timers');

/** setTimeout's longest. */
const LONGEST_TIMER = 2 ** 31 - 1;

let lastNumber = 0;

/** Those that a routine runs under: nothing else may refer to them. @type {Set<Watchdog>} */
const inUse = new Set();

/**
 * Those that are watched and not extended, until their end: a listener of the signal's keeps neither it nor the lock
 * alive, and would never be called.
 *
 * @type {Set<Watchdog>}
 */
const onlyWatched = new Set();

class Watchdog {
  #number;
  #engine;
  #held;
  /** @type {WeakRef<object>} */
  #lock;
  #controller = new AbortController();
  /** Of the caller who has the lock: its loss is told there. */
  #context = new Context();
  #makeError;
  /** Why it is lost. @type {Error | undefined} */
  #error;
  #isReleased = false;
  #isExtended = false;
  /** Its end is no loss, and no event: only its signal tells it. */
  #isMeantToEnd = false;
  #ttl = 0;
  /** What tells others how long the lock is held, if anybody listens. @type {import('./hold').Hold | undefined} */
  hold;

  /**
   * @param {import('./native').Engine} engine
   * @param {object} lock is let go of when it is garbage-collected
   * @param {Held} held
   * @param {MakeError} makeError what its loss is told with
   */
  constructor(engine, lock, held, makeError = lossOf) {
    lastNumber = (lastNumber + 1) % 2 ** 32;
    this.#number = lastNumber;
    this.#engine = engine;
    this.#held = held;
    this.#makeError = makeError;
    this.#lock = new WeakRef(lock);
    collected.register(lock, { engine, number: this.#number }, this);
    checkWhenAsked(this.#controller.signal, this, lock);
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
    const { names, value, settings, wakeups = 0 } = this.#held;
    const until = this.#isExtended ? this.until : this.#held.until;
    const { ttl, lead, cap } = renewal ?? NO_RENEWAL;
    this.#isExtended = renewal !== undefined;
    this.#isMeantToEnd = false;
    this.#ttl = ttl;
    if (this.#isExtended) onlyWatched.delete(this);
    else onlyWatched.add(this);
    const { driftFactor, delay, retryJitter } = settings;
    const terms = [until, ttl, lead, cap, driftFactor, delay, retryJitter, wakeups];
    this.#engine.watch(this, this.#number, terms, value, names);
  }

  /** It is extended no more, and ends as it is meant to. */
  stop() {
    if (!this.#isExtended || this.#isReleased || this.#error) return;
    this.start();
    this.#isMeantToEnd = true;
  }

  /** Until when the lock may be believed in, on the engine's clock; 0 once it is not. */
  get until() {
    return this.#isReleased || this.#error ? 0 : this.#engine.watchedUntil(this.#number);
  }

  /**
   * Runs a routine under the lock, and keeps the process and the lock alive meanwhile: the routine may wait for nothing
   * but its signal's event, which keeps neither.
   *
   * @template T
   * @param {() => T} routine
   * @returns {Promise<Awaited<T>>}
   */
  async during(routine) {
    const letSleep = keepAlive();
    inUse.add(this);
    try {
      return await routine();
    } finally {
      inUse.delete(this);
      letSleep();
    }
  }

  /** The one that keeps it. */
  get engine() {
    return this.#engine;
  }

  /** Its holder lets go of it. */
  release() {
    this.#isReleased = true;
    onlyWatched.delete(this);
    collected.unregister(this);
    this.#engine.unwatch(this.#number);
  }

  /**
   * Checks with native whether it is lost by now.
   *
   * @returns {Error | undefined} why it is lost, if it is
   */
  check() {
    if (this.#error || this.#isReleased) return this.#error;
    const number = this.#engine.endedBy(this.#number);
    if (number === 0) return undefined;
    const { code, reason } = REASONS.get(number) ?? reasons.notHeld;
    this.#error = this.#lossFor({ code, reason, votes: [] });
    // Whoever checks must not run the listeners.
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
    onlyWatched.delete(this);
    collected.unregister(this);
    this.#error ??= this.#lossFor(failure);
    // quit() has released it.
    if (!isTold) this.hold?.released();
    this.#abort();
    if (isTold) this.#tell();
  }

  /**
   * Native says that an extension has failed, and that little time is left.
   *
   * @param {import('./native/types').EndangeredEvent} event
   */
  endanger({ votes: cast, attempts, left }) {
    if (this.#isReleased || this.#error) return;
    const { names } = this.#held;
    // JavaScript may have been busy since.
    const remaining = Math.max(0, Math.min(left, this.until - clock()));
    const reason = `${Math.round(remaining)} ms are left`;
    const failure = { code: 'ERR_REDLOCK_ENDANGERED', reason, votes: cast };
    const request = /** @type {const} */ ({ operation: 'extend', names, ttl: this.#ttl });
    const explained = explain(failure, request, this.#engine.addresses);
    const message = `The lock on resource "${names}" may be lost soon.`;
    const error = Object.assign(new LockError(message, attempts, explained), { remaining });
    if (channels.endangered.hasSubscribers) {
      const votes = channels.votesOf(error.votes);
      const message = { resource: [...names], remaining, votes, error: channels.told(error) };
      channels.later(() => channels.endangered.publish(message));
    }
    this.#engine.events.tell('endangered', error, this.#lock.deref());
  }

  #abort() {
    const { signal } = this.#controller;
    // From now on it says so by itself. One that says so before it is aborted would not be aborted any more.
    for (const key of CHECKED) Reflect.deleteProperty(signal, key);
    this.#context.runInAsyncScope(() => this.#controller.abort(this.#error));
    this.hold?.lost(this.#error);
  }

  /** Native tells nothing any more: timers do, as well as they can. */
  fallBackToTimers() {
    onlyWatched.delete(this);
    if (this.#isReleased) return;
    if (this.check()) {
      this.#tell();
      return;
    }
    const left = Math.min(Math.max(1, Math.ceil(this.until - clock())), LONGEST_TIMER);
    const self = new WeakRef(this);
    setTimeout(() => self.deref()?.fallBackToTimers(), left).unref();
  }

  #tell() {
    if (this.#isMeantToEnd) return;
    const error = this.#error;
    if (channels.lost.hasSubscribers) {
      const { code, votes: all } = /** @type {any} */ (error);
      const votes = channels.votesOf(all);
      const message = { resource: [...this.#held.names], code, votes, error: channels.told(error) };
      channels.later(() => channels.lost.publish(message));
    }
    this.#engine.events.tell('lost', error, this.#lock.deref());
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

/** By the numbers that native gives. */
const REASONS = new Map(Object.values(reasons).map((reason) => [reason.number, reason]));

/** A lock that nobody can unlock any more isn't extended any more. */
const collected = new FinalizationRegistry(
  (/** @type {{engine: import('./native').Engine, number: number}} */ { engine, number }) =>
    engine.unwatch(number),
);

/**
 * Has the signal check for itself whenever it is asked.
 *
 * @param {AbortSignal} signal
 * @param {Watchdog} watchdog
 * @param {object} lock is kept alive by it
 */
function checkWhenAsked(signal, watchdog, lock) {
  Object.defineProperties(signal, {
    aborted: bare({ configurable: true, get: () => watchdog.check() !== undefined }),
    reason: bare({ configurable: true, get: () => watchdog.check() }),
    throwIfAborted: {
      configurable: true,
      value() {
        const error = watchdog.check();
        if (error) throw error;
      },
    },
    [HELD]: { value: lock },
  });
}

const HELD = Symbol('lock');

/** What a signal says by itself once it is aborted. */
const CHECKED = ['aborted', 'reason', 'throwIfAborted'];

module.exports = { Watchdog };
