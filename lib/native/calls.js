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

/** What async functions return, whatever has been put in the place of `Promise`. @type {PromiseConstructor} */
const OwnPromise = /** @type {any} */ (soon(() => {}).constructor);

/**
 * A promise that is there before what resolves it begins, for what that sets off.
 *
 * @template T
 * @returns {{promise: Promise<T>, resolve: (value: T | Promise<T>) => void}}
 */
function deferred() {
  /** @type {any} */
  let resolve;
  const promise = new OwnPromise((resolveIt) => {
    resolve = resolveIt;
  });
  return { promise, resolve };
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

/**
 * Gives a promise's outcome to a callback too, if there is one. A rejection then counts as handled. What the callback
 * throws becomes an uncaught exception, and not a rejection of the promise.
 *
 * @template T
 * @param {Promise<T>} promise
 * @param {unknown} callback anything but a function counts as none, as in redlock 4
 * @returns {Promise<T>}
 */
function settle(promise, callback) {
  if (typeof callback !== 'function') return promise;
  promise.then(
    // Where there is no value, the callback gets no second argument.
    (value) => (value === undefined ? call(callback, null) : call(callback, null, value)),
    (error) => call(callback, error),
  );
  return promise;
}

module.exports = { OwnPromise, soon, deferred, call, settle };
