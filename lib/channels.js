'use strict';

/**
 * What others may listen to by node:diagnostics_channel. Nothing is built where nobody does: whoever would tell something
 * looks at `hasSubscribers` first. No message has a lock's value, as who knows that can unlock it.
 *
 * @typedef {'granted' | 'extended' | 'released' | 'held' | 'not_held' | 'timeout' | 'unavailable' | 'too_slow' | 'expired'
 *   | 'max_hold' | 'closed' | 'aborted' | 'invalid' | 'failed' | 'lost'} Outcome
 * @typedef {{address: string, vote: string, code?: string}} Vote what an instance said, and by its code why it failed
 */

const { AsyncResource } = require('node:async_hooks');
const { channel } = require('node:diagnostics_channel');

const { clock } = require('./addon');
const { read, readAt } = require('./clients/inspect-object');
const { because } = require('./errors');
const { OwnPromise, soon } = require('./native/calls');
const { IMMEDIATES_LOST_AFTER, after } = require('./native/mailbox');

// As they were when this was loaded.
const { setImmediate } = require('node:timers');
const { nextTick } = process;

/**
 * What has come about together, and is told together.
 *
 * @typedef {{tells: (() => void)[], isOpen: boolean}} Batch `isOpen` while more may come about with it
 */

/** What is not told yet. @type {Batch[]} */
const untold = [];

/** Sends what callers have asked for who have gone on: whoever listens may take long. */
let sendRequests = () => {};

/** @param {() => void} send must not throw */
function beforeTelling(send) {
  sendRequests = send;
}

/** Whether a timer looks whether immediates come. */
let isWatched = false;

/** How often it is looked at again, once the event loop has gone round. */
const LOOKS = 3;

/**
 * Tells something once whoever called has gone on: those who listen may take long, and what is handed over could have ended
 * by then.
 *
 * @param {() => void} tell must not throw
 */
function later(tell) {
  const last = untold.at(-1);
  const { tells } = last?.isOpen ? last : begin();
  tells.push(AsyncResource.bind(tell));
}

function begin() {
  /** @type {Batch} */
  const own = { tells: [], isOpen: true };
  untold.push(own);
  soon(() => {
    own.isOpen = false;
    // Then it is behind all that has been set off by now, by bluebird's promises too.
    nextTick(() => setImmediate(() => tellUpTo(own)));
  });
  if (!isWatched) watch(own, IMMEDIATES_LOST_AFTER, LOOKS);
  return own;
}

/** @param {Batch | undefined} last what comes after it is told later; all is told without it */
function tellUpTo(last) {
  const end = last === undefined ? untold.length : untold.indexOf(last) + 1;
  if (end === 0) return;
  sendRequests();
  for (const { tells } of untold.splice(0, end)) for (const tell of tells) tell();
}

/**
 * Where a test's clock has taken the place of `setImmediate`, nothing else would tell it.
 *
 * @param {Batch} first of what is not told
 * @param {number} ms
 * @param {number} looks
 */
function watch(first, ms, looks) {
  isWatched = true;
  after(ms, () => {
    isWatched = false;
    const [now] = untold;
    if (now === undefined) return;
    if (now !== first) watch(now, IMMEDIATES_LOST_AFTER, LOOKS);
    else if (looks > 0) watch(now, 0, looks - 1);
    else tellNow();
  });
}

/** Tells all that is not told yet. */
function tellNow() {
  tellUpTo(undefined);
}

/** Resolves once all has been told that has come about by now. */
async function allTold() {
  if (untold.length > 0) await new OwnPromise((resolve) => later(() => resolve(undefined)));
}

/** The message of a call's channels, or a hold's: the same object from its start to its end. */
class Trace {
  /** @type {number | undefined} */
  attempts;
  /** For how long the call took, in ms. @type {number | undefined} */
  waited;
  /** For how long the lock was held, in ms. @type {number | undefined} */
  held;
  /** @type {Outcome | undefined} */
  outcome;
  /** Of the error. @type {string | undefined} */
  code;
  /** Of the last attempt, as far as they were there. @type {Vote[] | undefined} */
  votes;
  /** @type {unknown} */
  error;

  /**
   * @param {string[]} resource
   * @param {number} [ttl] in ms, as it was given
   */
  constructor(resource, ttl) {
    this.resource = resource;
    this.ttl = ttl;
  }

  /**
   * Says more. Whoever listens may have frozen it.
   *
   * @param {Partial<Trace>} more
   */
  note(more) {
    for (const [key, value] of Object.entries(more)) Reflect.set(this, key, value);
  }

  /** @param {unknown} error */
  noteError(error) {
    this.note({ error: told(error) });
    this.noteFailure({
      code: read(error, 'code'),
      attempts: read(error, 'attempts'),
      votes: read(error, 'votes'),
    });
  }

  /** @param {{code?: unknown, attempts?: unknown, votes?: unknown}} failure */
  noteFailure({ code, attempts, votes }) {
    if (typeof code === 'string') this.note({ code });
    if (typeof attempts === 'number') this.note({ attempts: this.attempts ?? attempts });
    this.note({ votes: this.votes ?? votesOf(votes), outcome: this.outcome ?? outcomeOf(code) });
  }
}

/** The five channels of one operation, as `tracingChannel` names them and `tracePromise` uses them. */
class TracingChannels {
  /** @param {string} name */
  constructor(name) {
    this.start = channel(`tracing:${name}:start`);
    this.end = channel(`tracing:${name}:end`);
    this.asyncStart = channel(`tracing:${name}:asyncStart`);
    this.asyncEnd = channel(`tracing:${name}:asyncEnd`);
    this.error = channel(`tracing:${name}:error`);
  }

