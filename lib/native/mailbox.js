'use strict';

/**
 * The one Mailbox of this module instance, JavaScript's end of the hand-over, and what needs it: the open engines, timers,
 * and whoever keeps the process alive. Timers run by native's clock, so that a test runner that replaces Node.js's can't
 * hold them up.
 */

const { Mailbox } = require('../addon');
const { leaveAll, outside } = require('./context');

/** Whether the event loop is Node.js' own. */
const IS_NODE = process.versions.bun === undefined && process.versions.deno === undefined;

/** @type {Mailbox | undefined} */
let current;

/** The engines that native has not let go of yet, by handle. They don't keep their Redlock alive. @type {Map<number, import('./types').Asker>} */
const engines = new Map();

/** What is to be done in a while, by number. @type {Map<number, () => void>} */
const waiting = new Map();
let lastNumber = 0;

/** How many callers of `keepAlive` there are. */
let awake = 0;

/** Called when there is something to drain. @type {() => void} */
let wake = () => {};

/** @param {() => void} listener */
function onWake(listener) {
  wake = listener;
}

/** @type {(() => void)[]} */
const restListeners = [];

/** @param {() => void} listener forgets what the mailbox knew */
function onRest(listener) {
  restListeners.push(listener);
}

/** Made when it is first needed: a worker that only prints a lock needs no engine. */
function mailbox() {
  // In no context: native would keep the first caller's alive, and call in it for everybody.
  current ??= outside(makeMailbox);
  return current;
}

function makeMailbox() {
  try {
    return new Mailbox(() => wake(), IS_NODE);
  } catch (error) {
    // The system has no thread or no file left for the engine; once it has, the next Redlock finds that.
    const { message } = /** @type {Error} */ (error);
    const todo = 'close files and threads that are not needed, or allow for more (ulimit -n, ulimit -u)';
    const failure = new Error(`redlock-native can't use its addon: ${message}; ${todo}`, { cause: error });
    throw Object.assign(failure, { code: 'ERR_REDLOCK_ADDON', reason: 'RESOURCES' });
  }
}

/** The one there is, if there is one. */
function currentMailbox() {
  return current;
}

/**
 * Once nobody needs the mailbox any more it is let go of: it would keep this module's realm from being collected. Another
 * is made when one is needed.
 */
function restIfIdle() {
  if (engines.size > 0 || awake > 0 || waiting.size > 0) return;
  current?.rest();
  current = undefined;
  leaveAll();
  for (const listener of restListeners) listener();
}

/**
 * Does something after so much real time. It does not keep the process alive.
 *
 * @param {number} ms
 * @param {() => void} work must not throw
 * @returns {() => void} calls it off
 */
function after(ms, work) {
  lastNumber = (lastNumber + 1) % 2 ** 32;
  const number = lastNumber;
  waiting.set(number, work);
  mailbox().wait(number, ms);
  return () => {
    waiting.delete(number);
  };
}

/** @param {number} number of a time that native says has come */
function timeHasCome(number) {
  const work = waiting.get(number);
  waiting.delete(number);
  work?.();
  restIfIdle();
}

/**
 * @param {number} ms of real time
 * @returns {Promise<void>} which keeps the process alive
 */
async function sleep(ms) {
  const letSleep = keepAlive();
  try {
    await /** @type {Promise<void>} */ (new Promise((resolve) => after(ms, resolve)));
  } finally {
    letSleep();
  }
}

/**
 * Keeps the process alive, as unanswered requests do by themselves, and the mailbox from being let go of.
 *
 * @returns {() => void} ends that; called again, it does nothing
 */
function keepAlive() {
  if (awake === 0) mailbox().keepAlive(true);
  awake += 1;
  let isAwake = true;
  return () => {
    if (!isAwake) return;
    isAwake = false;
    awake -= 1;
    if (awake > 0) return;
    current?.keepAlive(false);
    restIfIdle();
  };
}

/**
 * An immediate that has not come for so long, in ms, is waited for no longer: it belongs to a test's own clock, or the
 * thread is busy.
 */
const IMMEDIATES_LOST_AFTER = 1000;

module.exports = {
  ...{ mailbox, currentMailbox, engines, restIfIdle, onWake, onRest },
  ...{ after, timeHasCome, sleep, keepAlive, IMMEDIATES_LOST_AFTER },
};
