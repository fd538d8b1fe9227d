'use strict';

/** What a Lock asks: an engine over one client, which all Locks of that client share. */

const { EventEmitter } = require('node:events');

const { isClient } = require('../../lib/clients');
const { read } = require('../../lib/clients/inspect-object');
const { explain } = require('../../lib/cause');
const { wrongType, show } = require('../../lib/errors');
const { readMembers } = require('../../lib/members');
const { Engine } = require('../../lib/native');
const { Settings } = require('../../lib/options');
const { Redactor } = require('../../lib/redact');
const { lookup } = require('../../lib/clients/error-registry');

/**
 * @typedef {import('../../lib/cause').Operation} Operation
 * @typedef {object} Refusal why nothing came of a request
 * @property {boolean} isHeld the server has said no: somebody else has the key, or it is gone
 * @property {string} message the server's, or the client's own
 * @property {import('../../lib/errors').Failure} failure
 */

/** One attempt: a Lock waits between two by itself. A single clock needs no allowance for others. */
const ONCE = new Settings(0, 0, 0, 0);

/** There is no other instance whose answer would do, so that it is given time. */
const PATIENCE = { share: 1, floor: 1000, ceiling: 5000, release: 5000 };

/** In ms: less than that can't be held. */
const SHORTEST = 3;

/** In ms; whoever has the value has the lock. */
const FOR_EVER = 8.64e15;

class Quorum {
  // The engine ends with its owner, hence with the last Lock that has this quorum.
  #owner = new EventEmitter();
  #engine;
  /** The bridge to it. */
  #bridge;

  /** @param {object} client */
  constructor(client) {
    const members = readMembers([client], 'auto', 'eval');
    this.client = client;
    this.#bridge = members[0].bridge;
    this.#engine = new Engine(this.#owner, members, PATIENCE);
    this.#engine.isHeardLate = true;
  }

  /** As `ioredis 5`. */
  get library() {
    return this.#bridge?.library;
  }

  /**
   * @param {string} key
   * @param {string} value
   * @param {number} ttl
   */
  async acquire(key, value, ttl) {
    this.#engine.look();
    const answer = await this.#engine.lock([key], Math.max(ttl, SHORTEST), ONCE, false, value);
    if (!answer.failure && answer.isOver) {
      this.#engine.unlock([key], value, answer.since, ONCE, false);
      answer.failure = TOO_LATE;
    }
    return this.#refusalOf(answer, 'lock', key, ttl);
  }

  /**
   * @param {string} key
   * @param {string} value
   * @param {number} ttl
   */
  async extend(key, value, ttl) {
    this.#engine.look();
    const answer = await this.#engine.extend([key], value, FOR_EVER, true, ttl, ONCE, false);
    if (!answer.failure && answer.isOver) answer.failure = OVER;
    return this.#refusalOf(answer, 'extend', key, ttl);
  }

  /**
   * @param {string} key
   * @param {string} value
   */
  async release(key, value) {
    this.#engine.look();
    const answer = await this.#engine.unlock([key], value, 0, ONCE, false);
    return this.#refusalOf(answer, 'unlock', key, 0);
  }

  /**
   * What the client's own error says, without its secrets.
   *
   * @param {number | undefined} error
   */
  #ownWords(error) {
    const message = read(lookup(error), 'message');
    return typeof message === 'string' ? new Redactor(this.#bridge?.secrets).clean(message) : '';
  }

  /**
   * @param {import('../../lib/native').Answer} answer
   * @param {Operation} operation
   * @param {string} key
   * @param {number} ttl
   * @returns {Refusal | undefined}
   */
  #refusalOf({ failure }, operation, key, ttl) {
    if (!failure) return undefined;
    const vote = failure.votes[0];
    const own = this.#ownWords(vote?.error);
    return {
      isHeld: vote?.vote === 'held' || failure === OVER,
      message: own || (vote?.message ?? failure.reason),
      failure: explain(failure, { operation, names: [key], ttl }, this.#engine.addresses),
    };
  }
}

const TOO_LATE = { code: 'ERR_REDLOCK_TOO_SLOW', reason: 'it was over when it arrived', votes: [] };

/** The key is gone by now. */
const OVER = { code: 'ERR_REDLOCK_EXPIRED', reason: 'it was over when it arrived', votes: [] };

/**
 * By client. Weakly, as an engine has its client: a quorum lives as long as Locks have it.
 *
 * @type {WeakMap<object, WeakRef<Quorum>>}
 */
const quorums = new WeakMap();

/**
 * @param {unknown} client
 * @returns {Quorum}
 */
function quorumOf(client) {
  if (!isClient(client)) {
    throw wrongType('CLIENT', `a lock needs a client of a Redis library, not ${show(client)}`);
  }
  const own = /** @type {object} */ (client);
  const known = quorums.get(own)?.deref();
  if (known) return known;
  const quorum = new Quorum(own);
  quorums.set(own, new WeakRef(quorum));
  return quorum;
}

module.exports = { quorumOf };
