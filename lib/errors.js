'use strict';

/**
 * What the class rejects with and what it emits.
 *
 * @typedef {{code: string, reply?: string, message: string, error?: number}} Trouble `error` is a client's own, by
 *   its number
 * @typedef {{address: string, vote: 'granted' | 'held' | 'failed' | 'pending', error?: Error}} Vote
 * @typedef {{code: string, resource: string[], votes: Vote[], cause?: Error}} Failure
 */

const { types } = require('node:util');

const { isArray } = require('./foreign');
const { lookup } = require('./clients/error-registry');

/** A lock that could not be taken, extended or released. */
class LockError extends Error {
  /**
   * @param {string} [message]
   * @param {number} [attempts]
   * @param {Failure} [failure]
   */
  constructor(message, attempts, failure) {
    super(message || 'Failed to lock the resource.', failure?.cause && { cause: failure.cause });
    this.attempts = attempts;
    if (failure) {
      this.code = failure.code;
      this.resource = failure.resource;
      this.votes = failure.votes;
    }
  }
}

/** One instance that failed to carry out one command. */
class InstanceError extends Error {
  /**
   * @param {Trouble} trouble
   * @param {string} operation
   * @param {number} instance
   * @param {string} address
   */
  constructor({ code, reply, message, error }, operation, instance, address) {
    const own = lookup(error);
    super(`${operation} on ${address}: ${message}`, own === undefined ? undefined : { cause: own });
    dropStack(this);
    this.code = `ERR_REDLOCK_${code}`;
    this.reply = reply;
    this.operation = operation;
    this.instance = instance;
    this.address = address;
  }
}

/**
 * What an instance failed with: a client's own error as it is, unless it tells of a server's answer, which
 * is explained as anywhere else.
 *
 * @param {Trouble} trouble
 * @param {string} operation
 * @param {number} instance
 * @param {string} address
 * @returns {Error}
 */
function troubleOf(trouble, operation, instance, address) {
  const own = trouble.reply === undefined ? lookup(trouble.error) : undefined;
  return isError(own) ? own : new InstanceError(trouble, operation, instance, address);
}

/**
 * True for errors of another realm too, as in Jest. Never throws, though a Proxy may.
 *
 * @param {unknown} thrown
 * @returns {thrown is Error}
 */
function isError(thrown) {
  if (types.isNativeError(thrown)) return true;
  try {
    return thrown instanceof Error;
  } catch {
    return false;
  }
}

/** A connection that is down. */
class ConnectionError extends Error {
  /**
   * @param {Trouble} trouble
   * @param {number} instance
   * @param {string} address
   */
  constructor({ code, reply, message }, instance, address) {
    super(`${address}: ${message}`);
    dropStack(this);
    this.code = `ERR_REDLOCK_${code}`;
    this.reply = reply;
    this.instance = instance;
    this.address = address;
  }
}

// On the prototype, so that printing an error doesn't list it.
for (const [type, name] of /** @type {const} */ ([
  [LockError, 'LockError'],
  [InstanceError, 'InstanceError'],
  [ConnectionError, 'ConnectionError'],
])) {
  Object.defineProperty(type.prototype, 'name', { value: name, writable: true, configurable: true });
}

/**
 * The `cause` of an error: why the request failed, in a sentence.
 *
 * @param {string} sentence
 */
function because(sentence) {
  return dropStack(new Error(sentence));
}

/**
 * Removes the stack frames of an error that happened elsewhere: they would be ours, and explain nothing.
 *
 * @template {Error} E
 * @param {E} error
 */
function dropStack(error) {
  error.stack = `${error.name}: ${error.message}`;
  return error;
}

/**
 * An argument of the wrong type.
 *
 * @param {string} argument as `RESOURCE`
 * @param {string} message
 */
function wrongType(argument, message) {
  return Object.assign(new TypeError(message), { code: `ERR_REDLOCK_INVALID_${argument}` });
}

/**
 * An argument of the right type whose value can't be used.
 *
 * @param {string} argument as `RESOURCE`
 * @param {string} message
 */
function outOfRange(argument, message) {
  return Object.assign(new RangeError(message), { code: `ERR_REDLOCK_INVALID_${argument}` });
}

/** An instance's configuration of the wrong type. @param {string} message */
function mistypedInstance(message) {
  return wrongType('INSTANCE', message);
}

/** An instance's configuration of the right type that can't be used. @param {string} message */
function unusableInstance(message) {
  return outOfRange('INSTANCE', message);
}

/**
 * Makes the errors for what can't be read of a caller's object. What was thrown isn't in them: it may have a secret in
 * it.
 *
 * @param {string} argument as `RESOURCE`
 * @param {string} name what to call the object in the error
 * @returns {(key?: string | number) => Error} of one of its properties or elements; without a key, of all of it
 */
function unreadable(argument, name) {
  return (key) => {
    const what = key === undefined ? name : typeof key === 'number' ? `${name}[${key}]` : `${name}.${key}`;
    return wrongType(argument, `${what} can't be read: reading it throws`);
  };
}

const LONGEST_SHOWN = 80;

/**
 * Describes a value for an error's text. What is inside objects isn't shown: it may be secret.
 *
 * @param {unknown} value
 */
function show(value) {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.length > LONGEST_SHOWN ? `${value.slice(0, LONGEST_SHOWN)}…` : value);
    case 'function':
      return 'a function';
    case 'object':
      if (value === null) return 'null';
      if (isArray(value)) return isEmpty(value) ? 'an empty array' : 'an array';
      return types.isPromise(value) ? 'a promise (await it first)' : 'an object';
    case 'bigint':
      return `${value}n`;
    default:
      return String(value);
  }
}

/**
 * Describes a value of an option or of a configuration. Text that looks like more than a word, as a whole URL in the
 * wrong place does, isn't shown: it may have a password in it.
 *
 * @param {unknown} value
 */
function showSetting(value) {
  return typeof value !== 'string' || HARMLESS.test(value) ? show(value) : 'a string that is not shown here';
}

const HARMLESS = /^[\w .,/%+-]{0,40}$/;

/** @param {unknown[]} array */
function isEmpty(array) {
  return types.isProxy(array) ? false : array.length === 0;
}

/**
 * Warns the process of an option or a key that can't be used, and is ignored as redlock 4 ignores it.
 *
 * @param {string} message
 */
function warnOfIgnored(message) {
  process.emitWarning(`redlock-native: ${message} (ignored)`, 'RedlockWarning', 'REDLOCK_OPTIONS');
}

module.exports = {
  LockError,
  InstanceError,
  ConnectionError,
  isError,
  troubleOf,
  because,
  wrongType,
  outOfRange,
  mistypedInstance,
  unusableInstance,
  unreadable,
  show,
  showSetting,
  warnOfIgnored,
};
