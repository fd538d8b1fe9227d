'use strict';

/** What the members of a quorum say of a key, and what that comes to. */

const { troubleOf } = require('./errors');
const { bare } = require('./foreign');
const { printWithoutValue } = require('./printed');
const { majorityOf } = require('./quorum');

/**
 * @typedef {Omit<import('./native/types').NativeVote, 'vote'> & {vote: string, value?: string | null, ttl?: number | null}} InspectionVote
 * @typedef {object} InstanceView what one instance says
 * @property {string} address
 * @property {boolean | undefined} held undefined if it did not say
 * @property {string} [value]
 * @property {number} [remaining] in ms; Infinity if the key never ends
 * @property {Error} [error] why it did not say
 */

class Inspection {
  /**
   * @param {string} resource
   * @param {InspectionVote[]} votes
   * @param {string[]} addresses
   * @param {number} age how long ago the instances may have said so, in ms
   */
  constructor(resource, votes, addresses, age) {
    this.resource = resource;
    // What is absent must not be found in `Object.prototype`, where something may stand that wasn't there at the drain.
    this.instances = votes.map((vote, instance) => viewOf(bare(vote), instance, addresses[instance], age));
    const quorum = majorityOf(votes.length);
    const holder = holderOf(this.instances, quorum);
    const isFree = this.instances.filter(({ held }) => held === false).length >= quorum;
    /**
     * True if a majority has the same value, false if a majority has none. Undefined otherwise: nobody may
     * have it, or too few have answered.
     *
     * @type {boolean | undefined}
     */
    this.held = holder ? true : isFree ? false : undefined;
    /** What it is held by. @type {string | undefined} */
    this.value = holder?.value;
    /** For how long at least a majority goes on having it, in ms, by the servers' clocks. @type {number | undefined} */
    this.remaining = holder?.remaining;
  }
}

printWithoutValue(Inspection);

/**
 * @param {InspectionVote} vote
 * @param {number} instance
 * @param {string} address
 * @param {number} age
 * @returns {InstanceView}
 */
function viewOf({ vote, value, ttl, code, reply, message, error }, instance, address, age) {
  if (vote === 'failed' && code !== undefined && message !== undefined) {
    const trouble = { code, reply, message, error };
    return { address, held: undefined, error: troubleOf(trouble, 'inspect', instance, address) };
  }
  if (value === null || value === undefined) return { address, held: vote === 'seen' ? false : undefined };
  const remaining = (ttl ?? Number.POSITIVE_INFINITY) - age;
  // It was held then, and may have ended since: nobody knows whether it is held now.
  return remaining > 0 ? { address, held: true, value, remaining } : { address, held: undefined };
}

/**
 * @param {InstanceView[]} views
 * @param {number} quorum
 */
function holderOf(views, quorum) {
  /** @type {Map<string, number[]>} */
  const lives = new Map();
  for (const { value, remaining } of views) {
    if (value === undefined || remaining === undefined) continue;
    lives.set(value, [...(lives.get(value) ?? []), remaining]);
  }
  for (const [value, remaining] of lives) {
    // The shortest of the longest lives that make a majority.
    if (remaining.length >= quorum) return { value, remaining: remaining.sort((a, b) => b - a)[quorum - 1] };
  }
  return undefined;
}

module.exports = { Inspection };
