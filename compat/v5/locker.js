'use strict';

/** What redlock 5's class does behind its methods. */

const { readResource, readLock, checkTtl } = require('../../lib/arguments');
const { explain } = require('../../lib/cause');
const channels = require('../../lib/channels');
const { LONGEST_VALIDITY } = require('../../lib/constants');
const { wrongType, show } = require('../../lib/errors');
const { CLOSED, OVER } = require('../../lib/failures');
const { bare } = require('../../lib/foreign');
const { beginHold } = require('../../lib/hold');
const { refuseLate } = require('../../lib/expired-on-arrival');
const { Watchdog } = require('../../lib/watchdog');
const { stateOf } = require('../../lib/lock-state');
const { registerLocker } = require('../../lib/locker-registry');
const { clock } = require('../../lib/addon');
const { IS_REPEATED } = require('../../lib/native');
const { sleep } = require('../../lib/native/mailbox');
const { random, valueFrom, isLastAttempt, lockByAttempts, waitAfter } = require('../../lib/retry');
const { Quorum } = require('../../lib/quorum');
const { textsOf, changedTexts } = require('../../lib/scripts');
const { Attempts } = require('./attempts');
const { ExecutionError, TEXTS } = require('./errors');
const { grantedLock } = require('./lock');
const { V5_SCRIPTS, readV5Scripts } = require('./scripts');
const { readNewer, readSettings, toEngine } = require('./settings');

/**
 * @typedef {import('./errors').Stats} Stats
 * @typedef {import('./lock').Lock} Lock
 * @typedef {import('./settings').V5Settings} V5Settings
 * @typedef {import('../../lib/cause').Operation} Operation
 * @typedef {import('../../lib/native').Answer} Answer
 * @typedef {import('../../lib/options').Settings} Settings
 * @typedef {AbortSignal & {error?: Error}} Signal
 * @typedef {(signal: Signal) => unknown} Routine
 */

/**
 * @param {any} face
 * @param {unknown} given the settings of one call
 */
function settingsOf(face, given) {
  return readSettings(given, readSettings(face.settings));
}

/** What is behind a face. */
class Locker {
  #quorum;
  /** Requests whose votes aren't all told yet. @type {Set<Attempts>} */
  #open = new Set();
  /** The states of locks that were released. @type {WeakSet<ReturnType<typeof stateOf>>} */
  #released = new WeakSet();
  /** What is held, as far as that is told. @type {Set<import('../../lib/hold').Hold>} */
  #holds = new Set();

