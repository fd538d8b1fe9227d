'use strict';

/** redlock 5's class, over our engine. */

const { EventEmitter } = require('node:events');

const { readResource, readLock, checkTtl } = require('../../lib/arguments');
const { explain } = require('../../lib/cause');
const { wrongType, show } = require('../../lib/errors');
const { bare, pick } = require('../../lib/foreign');
const { readMembers } = require('../../lib/members');
const { Keep } = require('../../lib/keep');
const { behind, putBehind } = require('../../lib/lockers');
const { random } = require('../../lib/locker');
const { clock, sleep, stayAwake } = require('../../lib/mailbox');
const { AGAIN, Engine } = require('../../lib/native');
const { DEFAULTS, Settings, readOptions, warn } = require('../../lib/options');
const { termOf } = require('../../lib/term');
const { Attempts } = require('./attempts');
const { ExecutionError, TEXTS } = require('./errors');
const { granted } = require('./lock');
const { readScripts, textsOf, customOf, refuseInMemory } = require('./scripts');
const { readSettings, toEngine, unreadable, waitOf } = require('./settings');

/**
 * @typedef {import('./attempts').Stats} Stats
 * @typedef {import('./lock').Lock} Lock
 * @typedef {import('./settings').V5Settings} V5Settings
 * @typedef {import('../../lib/cause').Operation} Operation
 * @typedef {import('../../lib/native').Answer} Answer
 * @typedef {AbortSignal & {error?: Error}} Signal
 * @typedef {(signal: Signal) => unknown} Routine
 */

class Redlock extends EventEmitter {
  /** What stands for each member in the votes. @type {Set<unknown>} */
  clients = new Set();
  /** @type {Partial<V5Settings>} */
  settings = {};
  /** @type {any} each a text and its digest */
  scripts = {};

  /**
   * @param {Iterable<unknown>} clients
   * @param {any} [settings]
   * @param {any} [scripts]
   */
  constructor(clients, settings, scripts) {
    super();
    new Locker(this, clients, settings, scripts);
  }

  /** How each member is reached. */
  get connections() {
    return behind(this).connections;
  }

  async quit() {
    return behind(this).quit();
  }

  /**
   * @param {string[]} resources
   * @param {number} duration
   * @param {Partial<V5Settings>} [settings]
   * @returns {Promise<Lock>}
   */
  async acquire(resources, duration, settings) {
    return behind(this).acquire(this, resources, duration, settings);
  }

  /**
   * @param {Lock} lock
   * @param {Partial<V5Settings>} [settings]
   */
  async release(lock, settings) {
    return behind(this).release(this, lock, settings);
  }

  /**
   * @param {Lock} existing
   * @param {number} duration
   * @param {Partial<V5Settings>} [settings]
   * @returns {Promise<Lock>}
   */
  async extend(existing, duration, settings) {
    return behind(this).extend(this, existing, duration, settings);
  }

  /**
   * @param {string[]} resources
   * @param {number} duration
   * @param {Partial<V5Settings> | Routine} settingsOrRoutine
   * @param {Routine} [optionalRoutine]
   */
  async using(resources, duration, settingsOrRoutine, optionalRoutine) {
    return behind(this).using(this, resources, duration, settingsOrRoutine, optionalRoutine);
  }

  /**
   * Of the engine's events redlock 5 has one: what goes wrong with an extension that nobody waits for.
   *
   * @param {string | symbol} event
   * @param {...any} args
   */
  emit(event, ...args) {
    if (event === 'clientError') {
      // Nothing has to listen.
      if (this.listenerCount('error') > 0) super.emit('error', args[0]);
      return false;
    }
    return super.emit(event, ...args);
  }
}

/** Overridden, it gives the values of locks, one for each attempt. */
Object.defineProperty(Redlock.prototype, '_random', { value: random, writable: true, configurable: true });

/**
 * @param {any} face
 * @param {unknown} given the settings of one call
 */
function settingsOf(face, given) {
  return readSettings(given, readSettings(face.settings));
}

