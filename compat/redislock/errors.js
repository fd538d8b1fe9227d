'use strict';

/**
 * redislock's three errors. They are functions and not classes, as people inherit from them the way it was
 * done before there were classes: `LockReleaseError.call(this, message)`.
 *
 * @typedef {Error & {code?: string, cause?: Error}} RedislockError
 * @typedef {{(message?: string): RedislockError, new (message?: string): RedislockError}} ErrorConstructor
 */

const NAMES = /** @type {const} */ (['LockAcquisitionError', 'LockReleaseError', 'LockExtendError']);

const [LockAcquisitionError, LockReleaseError, LockExtendError] = NAMES.map(define);

/**
 * @param {string} name
 * @returns {ErrorConstructor}
 */
function define(name) {
  /** @type {any} */
  const made = {
    /** @this {any} @param {string} [message] */
    [name]: function (message) {
      if (!(this instanceof made)) return new made(message);
      this.name = name;
      this.message = message;
      // Last, so that the stack begins with the two.
      Error.captureStackTrace(this, made);
    },
  }[name];
  made.prototype = Object.create(Error.prototype, {
    constructor: { value: made, writable: true, configurable: true },
  });
  return made;
}

module.exports = { LockAcquisitionError, LockReleaseError, LockExtendError };