  /**
   * Gives the face the properties that are read at each call.
   *
   * @param {any} face emits the events
   * @param {Iterable<unknown>} clients
   * @param {any} settings
   * @param {any} scripts
   */
  constructor(face, clients, settings, scripts) {
    const given = readClients(clients);
    const { deadlines, policy } = readNewer(settings);
    face.scripts = readV5Scripts(scripts);
    registerLocker(face, this);
    const texts = textsOf(V5_SCRIPTS, face.scripts);
    this.#quorum = new Quorum(face, given, {
      deadlines,
      policy,
      dialect: 'redlock 5',
      scripts: { naming: V5_SCRIPTS, texts },
    });
    /** Members that were passed as URLs or objects stand here by their addresses, as they have passwords. */
    face.clients = new Set(this.#quorum.voters);
    face.settings = readSettings(settings);
  }

  /** How each member is reached. */
  get connections() {
    return this.#quorum.engine.events.connections;
  }

  quit() {
    return this.#quorum.quit(() => this.#allTold());
  }

  /** The last votes come from connections that closing would take away. */
  async #allTold() {
    const endWait = this.#quorum.engine.giveUpSoon();
    while (this.#open.size > 0) await Promise.all([...this.#open].map(({ ended }) => ended));
    endWait();
  }

  /**
   * @param {any} face
   * @param {string[]} resources
   * @param {number} duration
   * @param {Partial<V5Settings>} [settings]
   * @returns {Promise<Lock>}
   */
  acquire(face, resources, duration, settings) {
    if (!channels.lock.hasSubscribers) return this.#acquire(face, resources, duration, settings, undefined);
    const names = channels.unlessRefused(() => readResource(resources, true)) ?? resources;
    const trace = channels.traceOf(names, duration);
    const call = () => this.#acquire(face, names, duration, settings, trace);
    return channels.lock.tell(trace, call, 'granted');
  }

  /**
   * @param {any} face
   * @param {string[]} resources
   * @param {number} duration
   * @param {Partial<V5Settings> | undefined} settings
   * @param {import('../../lib/channels').Trace | undefined} trace whom to tell what comes of it
   * @returns {Promise<Lock>}
   */
  async #acquire(face, resources, duration, settings, trace) {
    checkDuration(duration);
    const names = readResource(resources, true);
    const own = toEngine(settingsOf(face, settings)).tracedBy(trace);
    checkTtl(duration, own.driftFactor);
    const engine = this.#openEngine(face, 'lock', names);

    /** @type {Promise<Stats>[]} */
    const stats = [];
    const answer = await (face._random === random
      ? this.#attempt(face, engine, names, duration, own, '', stats, 0)
      : this.#attemptWithOwnValues(face, names, duration, own, stats));
    if (answer.isLate) refuseLate(engine, names, answer, own, false);
    trace?.note({ attempts: stats.length });
    if (answer.failure) throw this.#failed('lock', names, duration, answer, stats);
    const lock = grantedLock(face, names, answer.value, answer.since, duration, stats, answer);
    if (channels.hold.hasSubscribers) {
      beginHold(stateOf(lock, { names, value: answer.value }), names, duration, this.#holds);
    }
    return lock;
  }

  /**
   * @param {any} face
   * @param {import('../../lib/native').Engine} engine
   * @param {string[]} names
   * @param {number} duration
   * @param {Settings} own
   * @param {string} value one of the caller's own, or nothing
   * @param {Promise<Stats>[]} stats gets what each attempt tells
   * @param {number} flags `IS_REPEATED` if there were others for the same lock
   * @returns {Promise<Answer>}
   */
  async #attempt(face, engine, names, duration, own, value, stats, flags) {
    const attempts = this.#collectVotes(face, 'lock', names);
    const { voteReport } = attempts;
    const answer = await engine.lock(names, duration, own, false, value, voteReport, undefined, flags);
    stats.push(...attempts.answered(answer));
    return answer;
  }

  /**
   * @param {any} face whose `_random` is overridden
   * @param {string[]} names
   * @param {number} duration
   * @param {Settings} settings
   * @param {Promise<Stats>[]} stats gets what each attempt tells
   * @returns {Promise<Answer>}
   */
  #attemptWithOwnValues(face, names, duration, settings, stats) {
    const attempt = async (/** @type {import('../../lib/retry').Attempt} */ { number, settings: own }) => {
      const engine = this.#openEngine(face, 'lock', names);
      const value = valueFrom(face);
      const flags = number > 1 ? IS_REPEATED : 0;
      const answer = await this.#attempt(face, engine, names, duration, own, value, stats, flags);
      answer.value = value;
      return answer;
    };
    return lockByAttempts(attempt, sleep, settings);
  }

  /**
   * @param {any} face
   * @param {Lock} lock
   * @param {Partial<V5Settings>} [settings]
   */
  async release(face, lock, settings) {
    return this.#releaseTold(face, lock, settingsOf(face, settings), Number.POSITIVE_INFINITY);
  }

  /**
   * @param {any} face
   * @param {Lock} existing
   * @param {number} duration
   * @param {Partial<V5Settings>} [settings]
   * @returns {Promise<Lock>}
   */
  extend(face, existing, duration, settings) {
    if (!channels.extend.hasSubscribers) {
      return this.#extend(face, existing, duration, settings, undefined, undefined);
    }
    const record = channels.unlessRefused(() => recordOf(existing));
    const trace = channels.traceOf(record?.names ?? [], duration);
    const call = () => this.#extend(face, existing, duration, settings, record, trace);
    return channels.extend.tell(trace, call, 'extended');
  }

  /**
   * @param {any} face
   * @param {Lock} existing
   * @param {number} duration
   * @param {Partial<V5Settings> | undefined} settings
   * @param {ReturnType<typeof recordOf> | undefined} record what it says, if that was read already
   * @param {import('../../lib/channels').Trace | undefined} trace
   * @returns {Promise<Lock>}
   */
  async #extend(face, existing, duration, settings, record, trace) {
    checkDuration(duration);
    const { names, value, expiration } = record ?? recordOf(existing);
    const state = stateOf(existing, { names, value });
    const validUntil = state.validUntil(expiration);
    if (validUntil === 0) throw new ExecutionError(TEXTS.expired, []);
    const isRelative = validUntil === undefined;
    const until = isRelative ? LONGEST_VALIDITY : validUntil;
    const own = toEngine(settingsOf(face, settings)).tracedBy(trace);
    checkTtl(duration, own.driftFactor);
    const engine = this.#openEngine(face, 'extend', names);

    const { endCount } = state;
    const attempts = this.#collectVotes(face, 'extend', names);
    const { voteReport } = attempts;
    const answer = await engine.extend(names, value, until, isRelative, duration, own, false, voteReport);
    const stats = attempts.answered(answer);
    trace?.note({ attempts: answer.attempts });
    if (answer.isOver) answer.letEnd();
    if (answer.failure) {
      // Another call that has extended it meanwhile has ended it too, in favour of a new lock.
      if (state.endCount === endCount && answer.isCarriedOut) {
        state.setExtended(existing, expiration, answer, duration);
      }
      throw this.#failed('extend', names, duration, answer, stats);
    }
    const { hold } = state;
    state.hold = undefined;
    state.setReleased(existing, expiration);
    // A holder who has released it meanwhile must not get it back.
    if (this.#released.has(state)) throw new ExecutionError(TEXTS.expired, stats);
    if (answer.until === 0) {
      answer.failure = OVER;
      throw this.#failed('extend', names, duration, answer, stats, TEXTS.expired);
    }
    const lock = grantedLock(face, names, value, state.heldSince, duration, stats, answer);
    hold?.passTo(stateOf(lock, { names, value }));
    return lock;
  }

  /**
   * @param {any} face
   * @param {string[]} resources
   * @param {number} duration
   * @param {Partial<V5Settings> | Routine} settingsOrRoutine
   * @param {Routine} [optionalRoutine]
   */
  async using(face, resources, duration, settingsOrRoutine, optionalRoutine) {
    checkDuration(duration);
    const given = typeof settingsOrRoutine === 'function' ? undefined : settingsOrRoutine;
    const routine = optionalRoutine ?? settingsOrRoutine;
    if (typeof routine !== 'function') throw new Error(TEXTS.noRoutine);
    const settings = settingsOf(face, given);
    const { automaticExtensionThreshold: threshold } = settings;
    if (threshold > duration - MARGIN) throw new Error(TEXTS.threshold);

    const lock = await face.acquire(resources, duration, settings);
    const watchdog = this.#watch(lock, duration, settings);
    try {
      return await watchdog.during(() => routine(watchdog.signal));
    } finally {
      const longest = Math.max(0, watchdog.until - clock());
      watchdog.release();
      // The routine's own outcome counts. It isn't retried for longer than the servers keep the lock, and listeners of
      // `error` are told of every vote.
      await this.#releaseTold(face, lock, settings, longest).catch(() => {});
    }
  }

  /**
   * Has the lock extended on the engine's own thread.
   *
   * @param {Lock} lock that was acquired just now
   * @param {number} duration
   * @param {V5Settings} settings
   */
  #watch(lock, duration, settings) {
    const { resources: names, value } = lock;
    const state = stateOf(lock, { names, value });
    const until = state.validUntil(lock.expiration) ?? 0;
    const held = { names, value, until, settings: toEngine(settings) };
    const watchdog = new Watchdog(this.#quorum.engine, state.lock, held, lossOf);
    Object.defineProperty(watchdog.signal, 'error', bare({ get: () => watchdog.check() }));
    watchdog.start({ ttl: duration, lead: settings.automaticExtensionThreshold, cap: 0 });
    // It knows of the extensions.
    state.hold?.passTo(watchdog);
    return watchdog;
  }

  /**
   * @param {any} face
   * @param {Lock} lock
   * @param {V5Settings} settings
   * @param {number} longest as for `#release`
   */
  #releaseTold(face, lock, settings, longest) {
    if (!channels.unlock.hasSubscribers) {
      return this.#release(face, lock, settings, longest, undefined, undefined);
    }
    const record = channels.unlessRefused(() => recordOf(lock));
    const trace = channels.traceOf(record?.names ?? []);
    const call = () => this.#release(face, lock, settings, longest, record, trace);
    return channels.unlock.tell(trace, call, 'released');
  }

  /**
   * @param {any} face
   * @param {Lock} lock
   * @param {V5Settings} settings
   * @param {number} longest in ms; if finite, a lock that is gone isn't asked for again either
   * @param {ReturnType<typeof recordOf> | undefined} record what it says, if that was read already
   * @param {import('../../lib/channels').Trace | undefined} trace
   */
  async #release(face, lock, settings, longest, record, trace) {
    const { names, value, expiration } = record ?? recordOf(lock);
    const state = stateOf(lock, { names, value });
    state.setReleased(lock, expiration);
    this.#released.add(state);
    const engine = this.#openEngine(face, 'unlock', names);
    const own = toEngine(settings).tracedBy(trace);
    const isFinal = longest < Number.POSITIVE_INFINITY || own.retries < 0;
    const giveUpAt = clock() + longest;

    /** @type {Promise<Stats>[]} */
    const stats = [];
    for (;;) {
      const attempts = this.#collectVotes(face, 'unlock', names);
      const answer = await engine.unlock(names, value, state.heldSince, own, false, attempts.voteReport);
      stats.push(...attempts.answered(answer));
      const { failure } = answer;
      if (!failure) return { attempts: stats };

      const wait = waitAfter(own, stats.length);
      const isGone = isFinal && failure.code === 'ERR_REDLOCK_NOT_HELD';
      const isLast = isLastAttempt(own, stats.length);
      if (isGone || isLast || engine.isClosed || clock() + wait > giveUpAt) {
        throw this.#failed('unlock', names, 0, answer, stats);
      }
      await sleep(wait);
    }
  }

  /**
   * @param {any} face
   * @param {Operation} operation
   * @param {string[]} names
   */
  #openEngine(face, operation, names) {
    if (this.#quorum.isQuitting) {
      throw new ExecutionError(TEXTS.noQuorum, [], explain(CLOSED, { operation, names, ttl: 0 }, []));
    }
    const { acquireScript, extendScript, releaseScript } = face.scripts;
    const { texts } = this.#quorum;
    return this.#quorum.refresh(
      changedTexts(texts, acquireScript.value, extendScript.value, releaseScript.value),
    );
  }

  /**
   * @param {any} face
   * @param {Operation} operation
   * @param {string[]} names
   */
  #collectVotes(face, operation, names) {
    const { engine, voters } = this.#quorum;
    const attempts = new Attempts(engine, operation, names, voters, (error) => {
      // Nothing has to listen.
      if (face.listenerCount('error') > 0) engine.events.tell('error', error);
    });
    this.#open.add(attempts);
    attempts.ended.then(() => this.#open.delete(attempts));
    return attempts;
  }

  /**
   * @param {Operation} operation
   * @param {string[]} names
   * @param {number} ttl
   * @param {Answer} answer
   * @param {Promise<Stats>[]} stats
   * @param {string} [given] what is said in place of redlock 5's own words
   */
  #failed(operation, names, ttl, { failure, attempts }, stats, given) {
    const known = /** @type {import('../../lib/native').NativeFailure} */ (failure);
    const isOver = attempts === 0 && known.code === 'ERR_REDLOCK_EXPIRED';
    const text = given ?? (isOver ? TEXTS.expired : TEXTS.noQuorum);
    const explained = explain(known, { operation, names, ttl }, this.#quorum.engine.addresses);
    return new ExecutionError(text, stats, explained);
  }
}

