'use strict';

/** What clients answer, or fail with: libraries, and their type mappings, have many forms for one thing. */

const { isArray } = require('../foreign');
const { read } = require('./inspect-object');

/**
 * @param {unknown} reply
 * @returns {unknown} a number, where it can be read as a whole one; else the reply as it is
 */
function toReply(reply) {
  if (typeof reply === 'number') return reply;
  const text = Buffer.isBuffer(reply) ? reply.toString('latin1') : reply;
  const isNumeric = typeof text === 'bigint' || (typeof text === 'string' && /^-?\d+$/.test(text));
  if (!isNumeric) return reply;
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : reply;
}

/**
 * What a key has, and for how many ms it lives on.
 *
 * @param {unknown} reply to an inspection
 * @returns {{value: string | undefined, life: number | undefined} | undefined} undefined where it says neither
 */
function readInspection(reply) {
  if (!isArray(reply)) return undefined;
  const value = reply[0];
  const life = lifeOf(reply[1]);
  // Below 0 there is no end, or no key.
  const left = life !== undefined && life >= 0 ? life : undefined;
  if (value === null || value === undefined)
    return left === undefined ? { value: undefined, life: left } : undefined;
  if (life === undefined) return undefined;
  if (typeof value === 'string') return { value, life: left };
  return isNumber(value) || Buffer.isBuffer(value) ? { value: String(value), life: left } : undefined;
}

/** @param {unknown} given a number, as libraries have it */
function lifeOf(given) {
  const text = Buffer.isBuffer(given) ? given.toString('latin1') : given;
  const isNumeric = isNumber(text) || (typeof text === 'string' && /^-?\d+$/.test(text));
  const number = isNumeric ? Number(text) : Number.NaN;
  return Number.isFinite(number) ? number : undefined;
}

/** @param {unknown} value */
function isNumber(value) {
  return typeof value === 'number' || typeof value === 'bigint';
}

/**
 * What sort of thing it is, for an error.
 *
 * @param {unknown} reply
 */
function kindOf(reply) {
  if (reply === null || reply === undefined) return 'nil';
  if (typeof reply === 'string' || Buffer.isBuffer(reply)) return 'a string';
  if (typeof reply === 'number') return 'a fraction';
  return isArray(reply) ? 'an array' : `of the type ${typeof reply}`;
}

/**
 * Never throws, whatever was thrown: nobody would catch it, and what was asked would wait for its deadline.
 *
 * @param {unknown} error
 * @returns {string} its message, or whatever text it has
 */
function messageOf(error) {
  const message = read(error, 'message');
  if (typeof message === 'string' && message) return message;
  try {
    return String(error);
  } catch {
    return 'it failed with something that has no text';
  }
}

/**
 * Wherever libraries put the server's words.
 *
 * @param {unknown} error
 * @returns {string[]}
 */
function textsOf(error) {
  const texts =
    typeof error === 'string' ? [error] : ['message', 'code', 'name'].map((key) => read(error, key));
  return texts.filter((text) => typeof text === 'string');
}

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

module.exports = { promiseOrCallback, toReply, readInspection, kindOf, messageOf, textsOf };
