'use strict';

const { read } = require('./inspect-object');

/** What an answer may be. true and false are redis 2 and 3 telling how full their buffers are. */
const ANSWERS = ['number', 'string', 'bigint'];

/**
 * Calls once, with a callback, and takes the answer from wherever it comes: the callback, a promise, or, of a fake,
 * what is returned.
 *
 * @param {(callback: (error: unknown, reply?: unknown) => void) => any} call
 * @returns {Promise<unknown>}
 */
function promiseOrCallback(call) {
  return new Promise((resolve, reject) => {
    // What is thrown here rejects.
    const returned = call((error, reply) => (error ? reject(error) : resolve(reply)));
    if (ANSWERS.includes(typeof returned)) resolve(returned);
    const then = read(returned, 'then');
    // Listened to even if the callback was faster: nobody else would handle its rejection.
    if (typeof then === 'function') then.call(returned, resolve, reject);
  });
}

module.exports = { promiseOrCallback };
