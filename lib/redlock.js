'use strict';

/**
 * The class people use: redlock 4's, with native promises. Arguments are looked at here, everything
 * else happens in the engine.
 */

const { EventEmitter } = require('node:events');

const { readResource, readLock, checkTtl } = require('./arguments');
const { settle } = require('./callback');
const { explain } = require('./cause');
const { LockError, InstanceError, ConnectionError, outOfRange } = require('./errors');
const { Lock, granted, believe, deadlineOf, heldSince } = require('./lock');
const { readMembers } = require('./members');
const { Engine, defaultScripts } = require('./native');
const { readOptions, readCallOptions, readProperties, warn } = require('./options');
const { withDisposers } = require('./promises');
const { readScripts, customScripts } = require('./scripts');

/**
 * @typedef {import('./arguments').LockLike} LockLike
 * @typedef {import('./options').Settings} Settings
 * @typedef {Partial<Pick<Settings, 'driftFactor' | 'retryCount' | 'retryDelay' | 'retryJitter'>>} CallOptions
 * @typedef {(error: Error | null, lock?: Lock) => void} LockCallback
 * @typedef {(error: Error | null) => void} UnlockCallback
 * @typedef {import('./cause').Operation} Operation
 */

class Redlock extends EventEmitter {
  /** What the methods return promises of; bluebird, for who needs its methods. @type {any} */
  static Promise = Promise;

  #engine;
  /** What the properties of the same names said when they were last looked at. */
  #settings;
  /** What the process was warned of, so that a busy caller is told once. @type {Set<string>} */
  #warnings = new Set();
  /** The members of the quorum: callers' clients as they were passed, the others by their addresses. @type {unknown[]} */
  #servers;
  /** The callers' clients, each once. @type {import('./bridge').Bridge[]} */
  #clients;
  /** @type {Promise<unknown[]> | undefined} */
  #quitting;
  /** The scripts that the engine was told of last. @type {string[]} */
  #texts;

  /**
   * @param {unknown} instances
   * @param {unknown} [options]
   */
  constructor(instances, options) {
    super();
    const { settings, patience, rule } = readOptions(options);
    const members = readMembers(instances, rule);
    const scripts = readScripts(options, OWN_SCRIPTS);
    const custom = customScripts(scripts, OWN_SCRIPTS);
    if (custom) refuseInMemory(members.map(({ config }) => config));
    this.#engine = new Engine(this, members, patience);
    const { addresses } = this.#engine;
    this.#servers = members.map(({ bridge }, index) => bridge?.given ?? addresses[index]);
    this.#clients = [...new Set(members.map(({ bridge }) => bridge))].filter((one) => one !== undefined);
    if (custom) this.#engine.useScripts(custom);
    this.#settings = settings;
    this.driftFactor = settings.driftFactor;
    this.retryCount = settings.retryCount;
    this.retryDelay = settings.retryDelay;
    this.retryJitter = settings.retryJitter;
    this.lockScript = scripts.lockScript.value;
    this.unlockScript = scripts.unlockScript.value;
    this.extendScript = scripts.extendScript.value;
    /** Read at each call. */
    this.scripts = scripts;
    this.#texts = textsOf(scripts);
  }

