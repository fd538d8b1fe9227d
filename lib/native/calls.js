'use strict';

/** Calling later, and calling what may throw, with nothing that a test runner could have replaced. */

const { raise } = require('../addon');

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
 * Calls a callback or a listener of the caller's. What it throws becomes an uncaught exception: it must neither stop
 * our own code nor turn into a rejection of somebody else's promise.
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

module.exports = { soon, call };
