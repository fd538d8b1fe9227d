'use strict';

/**
 * Votes that are told one by one as they come: to the subscribers of `redlock:vote`, and in what a request is traced by.
 *
 * @typedef {import('./types').Trace} Trace
 */

const { contextOf } = require('./context');
const { vote: votes } = require('../channels');
const { InstanceError } = require('../errors');
const { currentMailbox, mailbox, onRest } = require('./mailbox');

/** What each operation is called there. @type {Record<string, import('./types').VoteMessage['operation']>} */
const OPERATIONS = { lock: 'acquire', extend: 'extend', unlock: 'release', inspect: 'inspect' };

/** Whether native tells all votes. */
let areTold = false;

onRest(() => {
  areTold = false;
});

/** Has native tell all votes while somebody subscribes, from the next request on. */
function heedSubscribers() {
  const isWanted = votes.hasSubscribers;
  if (isWanted === areTold) return;
  areTold = isWanted;
  if (isWanted) mailbox().tellVotes(true);
  else currentMailbox()?.tellVotes(false);
}

/** Of what the votes are that a trace shows. @type {WeakMap<Trace, {operation: string, attempt: number}>} */
const shown = new WeakMap();

/**
 * @param {import('./types').VoteEvent} event without secrets
 * @param {readonly string[]} addresses by instance
 */
function tellVote(event, addresses) {
  const { resource, operation, instance, vote, ms, attempt, late, code, reply, message } = event;
  const address = addresses[instance];
  const context = contextOf(event.trace);
  const trace = context?.trace;
  /** @type {import('./types').VoteMessage} */
  const told = {
    ...{ resource, operation: OPERATIONS[operation], instance: { index: instance, address } },
    ...{ vote, ms, attempt, late, trace },
  };
  if (code !== undefined && message !== undefined) {
    // Not a client's own error, which may have a command's arguments.
    told.error = new InstanceError({ code, reply, message }, operation, instance, address);
  }
  if (trace) show(trace, told, addresses);
  if (!votes.hasSubscribers) return;
  if (context) context.runInAsyncScope(() => votes.publish(told));
  else votes.publish(told);
}

/**
 * Shows a vote among those of the trace's last attempt.
 *
 * @param {Trace} trace
 * @param {import('./types').VoteMessage} told
 * @param {readonly string[]} addresses
 */
function show(trace, { operation, instance, vote, attempt, late, error }, addresses) {
  // What the call was rejected with has its votes already.
  if (trace.outcome !== undefined) return;
  const before = shown.get(trace);
  // What a failed attempt releases is no attempt.
  if (before && before.operation !== operation) return;
  const { index, address } = instance;
  // Attempts that JavaScript makes one by one are all the first of their request.
  const isAnother = attempt !== before?.attempt || (!late && trace.votes?.[index].vote !== 'pending');
  if (trace.votes === undefined || isAnother) {
    if (late) return;
    shown.set(trace, { operation, attempt });
    trace.note({ votes: addresses.map((one) => ({ address: one, vote: 'pending' })) });
  }
  const shows =
    error === undefined ? { address, vote } : { address, vote, code: /** @type {any} */ (error).code };
  Reflect.set(Object(trace.votes), index, shows);
}

module.exports = { heedSubscribers, tellVote };
