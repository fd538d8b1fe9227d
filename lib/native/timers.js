'use strict';

/** Real time, by native's clock: a test runner that replaces Node.js's timers can't hold it up. */

const { keepAlive } = require('./keep-alive');
const { mailbox } = require('./mailbox');

/** What is to be done in a while, by number. @type {Map<number, () => void>} */
const waiting = new Map();
let lastNumber = 0;

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

function hasTimers() {
  return waiting.size > 0;
}

/**
 * An immediate that has not come for so long, in ms, is waited for no longer: it belongs to a test's own clock, or the
 * thread is busy.
 */
const IMMEDIATES_LOST_AFTER = 1000;

module.exports = { after, sleep, timeHasCome, hasTimers, IMMEDIATES_LOST_AFTER };
