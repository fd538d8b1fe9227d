'use strict';

/** Why a request failed, in one sentence for whoever is on call at night. */

const { troubleOf, because, show } = require('./errors');
const { isInUse } = require('./in-use');
const { majorityOf } = require('./quorum');

/**
 * @typedef {import('./native/types').NativeVote & {address: string}} AddressedVote what the instance at that address said
 * @typedef {'lock' | 'extend' | 'unlock' | 'inspect'} Operation
 * @typedef {object} FailedRequest
 * @property {Operation} operation
 * @property {string} names
 * @property {string} one of the names, whichever it was
 * @property {number} ttl
 * @property {string} reason
 * @property {AddressedVote[]} answers
 * @property {string} own if it may be held by who asks, what to say of that
 * @property {string} [occupant] what a key has that is no lock's
 */

/**
 * What stands beside a failure's message.
 *
 * @param {import('./native/types').NativeFailure} failure
 * @param {{operation: Operation, names: readonly string[], ttl: number}} request
 * @param {string[]} addresses
 * @returns {import('./errors').Failure}
 */
function explain(failure, { operation, names, ttl }, addresses) {
  const { code, reason, votes: nativeVotes } = failure;
  const suspicion = Object.hasOwn(failure, 'suspicion') ? (failure.suspicion ?? '') : '';
  // Many of a vote's properties may be absent, and must not be found in `Object.prototype` then.
  const answers = nativeVotes.map((vote, instance) => answerOf(vote, addresses[instance]));
  const votes = answers.map((answer, instance) => toVote(answer, operation, instance));
  const describe = Object.hasOwn(SENTENCES, code) ? SENTENCES[code] : otherwise;
  const occupant = Object.hasOwn(failure, 'occupant') ? failure.occupant : undefined;
  const shown = namesOf(names);
  const one = names.length > 1 ? `one of ${shown}` : shown;
  const own = operation === 'lock' && isInUse(names) ? NOT_REENTRANT : '';
  const sentence = describe({ operation, names: shown, one, ttl, reason, answers, own, occupant });
  return { code, resource: [...names], votes, cause: because(sentence + suspicion) };
}

/**
 * @param {import('./native/types').NativeVote} vote
 * @param {string} address
 * @returns {AddressedVote} inherits nothing
 */
function answerOf(vote, address) {
  // It was not asked, as all was decided before: nothing is wrong with it.
  if (vote.code === 'WITHDRAWN') return /** @type {any} */ ({ __proto__: null, vote: 'pending', address });
  return /** @type {any} */ ({ __proto__: null, ...vote, address });
}

/**
 * @param {AddressedVote} answer
 * @param {string} operation
 * @param {number} instance
 * @returns {import('./errors').Vote}
 */
function toVote({ address, vote, code, reply, message, error }, operation, instance) {
  if (code === undefined || message === undefined) return { address, vote };
  return { address, vote, error: troubleOf({ code, reply, message, error }, operation, instance, address) };
}

const NOT_REENTRANT =
  '; in this process a routine of using() has a lock of that name: if it is the one that asks, it waits for itself';

/** @type {Record<string, (failed: FailedRequest) => string>} */
const SENTENCES = {
  ERR_REDLOCK_HELD(failed) {
    // Said of an extension where a majority is out of reach without one having refused.
    if (failed.operation !== 'lock') return SENTENCES.ERR_REDLOCK_NOT_HELD(failed);
    const { names, one, answers, own, occupant } = failed;
    if (occupant !== undefined) {
      return (
        `${one} can't be locked: its key holds ${occupant}, so that another application uses this name; ` +
        `give the lock another one, or a keyPrefix: ${whoRefused(answers)}${whatFailed(answers)}`
      );
    }
    if (!answers.length) {
      return (
        `${names} is held, or may still be, by this process with the very value that _random() gave now: ` +
        'give a new value for each attempt'
      );
    }
    return `${one} is held by another: ${whoRefused(answers)}${whatFailed(answers)}${own}`;
  },

  ERR_REDLOCK_UNAVAILABLE({ operation, names, answers }) {
    const granted = `${count(answers, 'granted')} of ${answers.length} granted`;
    const refused = count(answers, 'held') ? `, ${count(answers, 'held')} refused` : '';
    const quorum = majorityOf(answers.length);
    const needed = quorum === 1 ? '1 is needed' : `${quorum} are needed`;
    return (
      `too few instances answered to ${operation} ${names}: ` +
      `${granted}${refused}, ${needed}${whatFailed(answers)}`
    );
  },

  ERR_REDLOCK_TOO_SLOW({ names, ttl, answers }) {
    return (
      `${names} was granted, but so late that nothing was left of its ttl of ${ttl} ms, and so released: ` +
      `use a longer ttl, or find out why the instances or this process are slow${whatFailed(answers)}`
    );
  },

  ERR_REDLOCK_TIMEOUT({ names, answers, own }) {
    const held = count(answers, 'held') ? `; ${whoRefused(answers)}${own}` : '';
    return `${names} was not granted within maxWait${held}${whatFailed(answers)}`;
  },

  ERR_REDLOCK_ENDANGERED({ names, reason, answers }) {
    const granted = `${count(answers, 'granted')} of ${answers.length}`;
    const held = count(answers, 'held') ? `; ${whoRefused(answers)}` : '';
    return (
      `${reason} of the lock on ${names}, and its last extension was granted by ${granted} instances where ` +
      `${majorityOf(answers.length)} must grant it; it is tried again${held}${whatFailed(answers)}`
    );
  },

  ERR_REDLOCK_MAX_HOLD({ names }) {
    return `the lock on ${names} was held for as long as maxHold allows: use a longer maxHold, or finish earlier`;
  },

  ERR_REDLOCK_EXPIRED({ names, answers }) {
    const failures = whatFailed(answers);
    if (failures) return `the lock on ${names} could not be extended before its validity was over${failures}`;
    return (
      `the validity of the lock on ${names} was over before it was extended: ` +
      'extend it earlier, or use a longer ttl'
    );
  },

  ERR_REDLOCK_NOT_HELD({ names, answers }) {
    const who = answers.length ? `: ${whoRefused(answers)}${whatFailed(answers)}` : '';
    return `the lock on ${names} is no longer held, because it expired, was released or was deleted${who}`;
  },
};

/** @param {FailedRequest} failed */
function otherwise({ operation, names, reason }) {
  return `could not ${operation} ${names}: ${reason}`;
}

/** @param {AddressedVote[]} answers */
function whoRefused(answers) {
  const addresses = answers.filter(({ vote }) => vote === 'held').map(({ address }) => address);
  return `${addresses.length} of ${answers.length} instances said so (${addresses.join(', ')})`;
}

/** @param {AddressedVote[]} answers */
function whatFailed(answers) {
  return answers.map(({ address, message }) => (message ? `; ${address}: ${message}` : '')).join('');
}

/**
 * @param {AddressedVote[]} answers
 * @param {AddressedVote['vote']} wanted
 */
function count(answers, wanted) {
  return answers.filter(({ vote }) => vote === wanted).length;
}

const MOST_NAMES = 5;

/** @param {readonly string[]} names */
function namesOf(names) {
  const shown = names.slice(0, MOST_NAMES).map(show).join(', ');
  const more = names.length - MOST_NAMES;
  return more > 0 ? `${shown} and ${more} more` : shown;
}

module.exports = { explain };
