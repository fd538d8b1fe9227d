'use strict';

/** A quorum that native has opened, and what can be asked of it. */

const { unusableInstance } = require('../errors');
const { Redactor, secretsIn, cleanDetails } = require('../redact');
const { soon, deferred, call } = require('./calls');
const { portTo } = require('./client-answers');
const { flags, operations, reasons } = require('../constants');
const { NO_CONTEXT, enter } = require('./context');
const { engines, restIfIdle, mailbox, IMMEDIATES_LOST_AFTER, after, keepAlive } = require('./mailbox');
const { Events } = require('./events');
const { requests } = require('./requests');
const { OWN_SCRIPTS, forget, learn } = require('./scripts');
const { slots } = require('./slots');
const { heedSubscribers, tellVote } = require('./votes');

// As they were when this was loaded: see `#comeRound`.
const { setImmediate, clearImmediate } = require('node:timers');

/**
 * @typedef {import('./answer').Answer} Answer
 * @typedef {import('./requests').Cancellation} Cancellation
 * @typedef {import('./types').Asker} Asker
 * @typedef {import('./types').VotesListener} VotesListener
 * @typedef {import('./types').WatchedLock} WatchedLock
 * @typedef {import('../clients/bridge').Bridge} Bridge
 * @typedef {import('../options').Settings} Settings
 */

/** The resource of a request that is about none. */
const NO_NAMES = ['*'];

/** How long requests have to come to an end once the engine is closing, in ms. */
const LONGEST_END = 2000;

/** How often it is looked where callers' clients lead while locks are kept, in ms. */
const FOLLOWED_EVERY = 200;

const REPLACED = 'the servers of this Redlock were replaced by others';

/** Why a lock is lost that quit() has released. @type {import('./types').NativeFailure} */
const CLOSED = { code: reasons.closed.code, reason: 'quit() has released it', votes: [] };

const abandoned = new FinalizationRegistry((/** @type {Engine} */ engine) => engine.close());

/** @implements {Asker} */
class Engine {
  handle;
  scripts = OWN_SCRIPTS;
  isHeardLate = false;
  isGone = false;
  /** What is said of requests that are given up since all is to end. @type {{code: string, reason?: string} | undefined} */
  ending;
  #mailbox;
  /** Tells the owner of the members. */
  events;
  #redactor;
  /** The caller's clients, by their index. @type {(Bridge | undefined)[]} */
  #bridges;
  /** Each of them once. @type {Bridge[]} */
  #clients;
  #inFlight = 0;
  /** Who is told of the votes of a request, by the report's number. @type {Map<number, VotesListener>} */
  #voteReports = new Map();
  #lastReport = 0;
  /** Locks that are kept, by number. @type {Map<number, WeakRef<WatchedLock>>} */
  #watched = new Map();
  /** @type {Promise<void> | undefined} */
  #closing;
  /** Where others take its place: resolved with its end. @type {ReturnType<typeof deferred<void>> | undefined} */
  #retirement;
  /** Whether it is looked now and then where clients lead. */
  #isFollowing = false;
  /** What is to be asked last. @type {(() => void) | undefined} */
  #askLast;
  /** @type {() => void} */
  #closed = () => {};
  /** Calls off what goes on until native has closed it: a time limit, or keeping the process alive. @type {() => void} */
  #endWait = () => {};

