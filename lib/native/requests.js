'use strict';

/** The requests of one tick, which go to native together: rows of numbers, and their texts in one. */

const { constants } = require('node:buffer');

const { beforeTelling } = require('../channels');
const { failed } = require('./answer');
const { soon } = require('./calls');
const { request: layout, reasons, unlimited } = require('../constants');
const { NO_CONTEXT, enter, leave } = require('./context');
const { currentMailbox, mailbox } = require('./mailbox');
const { slots } = require('./slots');
const { heedSubscribers } = require('./votes');

/**
 * @typedef {import('./answer').Answer} Answer
 * @typedef {import('./types').Waiter} Waiter
 */

// Locals of the module: the row below is written for every request.
const { slotAt, handleAt, operationAt, flagsAt, ttlAt, retryCountAt, retryDelayAt, retryJitterAt } = layout;
const { driftFactorAt, timeAt, valueLengthAt, scriptsAt, voteReportAt } = layout;
const { maxWaitAt, contextAt, traceAt, countAt } = layout;
const HEAD_LENGTH = layout.numbers;

/** A batch whose text would be longer goes out before. One request may have more. */
const LONGEST_TEXT = 2 ** 18;

class Requests {
  /** A batch that outgrows it goes out early. */
  #numbers = new Float64Array(16_384);
  #used = 0;
  /** Request by request. JavaScript's own: its parts are put together once, where native reads it. */
  #text = '';
  /** How many there are. */
  count = 0;
  /** Whether they wait for the requests of the turns to come (turns.js), to go out together with those. */
  isHeldBack = false;

  /**
   * @param {import('./types').Asker} asker
   * @param {number} operation
   * @param {number} flags
   * @param {number} ttl
   * @param {import('../options').Settings} settings
   * @param {number} time
   * @param {string} value
   * @param {readonly string[]} resources
   * @param {number} [voteReport] of whom to tell of the votes one by one; 0 = nobody
   * @param {number} [maxWait] in ms
   * @param {Cancellation} [cancellation] is told under which slot it waits
   * @returns {Promise<Answer>} which is never rejected
   */
  ask(asker, operation, flags, ttl, settings, time, value, resources, voteReport, maxWait, cancellation) {
    const promise = /** @type {Promise<Answer>} */ (new Promise(capture));
    const waiter = new Promised(asker, captured);
    // A promise leads to its caller's context.
    captured = ignore;
    this.add(
      waiter,
      operation,
      flags,
      ttl,
      settings,
      time,
      value,
      resources,
      voteReport,
      maxWait,
      cancellation,
    );
    return promise;
  }

  /**
   * The same for somebody who is told without a promise of ours.
   *
   * @param {Waiter} waiter
   * @param {number} operation
   * @param {number} flags
   * @param {number} ttl
   * @param {import('../options').Settings} settings
   * @param {number} time
   * @param {string} value
   * @param {readonly string[]} resources
   * @param {number} [voteReport]
   * @param {number} [maxWait]
   * @param {Cancellation} [cancellation]
   * @returns {number} the caller's context
   */
  add(
    waiter,
    operation,
    flags,
    ttl,
    settings,
    time,
    value,
    resources,
    voteReport = 0,
    maxWait = unlimited,
    cancellation,
  ) {
    const asker = waiter.engine;
    const count = resources.length;
    // Everything is looked at before the row is begun: half a row would shift what others ask for.
    const length = lengthOf(value, resources);
    if (length < 0) {
      waiter.settle(unsendable());
      return NO_CONTEXT;
    }
    // The caller waited between two attempts, and the engine was closed meanwhile: native doesn't know it any more.
    if (asker.isGone) {
      waiter.settle(failed(reasons.closed.code, reasons.closed.reason));
      return NO_CONTEXT;
    }
    // async_hooks tell of a new context at once, and whoever listens may ask for something as well.
    const context = asker.begin();
    const trace = settings.trace === undefined ? NO_CONTEXT : enter(settings.trace);
    const size = HEAD_LENGTH + count;
    if (!this.#hasRoomFor(size, length)) {
      leave(context);
      leave(trace);
      waiter.settle(unsendable());
      asker.answered();
      return NO_CONTEXT;
    }
    const isFirst = this.count === 0;
    let at = this.#reserve(size);
    const slot = slots.take(waiter);
    const row = this.#numbers;
    row[at + slotAt] = slot;
    row[at + handleAt] = asker.handle;
    row[at + operationAt] = operation;
    row[at + flagsAt] = flags;
    row[at + ttlAt] = ttl;
    row[at + retryCountAt] = settings.retries;
    row[at + retryDelayAt] = settings.delay;
    row[at + retryJitterAt] = settings.retryJitter;
    row[at + driftFactorAt] = settings.driftFactor;
    row[at + timeAt] = time;
    row[at + valueLengthAt] = value.length;
    row[at + scriptsAt] = asker.scripts;
    row[at + voteReportAt] = voteReport;
    row[at + maxWaitAt] = maxWait;
    row[at + contextAt] = context;
    row[at + traceAt] = trace;
    row[at + countAt] = count;
    at += HEAD_LENGTH;
    let text = this.#text + value;
    for (let i = 0; i < count; i++) {
      text += resources[i];
      row[at + i] = resources[i].length;
    }
    this.#text = text;
    cancellation?.watch(slot, waiter);
    if (isFirst) soon(this.#flushUnlessHeldBack);
    return context;
  }

  /**
   * Has room for one request, behind those that are there or in their place.
   *
   * @param {number} size in numbers
   * @param {number} length of its text
   * @returns {boolean} false if no memory is as large
   */
  #hasRoomFor(size, length) {
    const isLong = this.#text.length + length > LONGEST_TEXT;
    if (!isLong && this.#used + size <= this.#numbers.length) return true;
    this.flush();
    if (length > constants.MAX_STRING_LENGTH) return false;
    try {
      if (size > this.#numbers.length) this.#numbers = new Float64Array(size);
      return true;
    } catch {
      return false;
    }
  }

  /**
   * @param {number} size of one request in numbers, for which there is room
   * @returns {number} where it begins
   */
  #reserve(size) {
    const at = this.#used;
    this.#used += size;
    this.count += 1;
    return at;
  }

  #flushUnlessHeldBack = () => {
    if (!this.isHeldBack) this.flush();
  };

