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
const { because } = require('./errors');
const { soon } = require('./native/calls');

// As they were when this was loaded.
const { setImmediate } = require('node:timers');
const { nextTick } = process;

/** What is not told yet. @type {(() => void)[]} */
const untold = [];

/**
 * Tells something once whoever called has gone on: those who listen may take long, and what is handed over could have ended
 * by then.
 *
 * @param {() => void} tell
 */
function later(tell) {
  untold.push(AsyncResource.bind(tell));
  // Behind all that has been set off by now, by bluebird's promises too.
  if (untold.length === 1) soon(() => nextTick(() => setImmediate(tellAll)));
}

/** What came before is told before what comes now. */
function tellAll() {
  for (let tell = untold.shift(); tell !== undefined; tell = untold.shift()) tell();
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
    this.noteFailure(Object(error));
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
    tellAll();
    const since = clock();
    const conclude = () => {
      trace.note({ waited: clock() - since });
      this.finish(trace);
    };
    const begin = () => {
      try {
        return call().then(
          (result) => {
            trace.note({ outcome: trace.outcome ?? outcome });
            conclude();
            return result;
          },
          (error) => {
            trace.noteError(error);
            conclude();
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

  /** @param {Trace} trace with its outcome, and with its error if that isn't as it should be */
  finish(trace) {
    later(() => {
      if (trace.error !== undefined) this.error.publish(trace);
      this.asyncStart.publish(trace);
      this.asyncEnd.publish(trace);
    });
  }
}

/**
 * An error as everybody may see it. A client's own error may be in its votes, or be its cause, and that has the command with all
 * of its arguments: the lock's value, or a password.
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
  return votes.map(({ address, vote, error }) => {
    const { code } = Object(error);
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
 * @param {any} lock as it was passed: anything
 * @param {'resource' | 'resources'} key
 */
function namesIn(lock, key) {
  try {
    return lock[key];
  } catch {
    return [];
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
  Trace,
  traceOf,
  namesIn,
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
