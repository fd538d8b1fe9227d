'use strict';

/** redlock 5's `attempts`: for each attempt of an operation a promise of all of its votes. */

const { majorityOf } = require('../../lib/quorum');
const { isError, troubleOf } = require('../../lib/errors');
const { keepAlive } = require('../../lib/native/mailbox');
const { lookup } = require('../../lib/clients/error-registry');
const { ResourceLockedError } = require('./errors');

/**
 * @typedef {import('../../lib/native').NativeVote} NativeVote
 * @typedef {import('./errors').Stats} Stats
 */

/**
 * @template T
 * @typedef {{promise: Promise<T>, resolve: (value: T) => void}} Promised
 */

/** The attempts of one request. */
class Attempts {
  #engine;
  #operation;
  #names;
  #voters;
  #tell;
  /** By attempt, from 1 on. @type {Map<number, Promised<Stats>>} */
  #deferred = new Map();
  #toldCount = 0;
  /** How many there were, once that is known. @type {number | undefined} */
  #count;
  /** Of when there is nothing more to be told. @type {Promised<void>} */
  #end = promised();
  #letSleep;

  /**
   * @param {import('../../lib/native').Engine} engine
   * @param {import('../../lib/cause').Operation} operation
   * @param {string[]} names
   * @param {unknown[]} voters what stands for each member
   * @param {(error: Error) => void} tell is called with each vote against
   */
  constructor(engine, operation, names, voters, tell) {
    this.#engine = engine;
    this.#operation = operation;
    this.#names = names;
    this.#voters = voters;
    this.#tell = tell;
    // Native keeps the process for answers, not for votes that come after them; whoever waits for those must get
    // them. They come before long: those that miss their deadline count as against.
    this.#letSleep = keepAlive();
    /** To be given with the request. */
    this.voteReport = engine.reportVotes((attempt, votes) => this.#read(attempt, votes));
  }

  /** Resolves once there is nothing more to be told. */
  get ended() {
    return this.#end.promise;
  }

  /**
   * The request was answered.
   *
   * @param {import('../../lib/native').Answer} answer
   * @returns {Promise<Stats>[]} for each attempt; the last ones may have votes to come
   */
  answered({ attempts }) {
    this.#count = attempts;
    const promises = Array.from({ length: attempts }, (_, index) => this.#of(index + 1).promise);
    this.#endIfTold();
    return promises;
  }

  /**
   * @param {number} attempt
   * @param {NativeVote[]} votes
   */
  #read(attempt, votes) {
    const stats = this.#statsOf(votes);
    this.#of(attempt).resolve(stats);
    this.#toldCount += 1;
    this.#endIfTold();
    for (const error of stats.votesAgainst.values()) this.#tell(error);
  }

  #endIfTold() {
    if (this.#count === undefined || this.#toldCount < this.#count) return;
    this.#engine.endReport(this.voteReport);
    this.#letSleep();
    this.#end.resolve();
  }

  /** @param {number} attempt */
  #of(attempt) {
    let deferred = this.#deferred.get(attempt);
    if (!deferred) {
      deferred = promised();
      this.#deferred.set(attempt, deferred);
    }
    return deferred;
  }

  /** @param {NativeVote[]} votes */
  #statsOf(votes) {
    /** @type {Stats} */
    const stats = {
      membershipSize: votes.length,
      quorumSize: majorityOf(votes.length),
      votesFor: new Set(),
      votesAgainst: new Map(),
    };
    votes.forEach((vote, index) => {
      const voter = this.#voters[index];
      if (vote.vote === 'granted') stats.votesFor.add(voter);
      else stats.votesAgainst.set(voter, this.#errorOf(vote, index));
    });
    return stats;
  }

  /**
   * @param {NativeVote} vote
   * @param {number} index
   * @returns {Error}
   */
  #errorOf({ vote, applied = 0, code = 'SILENT', reply, message = 'no answer', error }, index) {
    if (vote === 'held') {
      const wanted = this.#names.length;
      return new ResourceLockedError(
        `The operation was applied to: ${applied} of the ${wanted} requested resources.`,
      );
    }
    // A client's own, also where the server has answered with it: that is what redlock 5 hands on.
    const own = lookup(error);
    if (isError(own)) return own;
    return troubleOf({ code, reply, message, error }, this.#operation, index, this.#engine.addresses[index]);
  }
}

/**
 * @template T
 * @returns {Promised<T>}
 */
function promised() {
  /** @type {(value: T) => void} */
  let resolve = () => {};
  const promise = new Promise((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

module.exports = { Attempts };
