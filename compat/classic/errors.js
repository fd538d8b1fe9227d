'use strict';

/** The LockErrors of the classic majors. */

const { LockError: BaseError } = require('../../lib/errors');
const { bare } = require('../../lib/foreign');

/** A class of its own, so that an error is known for this entry's; it is our LockError all the same. */
function makeLockError() {
  class LockError extends BaseError {
    /**
     * @param {string} [message]
     * @param {number} [attempts]
     * @param {import('../../lib/errors').Failure} [failure]
     */
    constructor(message, attempts, failure) {
      super(message, attempts, failure);
      // Own and enumerable, as redlock's are: whoever logs errors as JSON has them there.
      this.name = 'LockError';
      Object.defineProperty(this, 'message', bare({ enumerable: true }));
    }
  }
  return LockError;
}

/**
 * @param {any} LockError
 * @param {any} error why nothing was asked for
 */
function refusal(LockError, error) {
  return new LockError(error.message, 0, { code: error.code, resource: [], votes: [], cause: error });
}

module.exports = { makeLockError, refusal };
