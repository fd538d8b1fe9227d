'use strict';

/** What clients answer to a script: libraries, and their type mappings, have many forms for one thing. */

const { isArray } = require('../foreign');

/**
 * @param {unknown} reply
 * @returns {unknown} a number, where it can be read as a whole one; else the reply as it is
 */
function toReply(reply) {
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

module.exports = { toReply, readInspection, kindOf };