/** What is behind a face. */
class Locker {
  #engine;
  /** What stands for each member in the votes: a client as it was passed, else an address. @type {unknown[]} */
  #voters;
  /** The callers' clients. */
  #bridges;
  /** Requests whose votes aren't all told yet. @type {Set<Attempts>} */
  #open = new Set();
  /** What is known of locks that were released. @type {WeakSet<ReturnType<typeof termOf>>} */
  #released = new WeakSet();
  /** The scripts that the engine was told of last. @type {string[]} */
  #texts;
  /** @type {Promise<void> | undefined} */
  #quitting;

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
    const { patience, rule } = readOptions(pickNewer(settings), DEFAULTS, warn);
    const members = readMembers(given, rule, 'redlock 5');
    face.scripts = readScripts(scripts);
    this.#texts = textsOf(face.scripts);
    const custom = customOf(this.#texts);
    if (custom) refuseInMemory(members);
    putBehind(face, this);
    this.#engine = new Engine(face, members, patience);
    if (custom) this.#engine.useScripts(custom);
    const { addresses } = this.#engine;
    this.#voters = members.map(({ bridge }, place) => bridge?.given ?? addresses[place]);
    this.#bridges = members.map(({ bridge }) => bridge).filter((bridge) => bridge !== undefined);
    /** Members that were passed as URLs or objects stand here by their addresses, as they have passwords. */
    face.clients = new Set(this.#voters);
    face.settings = readSettings(settings);
  }

  /** How each member is reached. */
  get connections() {
    return this.#engine.connections;
  }

  quit() {
    this.#quitting ??= this.#quit();
    return this.#quitting;
  }

  /**
   * @param {any} face
   * @param {string[]} resources
   * @param {number} duration
   * @param {Partial<V5Settings>} [settings]
   * @returns {Promise<Lock>}
   */
  async acquire(face, resources, duration, settings) {
    checkDuration(duration);
    const names = readResource(resources, true);
    const own = toEngine(settingsOf(face, settings));
    checkTtl(duration, own.driftFactor);
    const engine = this.#openEngine(face, 'lock', names);

    /** @type {Promise<Stats>[]} */
    const told = [];
    const answer = await (face._random === random
      ? this.#attempt(face, engine, names, duration, own, '', told)
      : this.#attemptWithOwnValues(face, names, duration, settingsOf(face, settings), told));
    if (!answer.failure && answer.isOver) {
      engine.unlock(names, answer.value, answer.since, own, false);
      answer.failure = TOO_LATE;
    }
    if (answer.failure) throw this.#failed('lock', names, duration, answer, told);
    return granted(face, names, answer.value, answer.since, duration, told, answer);
  }

  /**
   * @param {any} face
   * @param {Engine} engine
   * @param {string[]} names
   * @param {number} duration
   * @param {import('../../lib/options').Settings} own
   * @param {string} value one of the caller's own, or nothing
   * @param {Promise<Stats>[]} told gets what each attempt tells
   * @param {boolean} [isAgain] whether there were others for the same lock
   * @returns {Promise<Answer>}
   */
  async #attempt(face, engine, names, duration, own, value, told, isAgain = false) {
    const attempts = this.#count(face, 'lock', names);
    const wishes = isAgain ? AGAIN : 0;
    const answer = await engine.lock(names, duration, own, false, value, attempts.sheet, undefined, wishes);
    told.push(...attempts.answered(answer));
    return answer;
  }

  /**
   * With the values that an overridden `_random` gives, one for each attempt.
   *
   * @param {any} face
   * @param {string[]} names
   * @param {number} duration
   * @param {V5Settings} settings
   * @param {Promise<Stats>[]} told gets what each attempt tells
   * @returns {Promise<Answer>}
   */
  async #attemptWithOwnValues(face, names, duration, settings, told) {
    const own = toEngine(settings);
    const once = new Settings(own.driftFactor, 0, own.retryDelay, own.retryJitter);
    for (let attempt = 1; ; attempt++) {
      const engine = this.#openEngine(face, 'lock', names);
      const value = face._random();
      if (typeof value !== 'string' || value === '') {
        throw wrongType('OPTIONS', `_random() must return a non-empty string, not ${show(value)}`);
      }
      const answer = await this.#attempt(face, engine, names, duration, once, value, told, attempt > 1);
      answer.value = value;
      answer.attempts = attempt;
      const isLast = own.retries !== UNLIMITED && attempt > own.retries;
      if (!answer.failure || isLast || !RETRIED.includes(answer.failure.code)) return answer;
      await sleep(waitOf(settings));
    }
  }

  /**
   * @param {any} face
   * @param {Lock} lock
   * @param {Partial<V5Settings>} [settings]
   */
  async release(face, lock, settings) {
    return this.#release(face, lock, settingsOf(face, settings), Number.POSITIVE_INFINITY);
  }

