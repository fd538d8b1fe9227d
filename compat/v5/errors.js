'use strict';

/**
 * redlock 5's errors, with its texts.
 *
 * @typedef {object} Stats all votes of one attempt
 * @property {number} membershipSize
 * @property {number} quorumSize
 * @property {Set<unknown>} votesFor the clients as they were passed
 * @property {Map<unknown, Error>} votesAgainst
 * @typedef {import('../../lib/errors').Failure} Failure
 */

/** A vote against: the server holds a lock of somebody else's on one of the resources, or ours is gone. */
class ResourceLockedError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    show(this);
  }
}

/** No majority. */
class ExecutionError extends Error {
  /**
   * @param {string} message
   * @param {readonly Promise<Stats>[]} attempts
   * @param {Failure} [failure] what explains it
   */
  constructor(message, attempts, failure) {
    super(message, failure?.cause && { cause: failure.cause });
    this.attempts = attempts;
    show(this);
    if (failure) {
      this.code = failure.code;
      this.resources = failure.resource;
      this.votes = failure.votes;
    }
  }
}

/**
 * In redlock 5 an error's name and message are properties like any others, which JSON and copies have too.
 *
 * @param {Error} error
 */
function show(error) {
  const { name, message } = error;
  Object.defineProperties(error, {
    message: { value: message, enumerable: true, writable: true, configurable: true },
    name: { value: name, enumerable: true, writable: true, configurable: true },
  });
}

// On the prototypes too: a stack begins with the name that there is when the error is made.
for (const Type of [ResourceLockedError, ExecutionError]) {
  Object.defineProperty(Type.prototype, 'name', { value: Type.name, writable: true, configurable: true });
}

/** redlock 5's messages. */
const TEXTS = Object.freeze({
  duration: 'Duration must be an integer value in milliseconds.',
  expired: 'Cannot extend an already-expired lock.',
  noQuorum: 'The operation was unable to achieve a quorum during its retry window.',
  noClients: 'Redlock must be instantiated with at least one redis client.',
  noRoutine: 'INVARIANT: routine is not a function.',
  threshold:
    'A lock `duration` must be at least 100ms greater than the `automaticExtensionThreshold` setting.',
});

module.exports = { ResourceLockedError, ExecutionError, TEXTS };