/** @param {unknown} lock */
function recordOf(lock) {
  const { names, ...rest } = readLock(lock, false, 'resources', true);
  return { names: [...names], ...rest };
}

/**
 * The reason of a lost lock's signal.
 *
 * @param {import('../../lib/errors').Failure} failure
 */
function lossOf(failure) {
  const text = failure.code === 'ERR_REDLOCK_EXPIRED' ? TEXTS.expired : TEXTS.noQuorum;
  return new ExecutionError(text, [], failure);
}

/**
 * @param {any} clients
 * @returns {unknown[]} each once
 */
function readClients(clients) {
  if (typeof clients === 'string' || (clients ?? []) instanceof URL) {
    throw wrongType('INSTANCES', 'clients must be an array or another iterable of clients, not a single URL');
  }
  if (typeof (clients ?? [])[Symbol.iterator] !== 'function') {
    const message = `clients must be an array or another iterable of clients, not ${show(clients)}`;
    throw wrongType('INSTANCES', message);
  }
  const given = [...new Set(clients ?? [])];
  if (given.length > 0) return given;
  throw Object.assign(new Error(TEXTS.noClients), { code: 'ERR_REDLOCK_INVALID_INSTANCES' });
}

/** By how much a lock must last longer than the threshold of its extension, in ms. */
const MARGIN = 100;

/** @param {unknown} duration */
function checkDuration(duration) {
  if (!Number.isInteger(duration)) throw new Error(TEXTS.duration);
}

module.exports = { Locker };
