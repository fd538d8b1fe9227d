'use strict';

/** Votes that are told one by one as they come: to the subscribers of `redlock:vote`, and to what a request is traced by. */

const { contextOf } = require('./context');
const { vote: votes } = require('../channels');
const { troubleOf } = require('../errors');
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

/**
 * @param {import('./types').VoteEvent} event without secrets
 * @param {string} address of the instance
 */
function tellVote(event, address) {
  const { resource, operation, instance, vote, ms, attempt, late, code, reply, message, error } = event;
  const context = contextOf(event.trace);
  const trace = context?.trace;
  /** @type {import('./types').VoteMessage} */
  const told = {
    ...{ resource, operation: OPERATIONS[operation], instance: { index: instance, address } },
    ...{ vote, ms, attempt, late, trace },
  };
  if (code !== undefined && message !== undefined) {
    told.error = troubleOf({ code, reply, message, error }, operation, instance, address);
  }
  const tell = () => {
    trace?.noteVote?.(told);
    if (votes.hasSubscribers) votes.publish(told);
  };
  if (context) context.runInAsyncScope(tell);
  else tell();
}

module.exports = { heedSubscribers, tellVote };
