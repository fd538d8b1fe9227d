'use strict';

const { call } = require('./native/calls');

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

module.exports = { settle };