  /** The members of the quorum: clients as they were passed; the others by address, as they have passwords. */
  get servers() {
    return [...this.#servers];
  }

  /** How each instance is reached. */
  get connections() {
    return this.#engine.connections;
  }

  /**
   * @param {unknown} resource
   * @param {unknown} ttl
   * @param {CallOptions | LockCallback} [options]
   * @param {LockCallback} [callback]
   */
  lock(resource, ttl, options, callback) {
    if (typeof options === 'function') return deliver(this, this.#lock(resource, ttl, undefined), options);
    return deliver(this, this.#lock(resource, ttl, options), callback);
  }

  /**
   * @param {unknown} lock
   * @param {UnlockCallback} [callback]
   */
  unlock(lock, callback) {
    return deliver(this, this.#unlock(lock), callback);
  }

  /**
   * @template {LockLike} L
   * @param {L} lock
   * @param {unknown} ttl
   * @param {CallOptions | LockCallback} [options]
   * @param {LockCallback} [callback]
   */
  extend(lock, ttl, options, callback) {
    if (typeof options === 'function') return deliver(this, this.#extend(lock, ttl, undefined), options);
    return deliver(this, this.#extend(lock, ttl, options), callback);
  }

  /** @param {(error: Error | null, replies?: unknown[]) => void} [callback] */
  quit(callback) {
    this.#quitting ??= this.#quit();
    return deliver(this, this.#quitting, callback);
  }

  /**
   * `lock` with a release that bluebird's `using` calls.
   *
   * @param {unknown} resource
   * @param {unknown} ttl
   * @param {(error: Error) => unknown} [unlockErrorHandler] is told why the release failed; nobody is by default
   */
  disposer(resource, ttl, unlockErrorHandler) {
    const library = withDisposers(libraryOf(this));
    const handler = typeof unlockErrorHandler === 'function' ? unlockErrorHandler : () => {};
    const lock = library.resolve(this.#lock(resource, ttl, undefined));
    return lock.disposer((/** @type {Lock} */ held) => library.resolve(held.unlock()).catch(handler));
  }

  /**
   * `lock` and `extend` in one, for those who have used redlock's own: without a value it locks, with
   * one it extends whatever has that value.
   *
   * @param {unknown} resource
   * @param {string | null | undefined} value
   * @param {unknown} ttl
   * @param {CallOptions | LockCallback | null} [options]
   * @param {LockCallback} [callback]
   * @returns {Promise<Lock>}
   */
  _lock(resource, value, ttl, options, callback) {
    if (typeof options === 'function') return this._lock(resource, value, ttl, undefined, options);
    const given = options ?? undefined;
    if (value === null || value === undefined)
      return deliver(this, this.#lock(resource, ttl, given), callback);
    return deliver(this, this.#relock(resource, value, ttl, given), callback);
  }

  // The methods' other names.

  /**
   * @param {unknown} resource
   * @param {unknown} ttl
   * @param {CallOptions | LockCallback} [options]
   * @param {LockCallback} [callback]
   */
  lockWithOptions(resource, ttl, options, callback) {
    return this.lock(resource, ttl, options, callback);
  }

  /**
   * @param {unknown} resource
   * @param {unknown} ttl
   * @param {CallOptions | LockCallback} [options]
   * @param {LockCallback} [callback]
   */
  acquireWithOptions(resource, ttl, options, callback) {
    return this.lock(resource, ttl, options, callback);
  }

  /**
   * @param {unknown} resource
   * @param {unknown} ttl
   * @param {CallOptions | LockCallback} [options]
   * @param {LockCallback} [callback]
   */
  acquire(resource, ttl, options, callback) {
    return this.lock(resource, ttl, options, callback);
  }

  /**
   * @param {unknown} lock
   * @param {UnlockCallback} [callback]
   */
  release(lock, callback) {
    return this.unlock(lock, callback);
  }

  // Errors are made in async methods, so that their stacks name who waits for them.

  /**
   * @param {unknown} resource
   * @param {unknown} ttl
   * @param {CallOptions | undefined} options
   * @returns {Promise<Lock>}
   */
  async #lock(resource, ttl, options) {
    const names = readResource(resource);
    const settings = this.#settingsOf(options);
    checkTtl(ttl, settings.driftFactor);
    const engine = this.#openEngine('lock', names);

    const answer = await engine.lock(names, ttl, settings, this.#isWatched());
    if (answer.failure) {
      const failure = explain(answer.failure, { operation: 'lock', names, ttl }, engine.addresses);
      throw new LockError(exceeded(settings, names), answer.attempts, failure);
    }
    return granted(this, names, answer, settings.retryCount - answer.attempts);
  }

  /**
   * @param {any} lock
   * @returns {Promise<void>}
   */
  async #unlock(lock) {
    const names = readLock(lock);
    const engine = this.#openEngine('unlock', names);
    lock.expiration = 0;

    const answer = await engine.unlock(names, lock.value, heldSince(lock), this.#settings, this.#isWatched());
    if (answer.failure) {
      const failure = explain(answer.failure, { operation: 'unlock', names, ttl: 0 }, engine.addresses);
      const message = `Unable to fully release the lock on resource "${names}".`;
      throw new LockError(message, answer.attempts, failure);
    }
  }

  /**
   * @template {LockLike} L
   * @param {L} lock
   * @param {unknown} ttl
   * @param {CallOptions | undefined} options
   * @returns {Promise<L>}
   */
  async #extend(lock, ttl, options) {
    const names = readLock(lock);
    const settings = this.#settingsOf(options);
    checkTtl(ttl, settings.driftFactor);
    const engine = this.#openEngine('extend', names);
    const request = /** @type {const} */ ({ operation: 'extend', names, ttl });

    const deadline = deadlineOf(lock);
    const isRelative = deadline === undefined;
    const until = isRelative ? Math.min(lock.expiration - Date.now(), LONGEST) : deadline;
    if (isRelative && until <= 0) throw new LockError(expired(names), 0, explain(EXPIRED, request, []));

    const report = this.#isWatched();
    const answer = await engine.extend(names, lock.value, until, isRelative, ttl, settings, report);
    // Who has unlocked it meanwhile must not find it valid again.
    const isUnlocked = lock.expiration === 0;
    if (!isUnlocked && wasCarriedOut(answer)) believe(lock, answer);
    if (answer.failure) {
      const failure = explain(answer.failure, request, engine.addresses);
      const message = answer.attempts > 0 ? exceeded(settings, names) : expired(names);
      throw new LockError(message, answer.attempts, failure);
    }
    if (isUnlocked) {
      throw new LockError(expired(names), answer.attempts, explain(UNLOCKED, request, []));
    }
    return lock;
  }

  /**
   * @param {unknown} resource
   * @param {string} value
   * @param {unknown} ttl
   * @param {CallOptions | undefined} options
   * @returns {Promise<Lock>}
   */
  async #relock(resource, value, ttl, options) {
    const names = readResource(resource);
    // Until when it is valid isn't said; the servers know whether it is still there.
    return this.#extend(new Lock(this, names, value, Number.POSITIVE_INFINITY), ttl, options);
  }

  async #quit() {
    await this.#engine.close();
    const quits = await Promise.allSettled(this.#clients.map((bridge) => bridge.quit()));
    const failed = quits.find((quit) => quit.status === 'rejected');
    if (failed) throw failed.reason;
    const replies = new Map(this.#clients.map((bridge, at) => [bridge.given, quits[at]]));
    // What redis clients answer to QUIT, as redlock 4 passes it on.
    return this.#servers.map((server) => {
      const quit = replies.get(server);
      return quit?.status === 'fulfilled' ? quit.value : 'OK';
    });
  }

  /**
   * @param {Operation} operation
   * @param {string[]} names
   */
  #openEngine(operation, names) {
    if (!this.#engine.isClosed) {
      this.#engine.look();
      this.#tellOfScripts();
      return this.#engine;
    }
    const message = `Cannot ${operation} resource "${names}": this Redlock was closed with quit().`;
    throw new LockError(message, 0, { code: 'ERR_REDLOCK_CLOSED', resource: [...names], votes: [] });
  }

  /** `scripts` may have been changed since the last call. */
  #tellOfScripts() {
    const { scripts } = this;
    const [lock, unlock, extend] = this.#texts;
    if (
      scripts.lockScript.value === lock &&
      scripts.unlockScript.value === unlock &&
      scripts.extendScript.value === extend
    ) {
      return;
    }
    this.#texts = textsOf(scripts);
    this.#engine.useScripts(customScripts(scripts, OWN_SCRIPTS) ?? {});
  }

  /** Whether it is worth telling of instances' failures. */
  #isWatched() {
    return this.listenerCount('clientError') > 0;
  }

  /**
   * The settings of one call: its own options, then what the properties say now.
   *
   * @param {CallOptions | undefined} options
   */
  #settingsOf(options) {
    let settings = this.#settings;
    if (
      this.retryCount !== settings.retryCount ||
      this.retryDelay !== settings.retryDelay ||
      this.retryJitter !== settings.retryJitter ||
      this.driftFactor !== settings.driftFactor
    ) {
      settings = readProperties(this, this.#warn);
      this.#settings = settings;
    }
    if (typeof options !== 'object' || options === null) return settings;
    return readCallOptions(settings, options, this.#warn);
  }

  #warn = (/** @type {string} */ message) => {
    if (this.#warnings.has(message) || this.#warnings.size >= MOST_WARNINGS) return;
    this.#warnings.add(message);
    warn(message);
  };
}

const OWN_SCRIPTS = defaultScripts();

/** @param {import('./scripts').ScriptSet} scripts */
function textsOf({ lockScript, unlockScript, extendScript }) {
  return [lockScript.value, unlockScript.value, extendScript.value];
}

/** @param {{kind: string}[]} instances */
function refuseInMemory(instances) {
  const index = instances.findIndex(({ kind }) => kind === 'memory');
  if (index === -1) return;
  throw outOfRange('OPTIONS', `instances[${index}] is in this process, where Lua scripts can't be run`);
}

/**
 * @template T
 * @param {Redlock} redlock
 * @param {Promise<T>} promise
 * @param {unknown} callback
 * @returns {Promise<T>}
 */
function deliver(redlock, promise, callback) {
  const library = libraryOf(redlock);
  return settle(library === Promise ? promise : library.resolve(promise), callback);
}

/**
 * A subclass may have promises of its own.
 *
 * @param {Redlock} redlock
 */
function libraryOf(redlock) {
  return /** @type {typeof Redlock} */ (redlock.constructor).Promise ?? Promise;
}

/** Of one Redlock, for what its methods are called with. */
const MOST_WARNINGS = 100;

// The longest time there is between two dates, in ms.
const LONGEST = 2 * 8.64e15;

const EXPIRED = { code: 'ERR_REDLOCK_EXPIRED', reason: 'it has expired', votes: [] };
const UNLOCKED = { code: 'ERR_REDLOCK_NOT_HELD', reason: 'it was unlocked', votes: [] };

/**
 * Whether an extension came so far that its answer says something of the lock's validity.
 *
 * @param {import('./native').Answer} answer
 */
function wasCarriedOut({ failure }) {
  return failure === undefined || !['ERR_REDLOCK_CLOSED', 'ERR_REDLOCK_INVALID'].includes(failure.code);
}

/**
 * @param {Settings} settings
 * @param {string[]} names
 */
function exceeded({ retryCount }, names) {
  return `Exceeded ${retryCount} attempts to lock the resource "${names}".`;
}

/** @param {string[]} names */
function expired(names) {
  return `Cannot extend lock on resource "${names}" because the lock has already expired.`;
}

module.exports = Object.assign(Redlock, {
  Redlock,
  Lock,
  LockError,
  InstanceError,
  ConnectionError,
  default: Redlock,
});
