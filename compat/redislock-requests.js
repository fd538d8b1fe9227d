'use strict';

/** What a Lock asks of its client's server. All Locks of one client share one quorum, of that client alone. */

const { EventEmitter } = require('node:events');

const { isClient } = require('../lib/clients');
const { read } = require('../lib/clients/inspect-object');
const { explain } = require('../lib/cause');
const { LONGEST_VALIDITY } = require('../lib/constants');
const { wrongType, show } = require('../lib/errors');
const { OVER } = require('../lib/failures');
const { refuseLate } = require('../lib/expired-on-arrival');
const { Settings } = require('../lib/options');
const { Quorum } = require('../lib/quorum');
const { Redactor } = require('../lib/redact');
const { lookup } = require('../lib/clients/error-registry');

/**
 * @typedef {object} Refusal why nothing came of a request
 * @property {boolean} isHeld the server has said no: somebody else has the key, or it is gone
 * @property {string} message the server's, or the client's own
 * @property {import('../lib/errors').Failure} failure
 */

/** One attempt, as redislock's Lock retries by itself; and no drift, as there is one server. */
const ONCE = new Settings(0, 0, 0, 0);

/**
 * In ms: there is no other instance whose answer would do, so that it is waited for as long as the lock could last, up to
 * this.
 */
const DEADLINES = { floor: 5000, ceiling: 5000 };

/** The shortest ttl that the engine takes, in ms. */
const SHORTEST = 3;

class Requests {
  // The engine ends with its owner, hence with the last Lock that has these.
  #owner = new EventEmitter();
  #quorum;

  /** @param {object} client */
  constructor(client) {
    this.client = client;
    this.#quorum = new Quorum(this.#owner, [client], {
      deadlines: DEADLINES,
      dialect: 'eval',
      isHeardLate: true,
    });
  }

  /** As `ioredis 5`. */
  get library() {
    return this.#quorum.clients[0]?.client.library;
  }

  /**
   * @param {string} key
   * @param {string} value
   * @param {number} ttl
   * @param {import('../lib/channels').Trace} [trace]
   */
  async acquire(key, value, ttl, trace) {
    const engine = this.#quorum.refresh();
    const answer = await engine.lock([key], Math.max(ttl, SHORTEST), ONCE.tracedBy(trace), false, value);
    answer.value = value;
    if (answer.isLate) refuseLate(engine, [key], answer, ONCE, false);
    return this.#refusalOf(answer, 'lock', key, ttl);
  }

  /**
   * @param {string} key
   * @param {string} value
   * @param {number} ttl
   * @param {import('../lib/channels').Trace} [trace]
   */
  async extend(key, value, ttl, trace) {
    // redislock doesn't look at the time: having the value is having the lock.
    const answer = await this.#quorum
      .refresh()
      .extend([key], value, LONGEST_VALIDITY, true, ttl, ONCE.tracedBy(trace), false);
    if (answer.isLate) answer.failure = OVER;
    return this.#refusalOf(answer, 'extend', key, ttl);
  }

  /**
   * @param {string} key
   * @param {string} value
   * @param {import('../lib/channels').Trace} [trace]
   */
  async release(key, value, trace) {
    const answer = await this.#quorum.refresh().unlock([key], value, 0, ONCE.tracedBy(trace), false);
    return this.#refusalOf(answer, 'unlock', key, 0);
  }

  /**
   * What the client's own error says, without its secrets.
   *
   * @param {number | undefined} error
   */
  #ownWords(error) {
    const message = read(lookup(error), 'message');
    return typeof message === 'string' ? new Redactor(this.#quorum.clients[0]?.secrets).clean(message) : '';
  }

  /**
   * @param {import('../lib/native').Answer} answer
   * @param {import('../lib/cause').Operation} operation
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
      failure: explain(failure, { operation, names: [key], ttl }, this.#quorum.engine.addresses),
    };
  }
}

/**
 * By client. Weakly, since an engine refers to its client: they live as long as there are Locks that use them.
 *
 * @type {WeakMap<object, WeakRef<Requests>>}
 */
const known = new WeakMap();

/**
 * @param {unknown} client
 * @returns {Requests}
 */
function requestsOf(client) {
  if (!isClient(client)) {
    throw wrongType('CLIENT', `a lock needs a client of a Redis library, not ${show(client)}`);
  }
  const own = /** @type {object} */ (client);
  const before = known.get(own)?.deref();
  if (before) return before;
  const requests = new Requests(own);
  known.set(own, new WeakRef(requests));
  return requests;
}

module.exports = { requestsOf };