  /**
   * @param {import('./types').Owner} owner emits this engine's events; the engine is closed when it is collected
   * @param {import('../types').Member[]} members whose configurations are as docs/hand-over.md has them. They
   *   are not kept: they have passwords.
   * @param {object} deadlines
   */
  constructor(owner, members, deadlines) {
    const instances = members.map(({ config }) => config);
    const redactor = new Redactor(secretsIn(instances));
    this.#mailbox = mailbox();
    const { handle, addresses } = open(this.#mailbox, { instances, deadlines }, redactor);
    this.handle = handle;
    this.addresses = addresses;
    this.#bridges = members.map(({ bridge }) => bridge);
    this.#clients = [...new Set(this.#bridges)].filter((bridge) => bridge !== undefined);
    this.#redactor = redactor;
    this.events = new Events(owner, addresses, members);
    engines.set(handle, this);
    abandoned.register(owner, this, this);
    for (const bridge of this.#clients) this.#beginClient(bridge);
  }

  /** @param {Bridge} bridge */
  #beginClient(bridge) {
    const index = this.#bridges.indexOf(bridge);
    try {
      bridge.begin(portTo(this.#mailbox, this.handle, index), `instances[${index}]`);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Notices it where the callers' clients lead elsewhere by now. To be called before each request. */
  refreshClients() {
    const clients = this.#clients;
    for (let at = 0; at < clients.length; at++) clients[at].refresh();
  }

  /** @param {import('./types').Scripts} given in place of our own, from now on */
  useScripts(given) {
    this.scripts = learn(given);
    forget();
  }

  get isClosed() {
    return this.#closing !== undefined;
  }

  /**
   * @param {readonly string[]} resources
   * @param {number} ttl
   * @param {Settings} settings
   * @param {boolean} report whether instances' failures are wanted as events
   * @param {string} [value] one of the caller's own, which allows one attempt only
   * @param {number} [voteReport] from `reportVotes`
   * @param {number} [maxWait] how long to wait for it altogether, in ms
   * @param {number} [ownFlags] `INSPECT_IF_HELD`: if the last attempt finds it held, it is worth a look what the key has; `IS_REPEATED`:
   *   this is not the first request for the same lock
   * @param {Cancellation} [cancellation] where the caller may give the request up
   * @returns {Promise<Answer>} which is never rejected
   */
  lock(resources, ttl, settings, report, value = '', voteReport, maxWait, ownFlags = 0, cancellation) {
    const all = reportFlag(report) | ownFlags;
    const { lock } = operations;
    return requests.ask(
      this,
      lock,
      all,
      ttl,
      settings,
      0,
      value,
      resources,
      voteReport,
      maxWait,
      cancellation,
    );
  }

  /**
   * The same without more ado, for somebody who is told without a promise of ours.
   *
   * @param {import('./types').Waiter} waiter
   * @param {readonly string[]} resources
   * @param {number} ttl
   * @param {Settings} settings
   * @param {boolean} report
   * @param {number} ownFlags
   * @returns {number} the caller's context
   */
  lockFor(waiter, resources, ttl, settings, report, ownFlags) {
    const all = reportFlag(report) | ownFlags;
    return requests.add(waiter, operations.lock, all, ttl, settings, 0, '', resources);
  }

  /**
   * What each instance says of a resource's key.
   *
   * @param {string} resource
   * @param {Settings} settings
   * @returns {Promise<Answer>} with the votes; never rejected
   */
  inspect(resource, settings) {
    return requests.ask(this, operations.inspect, 0, 0, settings, 0, '', [resource]);
  }

  /**
   * What it has counted so far.
   *
   * @param {Settings} settings
   * @returns {Promise<Answer>} with the stats; never rejected
   */
  stats(settings) {
    return requests.ask(this, operations.stats, 0, 0, settings, 0, '', NO_NAMES);
  }

  /**
   * Time on the engine's clock, which no fake timers stop. It ends early, as a failure, if the engine is closed.
   *
   * @param {number} ms
   * @param {Settings} settings
   * @param {Cancellation} [cancellation] where the caller may give the request up
   * @returns {Promise<Answer>} which is never rejected
   */
  wait(ms, settings, cancellation) {
    const { wait } = operations;
    return requests.ask(this, wait, 0, 0, settings, ms, '', NO_NAMES, undefined, undefined, cancellation);
  }

  /**
   * @param {readonly string[]} resources
   * @param {string} value
   * @param {number} until when the lock's validity ends: on the engine's clock, or, if `relative`, in ms from now
   * @param {boolean} relative
   * @param {number} ttl
   * @param {Settings} settings
   * @param {boolean} report
   * @param {number} [voteReport] from `reportVotes`
   * @returns {Promise<Answer>} which is never rejected
   */
  extend(resources, value, until, relative, ttl, settings, report, voteReport) {
    const all = reportFlag(report) | (relative ? flags.relative : 0);
    return requests.ask(this, operations.extend, all, ttl, settings, until, value, resources, voteReport);
  }

  /**
   * @param {readonly string[]} resources
   * @param {string} value
   * @param {number} since the lock can't have been held before, on the engine's clock; 0 = unknown
   * @param {Settings} settings
   * @param {boolean} report
   * @param {number} [voteReport] from `reportVotes`
   * @returns {Promise<Answer>} which is never rejected
   */
  unlock(resources, value, since, settings, report, voteReport) {
    const { unlock } = operations;
    return requests.ask(this, unlock, reportFlag(report), 0, settings, since, value, resources, voteReport);
  }

  /**
   * The same for somebody who is told without a promise of ours.
   *
   * @param {import('./types').Waiter} waiter
   * @param {readonly string[]} resources
   * @param {string} value
   * @param {number} since
   * @param {Settings} settings
   * @param {boolean} report
   */
  unlockFor(waiter, resources, value, since, settings, report) {
    const all = reportFlag(report);
    requests.add(waiter, operations.unlock, all, 0, settings, since, value, resources);
  }

  /**
   * Has a request's votes told, attempt by attempt, once all of them are in.
   *
   * @param {VotesListener} listener
   * @returns {number} to be given with the request
   */
  reportVotes(listener) {
    this.#lastReport = (this.#lastReport + 1) % 2 ** 32 || 1;
    this.#voteReports.set(this.#lastReport, listener);
    return this.#lastReport;
  }

  /** @param {number} voteReport nothing is to be told any more */
  endReport(voteReport) {
    this.#voteReports.delete(voteReport);
  }

  /**
   * Keeps a lock: extends it, if asked to, and has its loss told.
   *
   * @param {WatchedLock} watched
   * @param {number} number its own
   * @param {number[]} terms as docs/hand-over.md has them
   * @param {string} value
   * @param {readonly string[]} resources
   */
  watch(watched, number, terms, value, resources) {
    const isKnown = engines.get(this.handle) === this;
    if (isKnown) this.#watched.set(number, new WeakRef(watched));
    // What was asked for before, as its unlocking, comes before.
    requests.flush();
    const context = this.#clients.length === 0 ? NO_CONTEXT : enter();
    const numbers = Float64Array.from(terms);
    heedSubscribers();
    this.#mailbox.watch(this.handle, number, this.scripts, context, numbers, value, [...resources]);
    // Native has let go of the engine already, and tells nothing.
    if (engines.get(this.handle) !== this) watched.fallBackToTimers();
    else this.#followClients();
  }

  /** A lock that is kept is extended without a request of JavaScript's, before which it would be looked where clients lead. */
  #followClients() {
    if (this.#isFollowing || this.#clients.length === 0) return;
    this.#isFollowing = true;
    after(FOLLOWED_EVERY, () => {
      this.#isFollowing = false;
      if (this.#watched.size === 0) return;
      call(() => this.refreshClients());
      this.#followClients();
    });
  }

  /** @param {number} number of a kept lock that is watched no more */
  unwatch(number) {
    this.#watched.delete(number);
    this.#mailbox.unwatch(number);
    this.#endIfRetired();
  }

  /**
   * Until when the lock kept under this number may be believed in, on the engine's clock; 0 once it is released,
   * or lost before its time.
   *
   * @param {number} number
   */
  watchedUntil(number) {
    return this.#mailbox.watchedUntil(number);
  }

  /**
   * Why the lock watched under this number may not be believed in any more, by the engine's clock.
   *
   * @param {number} number
   * @returns {number} that of one of the constants' `reasons`; 0 while it may be believed in
   */
  endedBy(number) {
    return this.#mailbox.endedBy(number);
  }

  /**
   * Closes it, and has everything released that it has handed over and that is held still. What else is in flight is
   * given up, but for unlocks.
   *
   * @param {Settings} settings
   * @param {boolean} report
   * @returns {Promise<import('./types').Unreleased[]>} what could not be released
   */
  releaseAll(settings, report) {
    return new Promise((resolve) => {
      this.#askLast = async () => {
        const { unlockAll } = operations;
        const answer = await requests.ask(this, unlockAll, reportFlag(report), 0, settings, 0, '', NO_NAMES);
        for (const number of [...this.#watched.keys()]) this.unwatch(number);
        resolve(answer.failure?.locks ?? []);
      };
      for (const watched of this.#watched.values()) watched.deref()?.lose(CLOSED, false);
      this.close();
      this.#giveUp();
    });
  }

  /** Resolves once what is in flight has been answered, and, where callers' clients carry it, all has come to an end. */
  close() {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /**
   * Others take its place: nothing new is asked of it, and it closes once it keeps no lock.
   *
   * @returns {Promise<void>} resolves when it has
   */
  retire() {
    this.#retirement = deferred();
    if (this.#watched.size > 0) this.giveUpSoon();
    this.#endIfRetired();
    return this.#retirement.promise;
  }

  #endIfRetired() {
    if (this.#watched.size === 0) this.#retirement?.resolve(this.close());
  }

  /** @returns {Promise<void>} */
  #close() {
    abandoned.unregister(this);
    const closed = /** @type {Promise<void>} */ (
      new Promise((resolve) => {
        this.#closed = resolve;
      })
    );
    if (this.#inFlight === 0) this.#leave();
    // What waits for a lock may wait without end.
    else this.#endWait = this.giveUpSoon();
    return closed;
  }

  /**
   * Has what still waits for a lock given up, for which there is no time where all is to end.
   *
   * @returns {() => void} to be called if all has come to its end by itself
   */
  giveUpSoon() {
    return after(LONGEST_END, () => this.#giveUp());
  }

  #giveUp() {
    this.ending = this.#retirement ? { code: CLOSED.code, reason: REPLACED } : { code: CLOSED.code };
    requests.flush();
    for (const slot of slots.of(this)) this.#mailbox.cancel(slot);
  }

  /** Closes the native engine, now that no request is in flight. */
  #leave() {
    const askLast = this.#askLast;
    this.#askLast = undefined;
    if (askLast) {
      askLast();
      return;
    }
    this.isGone = true;
    this.#endWait();
    this.#mailbox.close(this.handle);
    if (this.#clients.length === 0) this.#left();
    // Clients are still asked to release what was granted late: native says when that is over. Nothing else
    // may keep the process until then.
    else this.#endWait = keepAlive();
  }

  #left() {
    engines.delete(this.handle);
    for (const bridge of this.#clients) bridge.end();
    // No more events come: kept locks fall back to JavaScript's timers.
    for (const watched of this.#watched.values()) watched.deref()?.fallBackToTimers();
    this.#watched.clear();
    this.#endWait();
    this.#closed();
    restIfIdle();
  }

  /** A request was made. @returns {number} the caller's context */
  begin() {
    this.#inFlight += 1;
    return this.#clients.length === 0 ? NO_CONTEXT : enter();
  }

  /** One request has been answered. */
  answered() {
    if (this.#closing === undefined) this.#inFlight -= 1;
    // Whoever waits for it may have more to ask before the engine closes.
    else soon(() => soon(() => this.#answeredAtTheEnd()));
  }

  #answeredAtTheEnd() {
    this.#inFlight -= 1;
    if (this.#inFlight === 0) this.#leave();
  }

  /**
   * What instances, and native for them, have said in words is without secrets from then on.
   *
   * @param {import('../redact').Details} told
   */
  clean(told) {
    // The clients' secrets may have been changed since.
    for (const bridge of this.#clients) this.#redactor.add(bridge.secrets);
    cleanDetails(told, this.#redactor);
  }

  /** @param {import('./types').NativeEvent} event */
  emit(event) {
    this.clean(/** @type {any} */ (event));
    switch (event.event) {
      case 'lost': {
        const watched = this.#watched.get(event.number)?.deref();
        this.unwatch(event.number);
        watched?.lose(event);
        break;
      }
      case 'endangered':
        this.#watched.get(event.number)?.deref()?.endanger(event);
        break;
      case 'votes':
        this.#voteReports.get(event.number)?.(event.attempt, event.votes);
        break;
      case 'vote':
        tellVote(event, this.addresses);
        break;
      case 'call':
        this.#comeRound(event.instance);
        break;
      case 'closed':
        this.#left();
        break;
      default:
        this.events.emit(event);
    }
  }

  /**
   * Tells native once what the instance's client has heard by now has come up; or in a while, where immediates are a
   * test's.
   *
   * @param {number} instance
   */
  #comeRound(instance) {
    const tell = () => {
      forgetTimer();
      clearImmediate(first);
      this.#mailbox.cameRound(this.handle, instance);
    };
    const forgetTimer = after(IMMEDIATES_LOST_AFTER, tell);
    let first = setImmediate(() => {
      first = setImmediate(tell);
    });
  }

  /** @param {number} instance */
  clientAt(instance) {
    return this.#bridges[instance];
  }
}

/** @param {boolean} report whether instances' failures are wanted as events */
function reportFlag(report) {
  return report ? flags.report : 0;
}

/**
 * @param {import('../../binding').Mailbox} mailbox
 * @param {object} config
 * @param {Redactor} redactor
 */
function open(mailbox, config, redactor) {
  try {
    return mailbox.open(JSON.stringify(config));
  } catch (error) {
    // Certificates and keys are read there; its texts show none.
    const { code, message } = /** @type {Error & {code?: string}} */ (error);
    throw code === 'InvalidArg' ? unusableInstance(redactor.cleanMessage(message)) : error;
  }
}

module.exports = { Engine, CLOSED };