  /**
   * @param {any} face
   * @param {Lock} existing
   * @param {number} duration
   * @param {Partial<V5Settings>} [settings]
   * @returns {Promise<Lock>}
   */
  async extend(face, existing, duration, settings) {
    checkDuration(duration);
    const { names: known, value, expiration } = readLock(existing, false, 'resources', true);
    const names = [...known];
    const term = termOf(existing, { names, value });
    const deadline = term.deadline(expiration);
    if (deadline === 0) throw new ExecutionError(TEXTS.expired, []);
    const isRelative = deadline === undefined;
    const until = isRelative ? LONGEST : deadline;
    const own = toEngine(settingsOf(face, settings));
    checkTtl(duration, own.driftFactor);
    const engine = this.#openEngine(face, 'extend', names);

    const { ends } = term;
    const attempts = this.#count(face, 'extend', names);
    const answer = await engine.extend(names, value, until, isRelative, duration, own, false, attempts.sheet);
    const told = attempts.answered(answer);
    if (answer.isOver) answer.letEnd();
    if (answer.failure) {
      // It has ended also where another call has extended it meanwhile: then there is a new lock to believe in.
      if (term.ends === ends && answer.isCarriedOut) term.believe(existing, expiration, answer, duration);
      throw this.#failed('extend', names, duration, answer, told);
    }
    term.end(existing, expiration);
    // Who has released it meanwhile must not get it back.
    if (this.#released.has(term)) throw new ExecutionError(TEXTS.expired, told);
    if (answer.until === 0) {
      answer.failure = OVER;
      throw this.#failed('extend', names, duration, answer, told, TEXTS.expired);
    }
    return granted(face, names, value, term.since, duration, told, answer);
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
    const keep = this.#keep(lock, duration, settings);
    try {
      return await keep.during(() => routine(keep.signal));
    } finally {
      const patience = Math.max(0, keep.until - clock());
      keep.release();
      await this.#letGo(face, lock, settings, patience);
    }
  }

  /**
   * Has the lock extended in the engine's own thread.
   *
   * @param {Lock} lock that was acquired just now
   * @param {number} duration
   * @param {V5Settings} settings
   */
  #keep(lock, duration, settings) {
    const { resources: names, value } = lock;
    const term = termOf(lock, { names, value });
    const until = term.deadline(lock.expiration) ?? 0;
    const keep = new Keep(
      this.#engine,
      term.lock,
      { names, value, until, settings: toEngine(settings) },
      lossOf,
    );
    Object.defineProperty(keep.signal, 'error', bare({ get: () => keep.look() }));
    keep.start({ ttl: duration, lead: settings.automaticExtensionThreshold, cap: 0 });
    return keep;
  }

