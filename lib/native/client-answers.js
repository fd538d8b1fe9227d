'use strict';

/** The way back of what callers' clients have answered. What comes in one tick goes to native together. */

const { soon } = require('./calls');

/**
 * @typedef {import('../../binding').Mailbox} Mailbox
 */

/** Rows for `Mailbox.applied`. @type {number[]} */
let collected = [];
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
  if (to !== mailbox) bringAll();
  mailbox = to;
  if (collected.length === 0) soon(bringAll);
  collected.push(handle, index, ticket, keys);
}

function bringAll() {
  if (collected.length === 0) return;
  const rows = Float64Array.from(collected);
  collected = [];
  mailbox?.clientApplied(rows);
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