  get hasSubscribers() {
    return (
      this.start.hasSubscribers ||
      this.asyncEnd.hasSubscribers ||
      this.end.hasSubscribers ||
      this.asyncStart.hasSubscribers ||
      this.error.hasSubscribers
    );
  }

  /**
   * Tells of a call. Unlike `tracePromise` it shows nobody the result, as a lock has its value, and tells of the end when the
   * caller has it.
   *
   * @template T
   * @param {Trace} trace
   * @param {() => Promise<T>} call must not throw
   * @param {Outcome} outcome if it resolves, and the call hasn't said better
   * @returns {Promise<T>}
   */
  tell(trace, call, outcome) {
    const since = clock();
    const conclude = (/** @type {boolean} */ isFailed) => {
      trace.note({ waited: clock() - since });
      later(() => this.#publishEnd(trace, isFailed));
    };
    const begin = () => {
      try {
        return call().then(
          (result) => {
            trace.note({ outcome: trace.outcome ?? outcome });
            conclude(false);
            return result;
          },
          (error) => {
            trace.noteError(error);
            conclude(true);
            throw error;
          },
        );
      } finally {
        this.end.publish(trace);
      }
    };
    return this.start.runStores(trace, begin);
  }

  /**
   * Something begins that is no call, and that {@link finish} ends.
   *
   * @param {Trace} trace
   */
  begin(trace) {
    later(() => {
      this.start.publish(trace);
      this.end.publish(trace);
    });
  }

  /**
   * @param {Trace} trace
   * @param {Partial<Trace>} more what came of it
   */
  finish(trace, more) {
    later(() => {
      // Not before: its beginning may have been untold until then.
      trace.note(more);
      this.#publishEnd(trace, more.error !== undefined);
    });
  }

  /**
   * @param {Trace} trace
   * @param {boolean} isFailed
   */
  #publishEnd(trace, isFailed) {
    if (isFailed) this.error.publish(trace);
    this.asyncStart.publish(trace);
    this.asyncEnd.publish(trace);
  }
}

/**
 * An error as everybody may see it. A client's own error may be in its votes, or be its cause, and who knows what that has: a
 * command's arguments, or a password.
 *
 * @param {any} error
 */
function told(error) {
  try {
    const { name, message, code, stack, cause } = Object(error);
    const own = String(code).startsWith('ERR_REDLOCK_') && cause !== undefined;
    const copy = new Error(
      String(message ?? error),
      own ? { cause: because(String(cause.message)) } : undefined,
    );
    return Object.assign(copy, { name: String(name ?? 'Error'), ...(code !== undefined && { code }), stack });
  } catch {
    return new Error('an error that can not be read');
  }
}

/**
 * An error's votes without the errors that are in them.
 *
 * @param {unknown} votes
 * @returns {Vote[] | undefined}
 */
function votesOf(votes) {
  if (!Array.isArray(votes) || votes.length === 0) return undefined;
  return votes.map((one) => {
    const [address, vote, code] = [read(one, 'address'), read(one, 'vote'), readAt(one, 'error', 'code')];
    return code === undefined ? { address, vote } : { address, vote, code };
  });
}

/**
 * @param {unknown} code of an error
 * @returns {Outcome}
 */
function outcomeOf(code) {
  const [, name] = /^ERR_REDLOCK_([A-Z_]+)$/.exec(String(code)) ?? [];
  if (name === undefined) return 'failed';
  const outcome = /** @type {Outcome} */ (name.toLowerCase());
  if (OUTCOMES.has(outcome)) return outcome;
  return name.startsWith('INVALID') ? 'invalid' : 'failed';
}

/** Those that codes are named for. @type {Set<string>} */
const OUTCOMES = new Set([
  ...['held', 'not_held', 'timeout', 'unavailable', 'too_slow', 'expired', 'max_hold', 'closed'],
]);

/**
 * What is read for those who listen: the call must not read it again, as it could be another then. Where it can't be read, the
 * call itself says why.
 *
 * @template T
 * @param {() => T} readIt
 * @returns {T | undefined}
 */
function unlessRefused(readIt) {
  try {
    return readIt();
  } catch {
    return undefined;
  }
}

/**
 * What a call was given, before it was checked.
 *
 * @param {unknown} resource
 * @param {unknown} [ttl]
 * @returns {Trace}
 */
function traceOf(resource, ttl) {
  return new Trace(namesOf(resource), typeof ttl === 'number' ? ttl : undefined);
}

/**
 * @param {unknown} resource
 * @returns {string[]}
 */
function namesOf(resource) {
  try {
    const names = Array.isArray(resource) ? [...resource] : [resource];
    return names.map((name) => (typeof name === 'string' ? name : `(${typeof name})`));
  } catch {
    // Of a Proxy that was revoked, or of a getter that throws: the call says so itself.
    return [];
  }
}

module.exports = {
  beforeTelling,
  later,
  tellNow,
  allTold,
  Trace,
  traceOf,
  unlessRefused,
  told,
  votesOf,
  lock: new TracingChannels('redlock:lock'),
  extend: new TracingChannels('redlock:extend'),
  unlock: new TracingChannels('redlock:unlock'),
  hold: new TracingChannels('redlock:hold'),
  vote: channel('redlock:vote'),
  lost: channel('redlock:lost'),
  endangered: channel('redlock:endangered'),
  connection: channel('redlock:connection'),
};
