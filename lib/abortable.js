'use strict';

/**
 * Requests that a caller's AbortSignal may give up.
 *
 * @typedef {import('./native').Engine} Engine
 * @typedef {import('./options').Settings} Settings
 */

const { unlessAborted } = require('./abort-signal');
const { Cancellation } = require('./native');

/**
 * Asks for a lock. Where a signal gives it up first, what was granted all the same is released.
 *
 * @param {Engine} engine
 * @param {string[]} names
 * @param {number} ttl
 * @param {Settings} settings
 * @param {boolean} report
 * @param {string | undefined} value the caller's own
 * @param {number | undefined} maxWait
 * @param {number} flags `INSPECT_IF_HELD`, `IS_REPEATED`, `QUEUES`, `WAKEUPS`, `FAIR`
 * @param {import('./abort-signal').Signal | undefined} signal
 * @returns {Promise<import('./native').Answer>}
 */
function lockUnlessAborted(engine, names, ttl, settings, report, value, maxWait, flags, signal) {
  if (!signal) return engine.lock(names, ttl, settings, report, value, undefined, maxWait, flags);
  if (signal.aborted) throw signal.reason;
  const cancellation = new Cancellation();
  const asked = engine.lock(names, ttl, settings, report, value, undefined, maxWait, flags, cancellation);
  return unlessAborted(signal, asked, {
    cancel: () => cancellation.cancel(),
    discard(answer) {
      if (!answer.failure) engine.unlock(names, value ?? answer.value, answer.since, settings, false);
    },
  });
}

/**
 * Waits by a request of the engine's, which fake timers don't stop and quit() ends.
 *
 * @param {Engine} engine
 * @param {number} ms
 * @param {Settings} settings
 * @param {import('./abort-signal').Signal | undefined} signal
 */
function waitUnlessAborted(engine, ms, settings, signal) {
  if (!signal) return engine.wait(ms, settings);
  const cancellation = new Cancellation();
  const waited = engine.wait(ms, settings, cancellation);
  return unlessAborted(signal, waited, { cancel: () => cancellation.cancel(), discard() {} });
}

module.exports = { lockUnlessAborted, waitUnlessAborted };
