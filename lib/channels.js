'use strict';

/**
 * What others may listen to by node:diagnostics_channel. Nothing is built where nobody does: whoever would tell something
 * looks at `hasSubscribers` first. No message has a lock's value, as who knows that can unlock it.
 *
 * @typedef {'granted' | 'extended' | 'released' | 'held' | 'not_held' | 'timeout' | 'unavailable' | 'too_slow' | 'expired'
 *   | 'max_hold' | 'closed' | 'aborted' | 'invalid' | 'failed' | 'lost'} Outcome
 * @typedef {import('./errors').Vote} Vote
 * @typedef {object} Context the message of a call's channels, the same object from its start to its end
 * @property {string[]} resource
 * @property {number | undefined} ttl in ms, as it was given
 * @property {number} [attempts]
 * @property {number} [waited] for how long the call took, in ms
 * @property {Outcome} [outcome]
 * @property {string} [code] of the error
 * @property {Vote[]} [votes] of the last attempt, as far as they were there
 * @property {unknown} [error]
 */

const { channel } = require('node:diagnostics_channel');

const { clock } = require('./addon');

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
   * Tells of a call. Unlike `tracePromise` it shows nobody the result: a lock has its value.
   *
   * @template T
   * @param {Context} context
   * @param {() => Promise<T>} call must not throw
   * @param {Outcome} outcome if it resolves, and the call hasn't said better
   * @returns {Promise<T>}
   */
  trace(context, call, outcome) {
    const since = clock();
    const conclude = () => {
      context.waited = clock() - since;
      this.asyncStart.publish(context);
      this.asyncEnd.publish(context);
    };
    const begin = () => {
      try {
        return call().then(
          (result) => {
            context.outcome ??= outcome;
            conclude();
            return result;
          },
          (error) => {
            noteError(context, error);
            this.error.publish(context);
            conclude();
            throw error;
          },
        );
      } finally {
        this.end.publish(context);
      }
    };
    return this.start.runStores(context, begin);
  }

  /**
   * Something begins that is no call, and that {@link finish} ends.
   *
   * @param {Context} context
   */
  begin(context) {
    this.start.publish(context);
    this.end.publish(context);
  }

  /** @param {Context} context with its outcome, and with its error if that isn't as it should be */
  finish(context) {
    if (context.error !== undefined) this.error.publish(context);
    this.asyncStart.publish(context);
    this.asyncEnd.publish(context);
  }
}

/**
 * @param {Context} context
 * @param {unknown} error
 */
function noteError(context, error) {
  context.error = error;
  noteFailure(context, Object(error));
}

/**
 * @param {Context} context
 * @param {{code?: unknown, attempts?: unknown, votes?: unknown}} failure
 */
function noteFailure(context, { code, attempts, votes }) {
  if (typeof code === 'string') context.code = code;
  if (typeof attempts === 'number') context.attempts ??= attempts;
  if (Array.isArray(votes)) context.votes ??= votes;
  context.outcome = outcomeOf(code);
}

/**
 * @param {unknown} code of an error
 * @returns {Outcome}
 */
function outcomeOf(code) {
  const [, name] = /^ERR_REDLOCK_([A-Z_]+)$/.exec(String(code)) ?? [];
  // The reason of the caller's own signal.
  if (name === undefined) return 'aborted';
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
 * @returns {Context}
 */
function contextOf(resource, ttl) {
  const names = Array.isArray(resource) ? resource : [resource];
  const shown = typeof ttl === 'number' ? ttl : undefined;
  return {
    resource: names.map((name) => (typeof name === 'string' ? name : `(${typeof name})`)),
    ttl: shown,
  };
}

module.exports = {
  contextOf,
  namesIn,
  noteError,
  noteFailure,
  lock: new TracingChannels('redlock:lock'),
  extend: new TracingChannels('redlock:extend'),
  unlock: new TracingChannels('redlock:unlock'),
  hold: new TracingChannels('redlock:hold'),
  vote: channel('redlock:vote'),
  lost: channel('redlock:lost'),
  endangered: channel('redlock:endangered'),
  connection: channel('redlock:connection'),
};
