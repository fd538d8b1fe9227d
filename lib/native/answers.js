'use strict';

/** Takes out of native what there is, and hands it on: answers to requests, events, requests to clients. */

const { Answer, UNEXPLAINED, UNLOCKED } = require('./answer');
const { call } = require('./calls');
const { clientRequests } = require('./client-requests');
const { answer: layout, answers: kinds } = require('../constants');
const { leave } = require('./context');
const { engines, currentMailbox, onWake, timeHasCome } = require('./mailbox');
const { slots } = require('./slots');
const { Turns } = require('./turns');
const { wallClock } = require('../wall-clock');

/**
 * @typedef {import('./types').NativeFailure} NativeFailure
 * @typedef {import('./types').NativeEvent} NativeEvent
 * @typedef {NativeFailure | NativeEvent} Detail
 */

const { slotAt, kindAt, attemptsAt, leftAt, untilAt, lastAt } = layout;
const { numbers: LENGTH, valueLength: VALUE_LENGTH } = layout;
const { locked: LOCKED, failed: FAILED, event: EVENT, clientRequest: CLIENT_REQUEST } = kinds;
const { inspected: INSPECTED, time: TIME, contextEnded: CONTEXT_ENDED } = kinds;

/** How many answers one drain has room for. */
const ROOM = 1024;

/** @type {Float64Array} */
let numbers;
/** @type {Buffer & {latin1Slice(start: number, end: number): string}} */
let values;

/** @type {Detail[]} */
const NO_DETAILS = [];

// As they were when this was loaded.
const { floor } = Math;
const { parse: parseJson } = JSON;

const turns = new Turns(drain);
onWake(turns.wake);

/** Takes all there is. @returns {number} how many answers and events that was */
function drain() {
  const mailbox = currentMailbox();
  let all = 0;
  if (mailbox === undefined) return all;
  numbers ??= new Float64Array(1 + ROOM * LENGTH);
  values ??= /** @type {typeof values} */ (Buffer.alloc(ROOM * VALUE_LENGTH));
  let count = ROOM;
  while (count === ROOM) {
    // Before native looks at its own clock: a lock may end earlier than it says, but not later.
    const now = wallClock();
    const json = mailbox.drain(numbers, values);
    const details = json === null ? NO_DETAILS : parse(json);
    count = numbers[0];
    all += count;
    try {
      deliver(mailbox, count, details, now);
    } finally {
      clientRequests.end();
    }
  }
  return all;
}

/**
 * Many of its properties may be absent, and must not be found in `Object.prototype` then.
 *
 * @param {string} json
 * @returns {Detail[]}
 */
function parse(json) {
  // Looks for whatever somebody has put there, which is nothing nearly always.
  for (const _ in {}) return parseJson(json, (_key, value) => withoutPrototype(value));
  return parseJson(json);
}

/** @param {any} value */
function withoutPrototype(value) {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isObject ? Object.setPrototypeOf(value, null) : value;
}

/**
 * @param {import('../../binding').Mailbox} mailbox
 * @param {number} count
 * @param {Detail[]} details
 * @param {number} now as `Date.now()` counts
 */
function deliver(mailbox, count, details, now) {
  let valueAt = 0;
  for (let row = 0, at = 1; row < count; row++, at += LENGTH) {
    const kind = numbers[at + kindAt];
    if (kind === UNLOCKED.kind && numbers[at + attemptsAt] === UNLOCKED.attempts) {
      clientRequests.flush();
      slots.settle(numbers[at + slotAt], UNLOCKED);
      continue;
    }
    const left = numbers[at + leftAt];
    const last = numbers[at + lastAt];
    // In the order in which native has said it.
    if (kind !== CLIENT_REQUEST) clientRequests.flush();
    let value = '';
    let since = 0;
    /** @type {NativeFailure | undefined} */
    let failure;
    if (kind === LOCKED) {
      value = values.latin1Slice(valueAt, valueAt + VALUE_LENGTH);
      valueAt += VALUE_LENGTH;
      since = last;
    } else if (kind === FAILED || kind === INSPECTED) {
      failure = /** @type {NativeFailure | undefined} */ (details[last]) ?? UNEXPLAINED;
    } else if (kind === EVENT) {
      const event = /** @type {NativeEvent} */ (details[last]);
      const engine = engines.get(event.handle);
      if (engine) turns.between(() => call(() => engine.emit(event)));
      continue;
    } else if (kind === CLIENT_REQUEST) {
      const client = engines.get(numbers[at + attemptsAt])?.clientAt(left);
      clientRequests.add(mailbox, client, numbers[at + slotAt], last);
      continue;
    } else if (kind === TIME) {
      timeHasCome(numbers[at + slotAt]);
      continue;
    } else if (kind === CONTEXT_ENDED) {
      leave(numbers[at + slotAt]);
      continue;
    }
    const slot = numbers[at + slotAt];
    const expiration = left > 0 ? floor(now + left) : 0;
    const until = numbers[at + untilAt];
    const answer = new Answer(kind, numbers[at + attemptsAt], expiration, until, since, value, failure);
    if (answer.until > 0 || kind === INSPECTED) turns.add(slot, answer);
    else slots.settle(slot, answer);
  }
}
