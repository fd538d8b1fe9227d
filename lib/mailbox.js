'use strict';

/**
 * The way to native, and what it gives that nobody can put another thing in the place of: test runners replace
 * timers, ticks and microtasks, and what waits for those would wait for the test's clock, or for good.
 */

const { Mailbox, clock, defaultScripts, raise } = require('./addon');
const { outside } = require('./context');

/** @type {Mailbox | undefined} */
let mailbox;

/** Is called when there is something to drain. @type {() => void} */
let wake = () => {};

/** @param {() => void} given */
function onWake(given) {
  wake = given;
}

/** Made when it is first needed: a worker that only prints a lock needs no engine. */
function box() {
  // Who asks first must not be remembered by it.
  mailbox ??= outside(() => new Mailbox(() => wake()));
  return mailbox;
}

/** The one there is, if there is one. */
function currentBox() {
  return mailbox;
}

/**
 * Nobody needs it any more: it would keep this module's realm from being collected. Another is made when there is
 * need of one.
 */
function rest() {
  mailbox?.rest();
  mailbox = undefined;
}

// ---- time

/** What is to be done in a while, by number. @type {Map<number, () => void>} */
const waiting = new Map();
let lastWait = 0;

/**
 * Does something after so much real time. It does not keep the process alive.
 *
 * @param {number} ms
 * @param {() => void} work must not throw
 * @returns {() => void} it is not to be done any more
 */
function after(ms, work) {
  lastWait = (lastWait + 1) % 2 ** 32;
  const number = lastWait;
  waiting.set(number, work);
  box().wait(number, ms);
  return () => {
    waiting.delete(number);
  };
}

/** @param {number} number */
function timeHasCome(number) {
  const work = waiting.get(number);
  waiting.delete(number);
  work?.();
}

/**
 * @param {number} ms of real time
 * @returns {Promise<void>} which keeps the process alive
 */
async function sleep(ms) {
  const letSleep = stayAwake();
  try {
    await /** @type {Promise<void>} */ (new Promise((resolve) => after(ms, resolve)));
  } finally {
    letSleep();
  }
}

/** What keeps the process alive, beside requests. */
let awake = 0;

/** @type {() => void} */
let onIdle = () => {};

/**
 * Keeps the process alive, and native at hand.
 *
 * @returns {() => void} no longer
 */
function stayAwake() {
  if (awake === 0) box().stayAwake(true);
  awake += 1;
  let isAwake = true;
  return () => {
    if (!isAwake) return;
    isAwake = false;
    awake -= 1;
    if (awake > 0) return;
    mailbox?.stayAwake(false);
    onIdle();
  };
}

/** @param {() => void} given is called when nothing keeps the process alive any more, but perhaps requests */
function whenIdle(given) {
  onIdle = given;
}

/** Whether nothing is waited for. */
function isIdle() {
  return awake === 0 && waiting.size === 0;
}

// ---- turns

/**
 * Does something as soon as what runs now is done. An async function's own way to go on looks nothing up that
 * anybody could have replaced.
 *
 * @param {() => void} work must not throw
 */
async function soon(work) {
  await undefined;
  work();
}

/**
 * Calls a callback or a listener of the caller's. What it throws is an uncaught exception: it must not stop who
 * calls it, and is no rejection of anybody's.
 *
 * @param {Function} callback
 * @param {...unknown} args
 */
function call(callback, ...args) {
  try {
    callback(...args);
  } catch (error) {
    raise(error);
  }
}

module.exports = {
  ...{ box, currentBox, rest, onWake, whenIdle, isIdle },
  ...{ after, timeHasCome, sleep, stayAwake, soon, call },
  ...{ clock, defaultScripts },
};