  /**
   * The release after a routine: what came of the routine counts, and a lock that is gone is one that is
   * released. It isn't tried for longer than the servers keep the lock.
   *
   * @param {any} face
   * @param {Lock} lock
   * @param {V5Settings} settings
   * @param {number} patience for how long the servers keep it, in ms
   */
  async #letGo(face, lock, settings, patience) {
    try {
      await this.#release(face, lock, settings, patience);
    } catch {
      // Whoever listens to `error` was told of every vote.
    }
  }

  /**
   * @param {any} face
   * @param {Lock} lock
   * @param {V5Settings} settings
   * @param {number} patience in ms; if finite, a lock that is gone isn't asked for again either
   */
  async #release(face, lock, settings, patience) {
    const { names: known, value, expiration } = readLock(lock, false, 'resources', true);
    const names = [...known];
    const term = termOf(lock, { names, value });
    term.end(lock, expiration);
    this.#released.add(term);
    const engine = this.#openEngine(face, 'unlock', names);
    const own = toEngine(settings);
    const isFinal = patience < Number.POSITIVE_INFINITY || own.retries === UNLIMITED;
    const deadline = clock() + patience;

    /** @type {Promise<Stats>[]} */
    const told = [];
    for (;;) {
      const attempts = this.#count(face, 'unlock', names);
      const answer = await engine.unlock(names, value, term.since, own, false, attempts.sheet);
      told.push(...attempts.answered(answer));
      const { failure } = answer;
      if (!failure) return { attempts: told };

      const wait = waitOf(settings);
      const isGone = isFinal && failure.code === 'ERR_REDLOCK_NOT_HELD';
      const isLast = own.retries !== UNLIMITED && told.length > own.retries;
      if (isGone || isLast || engine.isClosed || clock() + wait > deadline) {
        throw this.#failed('unlock', names, 0, answer, told);
      }
      await sleep(wait);
    }
  }

  async #quit() {
    // Their last votes come from connections that closing would take away.
    while (this.#open.size > 0) await Promise.all([...this.#open].map(({ ended }) => ended));
    const letSleep = stayAwake();
    await this.#engine.close();
    const quits = await Promise.allSettled(this.#bridges.map((bridge) => bridge.quit()));
    letSleep();
    const failed = quits.find((quit) => quit.status === 'rejected');
    if (failed) throw failed.reason;
  }

  /**
   * @param {any} face
   * @param {Operation} operation
   * @param {string[]} names
   */
  #openEngine(face, operation, names) {
    if (this.#quitting) {
      const failure = {
        code: 'ERR_REDLOCK_CLOSED',
        reason: 'this Redlock was closed with quit()',
        votes: [],
      };
      throw new ExecutionError(TEXTS.noQuorum, [], explain(failure, { operation, names, ttl: 0 }, []));
    }
    this.#engine.look();
    this.#tellOfScripts(face);
    return this.#engine;
  }

  /**
   * `scripts` may have been changed since the last call.
   *
   * @param {any} face
   */
  #tellOfScripts(face) {
    const texts = textsOf(face.scripts);
    if (texts.every((text, at) => text === this.#texts[at])) return;
    this.#engine.useScripts(customOf(texts) ?? {});
    this.#texts = texts;
  }

  /**
   * @param {any} face
   * @param {Operation} operation
   * @param {string[]} names
   */
  #count(face, operation, names) {
    const attempts = new Attempts(this.#engine, operation, names, this.#voters, (error) => {
      // Nothing has to listen.
      if (face.listenerCount('error') > 0) this.#engine.tell('error', error);
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
   * @param {Promise<Stats>[]} told
   * @param {string} [given] what is said in place of redlock 5's own words
   */
  #failed(operation, names, ttl, { failure, attempts }, told, given) {
    const known = /** @type {import('../../lib/native').NativeFailure} */ (failure);
    const isOver = attempts === 0 && known.code === 'ERR_REDLOCK_EXPIRED';
    const text = given ?? (isOver ? TEXTS.expired : TEXTS.noQuorum);
    const explained = explain(known, { operation, names, ttl }, this.#engine.addresses);
    return new ExecutionError(text, told, explained);
  }
}

/**
 * What the signal of a lock that is lost says.
 *
 * @param {import('../../lib/errors').Failure} failure
 */
function lossOf(failure) {
  const text = failure.code === 'ERR_REDLOCK_EXPIRED' ? TEXTS.expired : TEXTS.noQuorum;
  return new ExecutionError(text, [], failure);
}

/** What our settings have beyond redlock 5's; lib/options.js reads them. */
const NEWER = ['connections', 'deadlineFloor', 'deadlineCeiling'];

/** @param {any} settings */
function pickNewer(settings) {
  return pick(settings, NEWER, unreadable);
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
    throw wrongType(
      'INSTANCES',
      `clients must be an array or another iterable of clients, not ${show(clients)}`,
    );
  }
  const given = [...new Set(clients ?? [])];
  if (given.length > 0) return given;
  throw Object.assign(new Error(TEXTS.noClients), { code: 'ERR_REDLOCK_INVALID_INSTANCES' });
}

/** By how much a lock must last longer than the threshold of its extension, in ms. */
const MARGIN = 100;

const UNLIMITED = -1;

/** Of a lock that never ends by what it says, the servers know: the longest time there is, in ms. */
const LONGEST = 2 * 8.64e15;

const TOO_LATE = { code: 'ERR_REDLOCK_TOO_SLOW', reason: 'it was over when it arrived', votes: [] };
const OVER = { code: 'ERR_REDLOCK_EXPIRED', reason: 'it was over when it arrived', votes: [] };

/** @param {unknown} duration */
function checkDuration(duration) {
  if (!Number.isInteger(duration)) throw new Error(TEXTS.duration);
}

/** After these another attempt may do better. */
const RETRIED = ['ERR_REDLOCK_HELD', 'ERR_REDLOCK_UNAVAILABLE'];

module.exports = { Redlock };
