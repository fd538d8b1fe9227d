'use strict';

/**
 * A lock whose loss is watched for, and which the engine extends by itself if it is to.
 *
 * @typedef {ReturnType<typeof import('./lock-state').stateOf>} LockState
 * @typedef {import('./arguments').LockRecord} LockRecord
 * @typedef {import('./options').Settings} Settings
 */

const { LONGEST_FROM_NOW } = require('./constants');
const { bare } = require('./foreign');
const { Watchdog } = require('./watchdog');
const { clock } = require('./addon');
const { wallClock } = require('./wall-clock');
const { Answer } = require('./native');

/**
 * @param {import('./native').Engine} engine
 * @param {LockState} state
 * @param {LockRecord} record
 * @param {Settings} settings of its extensions
 * @param {number} wakeups `WAKEUPS` if its keys are watched, else 0
 * @returns {Watchdog}
 */
function makeWatchdog(engine, state, { names, value, expiration }, settings, wakeups) {
  const until = state.validUntil(expiration) ?? clock() + LONGEST_FROM_NOW;
  // The lock itself, since a Proxy of it may be collected before.
  state.watchdog = new Watchdog(engine, state.lock, { names, value, until, settings, wakeups });
  state.watchdog.hold = state.hold;
  return state.watchdog;
}

/**
 * @param {import('./native').Engine} engine
 * @param {LockState} state
 * @param {LockRecord} record
 * @param {Settings} settings of its extensions
 * @param {number} wakeups `WAKEUPS` if its keys are watched, else 0
 * @param {import('./acquire-options').Extension} extension
 */
function startExtending(engine, state, record, settings, wakeups, { ttl, threshold, maxHold }) {
  const watchdog = state.watchdog ?? makeWatchdog(engine, state, record, settings, wakeups);
  const since = state.heldSince || clock();
  watchdog.start({ ttl, lead: threshold, cap: maxHold === undefined ? 0 : since + maxHold });
  showMovingEnd(state.lock, watchdog);
}

/**
 * The lock ends when its validity does, and shows that end.
 *
 * @param {object} lock what stands for it
 * @param {LockState} state
 * @param {number | undefined} expiration that it shows
 */
function stopExtending(lock, state, expiration) {
  const { watchdog } = state;
  if (!watchdog?.isExtended) return;
  const { ttl = 0, until } = watchdog;
  watchdog.stop();
  const answer = new Answer(0, 0, shownOf(until), until, 0, '', undefined);
  state.setExtended(lock, expiration, answer, ttl);
}

/**
 * Lets `expiration` tell a lock's end as it moves, until somebody sets it.
 *
 * @param {any} lock
 * @param {Watchdog} watchdog
 */
function showMovingEnd(lock, watchdog) {
  const moving = bare({
    configurable: true,
    enumerable: true,
    get: () => shownOf(watchdog.until),
    set(/** @type {unknown} */ value) {
      Reflect.defineProperty(lock, 'expiration', {
        configurable: true,
        enumerable: true,
        writable: true,
        value,
      });
    },
  });
  // One that is frozen goes on showing the end it had.
  Reflect.defineProperty(lock, 'expiration', moving);
}

/**
 * @param {number} until on the engine's clock
 * @returns {number} the same as an `expiration`, 0 if it is past
 */
function shownOf(until) {
  const left = until - clock();
  return left > 0 ? Math.floor(wallClock() + left) : 0;
}

module.exports = { makeWatchdog, startExtending, stopExtending };
