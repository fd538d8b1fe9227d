'use strict';

/**
 * What was asked for in one request: its answer becomes what the caller's promise resolves with, with no other promise
 * and no async function between the two, which would cost more than all the rest.
 *
 * @typedef {import('./native').Answer} Answer
 * @typedef {import('./native').Engine} Engine
 * @typedef {import('./options').Settings} Settings
 * @typedef {import('./native/types').Waiter} Waiter
 */

const { OwnPromise } = require('./native/calls');
const { NO_CONTEXT, contextOf } = require('./native/context');

/**
 * @typedef {object} Concluding
 * @property {(asked: PendingLock, answer: Answer) => unknown} makeLock the lock, be it handed over or not
 * @property {(asked: PendingLock, answer: Answer) => unknown} granted the lock; undefined if there is none
 * @property {(asked: PendingLock, answer: Answer) => Promise<unknown>} refused rejects with the reason
 * @property {(asked: PendingUnlock, answer: Answer) => Promise<void>} unreleased rejects with the reason, if there is one
 */

/** Somebody whose promise an answer settles. */
class Pending {
  /** @type {(value: any) => void} */
  #resolve = ignore;

  /** @returns {Promise<any>} for the caller */
  promise() {
    const promise = new OwnPromise(capture);
    this.#resolve = captured;
    // A promise leads to its caller's context.
    captured = ignore;
    return promise;
  }

  /** @param {unknown} value what the promise resolves with */
  resolve(value) {
    this.#resolve(value);
  }
}

/** A lock that was asked for. @implements {Waiter} */
class PendingLock extends Pending {
  #locker;
  /** The caller's, by number, where members are callers' clients. */
  context = NO_CONTEXT;
  /** Made already, to be handed over at its turn. @type {any} */
  lock;

  /**
   * @param {Concluding} locker
   * @param {any} face
   * @param {Engine} engine
   * @param {string[]} names
   * @param {number} ttl
   * @param {Settings} settings
   * @param {import('./channels').Trace} [trace] whom to tell what comes of it, if anybody listens
   */
  constructor(locker, face, engine, names, ttl, settings, trace) {
    super();
    this.#locker = locker;
    this.face = face;
    this.engine = engine;
    this.names = names;
    this.ttl = ttl;
    this.settings = settings;
    this.trace = trace;
  }

  /**
   * Makes the lock, after and before those of the same drain: one by one at their turns that takes a tenth longer.
   *
   * @param {Answer} answer
   */
  prepare(answer) {
    try {
      this.lock = this.#locker.makeLock(this, answer);
    } catch {
      // It is made again when it is told, and whoever waits has the error then.
    }
  }

  /** @param {Answer} answer */
  settle(answer) {
    try {
      this.resolve(this.#locker.granted(this, answer) ?? this.#refused(answer));
    } catch (error) {
      this.resolve(OwnPromise.reject(error));
    }
  }

  /**
   * What is granted too late is released, by the caller's client in the caller's context.
   *
   * @param {Answer} answer
   */
  #refused(answer) {
    const locker = this.#locker;
    const context = contextOf(this.context);
    return context
      ? context.runInAsyncScope(locker.refused, locker, this, answer)
      : locker.refused(this, answer);
  }
}

/** A release that was asked for. @implements {Waiter} */
class PendingUnlock extends Pending {
  #locker;

  /**
   * @param {Concluding} locker
   * @param {Engine} engine
   * @param {readonly string[]} names
   */
  constructor(locker, engine, names) {
    super();
    this.#locker = locker;
    this.engine = engine;
    this.names = names;
  }

  /** There is nothing to be made. */
  prepare() {}

  /** @param {Answer} answer */
  settle(answer) {
    this.resolve(answer.failure === undefined ? undefined : this.#locker.unreleased(this, answer));
  }
}

/** Nobody waits yet. */
function ignore() {}

// One executor for all promises, instead of a closure for each.
/** @type {(value: any) => void} */
let captured = ignore;

/** @param {(value: any) => void} resolve */
function capture(resolve) {
  captured = resolve;
}

module.exports = { PendingLock, PendingUnlock };
