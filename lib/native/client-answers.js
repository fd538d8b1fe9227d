'use strict';

/** The way back of what callers' clients have answered. What comes in one tick goes to native together. */

const { soon } = require('./calls');
const { applied } = require('../constants');

/**
 * @typedef {import('../../binding').Mailbox} Mailbox
 */

/** How many numbers each has. */
const ROW = applied.numbers;

/** Rows for `Mailbox.clientApplied`. One more than there is room for has those before it go out. */
const rows = new Float64Array(1024 * ROW);
let collected = 0;
/** Where they go. @type {Mailbox | undefined} */
let mailbox;

/**
 * @param {Mailbox} to perhaps one that rests by now
 * @param {number} handle
 * @param {number} index of the instance
 * @param {number} ticket
 * @param {number} keys
 */
function collect(to, handle, index, ticket, keys) {
  if (to !== mailbox || collected === rows.length) bringAll();
  mailbox = to;
  if (collected === 0) soon(bringAll);
  rows[collected] = handle;
  rows[collected + 1] = index;
  rows[collected + 2] = ticket;
  rows[collected + 3] = keys;
  collected += ROW;
}

function bringAll() {
  if (collected === 0) return;
  const brought = rows.subarray(0, collected);
  collected = 0;
  mailbox?.clientApplied(brought);
  mailbox = undefined;
}

/**
 * @param {Mailbox} to
 * @param {number} handle
 * @param {number} index of the instance
 * @returns {import('./types').ClientPort}
 */
function portTo(to, handle, index) {
  return {
    updateClient: (server, keep) => to.updateClient(handle, index, server, keep),
    applied: (ticket, keys) => collect(to, handle, index, ticket, keys),
    seen: (ticket, value, ttl) => to.clientSaw(handle, index, ticket, value, ttl),
    unexpected: (ticket, what) => to.clientUnexpected(handle, index, ticket, what),
    failed: (ticket, error, code, message) => to.clientFailed(handle, index, ticket, error, code, message),
  };
}

module.exports = { portTo };