  /** Hands them over now. */
  flush() {
    const { count } = this;
    if (count === 0) return;
    const used = this.#used;
    const text = this.#text;
    this.#used = 0;
    this.#text = '';
    this.count = 0;
    try {
      heedSubscribers();
      mailbox().submit(this.#numbers, used, count, text);
    } catch (error) {
      refuseAll(this.#numbers.slice(0, used), error);
    }
  }
}

/**
 * The length of a row's text. Callers have checked what it is made of; a mistake of theirs ends here.
 *
 * @param {unknown} value
 * @param {readonly unknown[]} resources
 * @returns {number} -1 where there is something that can't be written
 */
function lengthOf(value, resources) {
  const count = resources.length;
  if (typeof value !== 'string' || count === 0) return -1;
  let { length } = value;
  for (let i = 0; i < count; i++) {
    const resource = resources[i];
    if (typeof resource !== 'string') return -1;
    length += resource.length;
  }
  return length;
}

function unsendable() {
  return failed(reasons.invalid.code, 'its names or its value are no text that can be sent');
}

/**
 * Answers requests that could not be handed over.
 *
 * @param {Float64Array} batch
 * @param {any} error
 */
function refuseAll(batch, error) {
  const reason = `it could not be handed over: ${error.message}`;
  for (let at = 0; at < batch.length; at += HEAD_LENGTH + batch[at + countAt]) {
    leave(batch[at + contextAt]);
    leave(batch[at + traceAt]);
    slots.settle(batch[at + slotAt], failed(reasons.internal.code, reason));
  }
}

// One executor for all promises, instead of a closure for each.
/** @type {(answer: Answer) => void} */
let captured = ignore;

function ignore() {}

/** @param {(answer: Answer) => void} resolve */
function capture(resolve) {
  captured = resolve;
}

/** Waits with such a promise. @implements {Waiter} */
class Promised {
  /**
   * @param {import('./types').Asker} engine
   * @param {(answer: Answer) => void} settle
   */
  constructor(engine, settle) {
    this.engine = engine;
    this.settle = settle;
  }

  /** It tells the answer itself. */
  prepare() {}
}

const requests = new Requests();
beforeTelling(() => requests.flush());

/**
 * A way to give up one request, for a caller who passes it along. The request is answered all the same, perhaps with
 * what it wanted.
 */
class Cancellation {
  #slot = 0;
  /** Undefined where native was not asked. @type {Waiter | undefined} */
  #waiter;

  /**
   * The request was made.
   *
   * @param {number} slot
   * @param {Waiter} waiter who is told of its answer
   */
  watch(slot, waiter) {
    this.#slot = slot;
    this.#waiter = waiter;
  }

  /** Does nothing once the request has been answered: its slot may be another's then. */
  cancel() {
    if (this.#waiter === undefined || !slots.has(this.#slot, this.#waiter)) return;
    // It may not have been handed over yet.
    requests.flush();
    currentMailbox()?.cancel(this.#slot);
  }
}

module.exports = { requests, Cancellation };
