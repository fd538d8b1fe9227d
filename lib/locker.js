'use strict';

/**
 * What every face does behind its methods: the arguments are checked, the engine is asked, and its answer becomes a lock
 * or an error. Where faces differ, their profile says how.
 */

const { lockUnlessAborted, waitUnlessAborted } = require('./abortable');
const { readAcquireOptions, readExtension } = require('./acquire-options');
const { readResource, readLock, checkTtl } = require('./arguments');
const { makeWatchdog, startExtending, stopExtending } = require('./auto-extension');
const { explain } = require('./cause');
const channels = require('./channels');
const { LONGEST_VALIDITY } = require('./constants');
const { outOfRange, wrongType } = require('./errors');
const { isThere } = require('./foreign');
const { FaceQuorum } = require('./face-quorum');
const { FaceSettings, readOptions } = require('./options');
const {
  CLOSED,
  EXPIRED,
  UNLOCKED,
  closed,
  expired,
  notExtended,
  notLocked,
  unreleased,
} = require('./failures');
const { beginHold } = require('./hold');
const { Inspection } = require('./inspection');
const { refuseLate } = require('./expired-on-arrival');
const { ownStateOf, readState, stateOf } = require('./lock-state');
const { lockerOf, registerLocker } = require('./locker-registry');
const { clock } = require('./addon');
const { majorityOf } = require('./quorum');
const { OwnPromise, deferred } = require('./native/calls');
const { PendingLock, PendingUnlock } = require('./pending');
const { IS_REPEATED, CLOSED: RELEASED_BY_QUIT, INSPECT_IF_HELD, QUEUES, WAKEUPS, FAIR } = require('./native');
const { toStats } = require('./stats');
const { random, valueFrom, extendByAttempts, isPacedByCaller, lockByAttempts } = require('./retry');

/**
 * @typedef {import('./native').Answer} Answer
 * @typedef {ReturnType<typeof stateOf>} LockState
 * @typedef {import('./arguments').LockLike} LockLike
 * @typedef {import('./arguments').LockRecord} LockRecord
 * @typedef {import('./acquire-options').AcquireOptions} AcquireOptions
 * @typedef {import('./options').CallOptions} CallOptions
 * @typedef {import('./options').Settings} Settings
 */

class Locker {
  #face;
  #profile;
  #quorum;
  #settings;
  /** `WAKEUPS` where native makes use of what instances tell of changes to keys, else 0. */
  #wakeups;
  /** Whether locks are waited for in turn, if the call doesn't say. */
  #isFair;
  /** quit() has everything unlocked that is held: what could not be. @type {Promise<Error[]> | undefined} */
  #unlockingAll;
  /** What is held, as far as that is told: where somebody listens. @type {Set<import('./hold').Hold>} */
  #holds = new Set();

  /**
   * Gives the face the properties that are read at each call.
   *
   * @param {any} face emits the events, if it can
   * @param {import('./profile').Profile} profile
   * @param {unknown} instances
   * @param {unknown} options
   */
  constructor(face, profile, instances, options) {
    const given = readOptions(options, profile.defaults, profile.warn, profile.hasAcquireOptions);
    registerLocker(face, this);
    this.#face = face;
    this.#profile = profile;
    this.#settings = new FaceSettings(face, profile, given.settings);
    this.#wakeups = given.wakeups ? WAKEUPS : 0;
    this.#isFair = given.fair;
    this.#quorum = new FaceQuorum(face, profile, instances, given);
  }

  /** What a face that has no property for them was given as its servers last. @type {unknown} */
  listed = [];

  /** Its answers are told through promises of another library, as bluebird. */
  hearLate() {
    this.#quorum.hearLate();
  }

  /** How each instance is reached. */
  get connections() {
    return this.#quorum.engine.events.connections;
  }

  /** What has come of everything so far. */
  async stats() {
    const { engine } = this.#quorum;
    const failure = engine.isClosed ? CLOSED : (await engine.stats(this.#settings.current)).failure;
    if (failure?.stats) return toStats(failure.stats, engine.addresses);
    const { code, reason } = failure ?? CLOSED;
    const message = `Cannot tell what was counted: ${reason}.`;
    throw new this.#profile.LockError(message, 0, { code, resource: [], votes: [] });
  }

  // Errors of what was asked for are made in async methods, so that their stacks name the caller that awaits them.

  /**
   * @param {any} face
   * @param {unknown} resource
   * @param {unknown} ttl
   * @param {CallOptions | undefined} options
   * @param {boolean} [isExtended] whether it is extended by itself unless the options say otherwise
   * @param {boolean} [isStrict] whether an option that is unknown is refused
   * @param {boolean} [isTry] whether there is one attempt, and null if it is held, whatever the options say
   * @returns {Promise<any>}
   */
  lock(face, resource, ttl, options, isExtended = false, isStrict = false, isTry = false) {
    if (!channels.lock.hasSubscribers) {
      return this.#lock(face, resource, ttl, options, isExtended, isStrict, isTry, undefined);
    }
    // What is told is what is asked for: it is read once.
    const names = channels.unlessRefused(() => this.#namesOf(resource)) ?? resource;
    const trace = channels.traceOf(names, ttl);
    const call = () => this.#lock(face, names, ttl, options, isExtended, isStrict, isTry, trace);
    return channels.lock.tell(trace, call, 'granted');
  }

  /**
   * @param {any} face
   * @param {unknown} resource
   * @param {unknown} ttl
   * @param {CallOptions | undefined} options
   * @param {boolean} isExtended
   * @param {boolean} isStrict
   * @param {boolean} isTry
   * @param {import('./channels').Trace | undefined} trace whom to tell what comes of it
   * @returns {Promise<any>}
   */
  #lock(face, resource, ttl, options, isExtended, isStrict, isTry, trace) {
    const profile = this.#profile;
    let pending;
    let others;
    let acquire;
    let isInSteps;
    let isReported;
    let isFair;
    try {
      const names = this.#namesOf(resource);
      let settings = this.#settings.currentOn(face);
      if (isThere(options)) ({ settings, others } = this.#settings.of(face, options, settings, isStrict));
      checkTtl(ttl, settings.driftFactor);
      if (others || isExtended || isTry) {
        acquire = this.#readAcquireOptions(others, ttl, settings, isExtended, isTry);
      }
      const engine = this.#openEngine(face, 'lock', names);
      isFair = acquire?.isFair ?? this.#isFair;
      if (isFair) this.#checkFair(face, names, settings);
      isInSteps = acquire || face._random !== random || isPacedByCaller(settings);
      isReported = this.#isReported(face);
      pending = new PendingLock(this, face, engine, names, ttl, settings, trace);
    } catch (error) {
      return OwnPromise.reject(profile.refuse(error));
    }
    const { engine, names, settings } = pending;
    if (isInSteps) return this.#lockInSteps(pending, acquire);
    const promise = pending.promise();
    const flags = this.#acquireFlags(settings, isFair);
    pending.context = engine.lockFor(pending, names, ttl, tracedBy(settings, trace), isReported, flags);
    return promise;
  }

  /**
   * @param {Record<string, any> | undefined} others
   * @param {number} ttl
   * @param {Settings} settings
   * @param {boolean} isExtended
   * @param {boolean} isTry
   */
  #readAcquireOptions(others, ttl, { driftFactor }, isExtended, isTry) {
    if (!this.#profile.hasAcquireOptions) return undefined;
    return readAcquireOptions(others ?? {}, ttl, driftFactor, isExtended, isTry);
  }

  /**
   * @param {PendingLock} asked
   * @param {AcquireOptions | undefined} acquire
   * @returns {Promise<any>}
   */
  async #lockInSteps(asked, acquire) {
    const { face, engine, names, ttl, trace } = asked;
    const settings = tracedBy(asked.settings, trace);
    try {
      const answer = await this.#acquire(face, engine, names, ttl, settings, acquire);
      return this.#conclude(asked, answer, acquire);
    } catch (error) {
      const signal = acquire?.signal;
      if (trace && signal?.aborted && signal.reason === error) trace.note({ outcome: 'aborted' });
      throw error;
    }
  }

  /**
   * The lock that was asked for, if it was granted and may be handed over.
   *
   * @param {PendingLock} asked
   * @param {Answer} answer
   */
  granted(asked, answer) {
    if (answer.failure || this.#unlockingAll || answer.isLate) return undefined;
    const lock = asked.lock ?? this.makeLock(asked, answer);
    this.#tellOfGrant(asked, answer, lock);
    return lock;
  }

  /**
   * @param {PendingLock} asked
   * @param {Answer} answer
   * @param {any} lock
   */
  #tellOfGrant({ names, ttl, trace }, { attempts, value }, lock) {
    trace?.note({ attempts });
    if (!channels.hold.hasSubscribers) return;
    beginHold(ownStateOf(lock) ?? stateOf(lock, { names, value }), names, ttl, this.#holds);
  }

  /**
   * The lock of an answer, be it handed over or not.
   *
   * @param {PendingLock} asked
   * @param {Answer} answer
   */
  makeLock(asked, answer) {
    return this.#grant(asked, answer, undefined);
  }

  /**
   * Rejects with the reason why there is no such lock, in whatever awaits the caller's promise by then.
   *
   * @param {PendingLock} asked
   * @param {Answer} answer
   * @returns {Promise<any>}
   */
  async refused(asked, answer) {
    // The caller's promise is resolved with this one, and waits for it then.
    await undefined;
    await undefined;
    return this.#conclude(asked, answer, undefined);
  }

  /**
   * @param {PendingLock} asked
   * @param {Answer} answer
   * @param {AcquireOptions | undefined} acquire
   * @returns {any} the lock; null where it is held and one attempt was asked for
   */
  #conclude(asked, answer, acquire) {
    const { face, engine, names, ttl, settings } = asked;
    // quit() releases it, with all the others.
    if (!answer.failure && this.#unlockingAll) answer.failure = RELEASED_BY_QUIT;
    if (answer.isLate) refuseLate(engine, names, answer, settings, this.#isReported(face));
    if (!answer.failure) {
      const lock = this.#grant(asked, answer, acquire);
      this.#tellOfGrant(asked, answer, lock);
      return lock;
    }
    const reason = /** @type {import('./native').NativeFailure} */ (answer.failure);
    const { code } = reason;
    const explained = () => explain(reason, { operation: 'lock', names, ttl }, engine.addresses);
    if (acquire?.isTry && code === 'ERR_REDLOCK_HELD') {
      asked.trace?.noteFailure({ code, attempts: answer.attempts, votes: explained().votes });
      return null;
    }
    const failure = explained();
    const message = notLocked(code, names, settings, acquire, failure.votes);
    throw new this.#profile.LockError(message, answer.attempts, failure);
  }

  /**
   * @param {PendingLock} asked
   * @param {Answer} answer
   * @param {AcquireOptions | undefined} acquire
   */
  #grant({ face, names, ttl, settings }, answer, acquire) {
    const { value, expiration, attempts } = answer;
    const remaining = settings.retryCount - attempts;
    const lock = this.#profile.makeLock(face, names, value, expiration, attempts, remaining);
    const state = ownStateOf(lock) ?? stateOf(lock, { names, value });
    state.setGranted(answer, ttl, settings === this.#settings.current ? undefined : settings);
    if (acquire?.extension) this.#extendByItself(state, { names, value, expiration }, acquire.extension);
    return lock;
  }

  /**
   * @param {any} face
   * @param {import('./native').Engine} engine
   * @param {string[]} names
   * @param {number} ttl
   * @param {Settings} given
   * @param {AcquireOptions | undefined} options
   * @returns {Promise<Answer>}
   */
  #acquire(face, engine, names, ttl, given, options) {
    const settings = options?.isTry ? given.once() : given;
    if (face._random !== random || isPacedByCaller(settings)) {
      return this.#acquireByAttempts(face, names, ttl, settings, options);
    }
    const signal = options?.signal;
    const maxWait = options?.maxWait;
    const report = this.#isReported(face);
    const flags = this.#acquireFlags(settings, options?.isFair ?? this.#isFair);
    return lockUnlessAborted(engine, names, ttl, settings, report, undefined, maxWait, flags, signal);
  }

  /**
   * @param {any} face
   * @param {string[]} names
   * @param {number} ttl
   * @param {Settings} settings
   * @param {AcquireOptions | undefined} options
   * @returns {Promise<Answer>}
   */
  #acquireByAttempts(face, names, ttl, settings, options) {
    const signal = options?.signal;
    const maxWait = options?.maxWait;
    const limit = maxWait === undefined ? undefined : clock() + maxWait;
    let engine = this.#quorum.engine;
    const attempt = async (/** @type {import('./retry').Attempt} */ { number, isLast, settings: once }) => {
      if (signal?.aborted) throw signal.reason;
      let value;
      try {
        engine = this.#openEngine(face, 'lock', names);
        value = face._random === random ? undefined : valueFrom(face);
      } catch (error) {
        throw this.#profile.refuse(error);
      }
      const inspect = isLast && this.#inspectsOccupant(settings) ? INSPECT_IF_HELD : 0;
      const flags = inspect | (number > 1 ? IS_REPEATED : 0);
      // After `_random`, which may have taken its time.
      const left = limit === undefined ? undefined : Math.max(0, limit - clock());
      const report = this.#isReported(face);
      const answer = await lockUnlessAborted(engine, names, ttl, once, report, value, left, flags, signal);
      // Native's answers have room for values of our own length only.
      if (value !== undefined) answer.value = value;
      return answer;
    };
    const pause = (/** @type {number} */ ms) => waitUnlessAborted(engine, ms, settings, signal);
    return lockByAttempts(attempt, pause, settings, limit);
  }

  /**
   * How native makes all attempts. The faces of other packages keep nobody waiting: their own counted on each attempt
   * being made.
   *
   * @param {Settings} settings
   * @param {boolean} isFair
   */
  #acquireFlags(settings, isFair) {
    const queues = this.#profile.hasAcquireOptions ? QUEUES : 0;
    // Where all who wait are in this process, its own line is as fair.
    const fair = isFair && !this.#quorum.isInMemory ? FAIR : 0;
    return queues | this.#wakeups | fair | (this.#inspectsOccupant(settings) ? INSPECT_IF_HELD : 0);
  }

  /**
   * Refuses what can't wait in turn.
   *
   * @param {any} face
   * @param {string[]} names
   * @param {Settings} settings
   */
  #checkFair(face, names, settings) {
    const obstacle =
      (names.length > 1 &&
        'waits for one resource: several have as many queues, in which it can be first in turns') ||
      (face._random !== random && 'needs values of our own: without a _random of yours') ||
      (isPacedByCaller(settings) && 'needs a retryDelay in ms: a function makes attempts one by one') ||
      (this.#quorum.hasOwnScripts && 'needs our scripts: without lockScript, unlockScript and extendScript');
    if (obstacle) throw outOfRange('OPTIONS', `fair: true ${obstacle}; or ask with fair: false`);
  }

  /**
   * Whether the last attempt, if it fails, inspects what the key has: not where there is one attempt alone, of which that
   * would be half of the cost.
   *
   * @param {Settings} settings
   */
  #inspectsOccupant({ retries }) {
    return this.#profile.hasAcquireOptions && retries !== 0;
  }

  /**
   * Has the lock's loss watched for.
   *
   * @param {any} lock
   * @returns {import('./watchdog').Watchdog}
   */
  watch(lock) {
    const record = readLock(lock);
    const state = stateOf(lock, record);
    if (state.watchdog) return state.watchdog;
    const isReleased = state.isReleased(record.expiration);
    const settings = this.#settingsWith(state);
    const watchdog = makeWatchdog(this.#quorum.engine, state, record, settings, this.#wakeups);
    // There is nothing to be lost any more.
    if (isReleased) watchdog.release();
    else if (this.#unlockingAll) watchdog.lose(RELEASED_BY_QUIT, false);
    else watchdog.start();
    return watchdog;
  }

  /**
   * A lock that is extended by itself no longer is, and ends when its validity does.
   *
   * @param {any} lock
   */
  stopExtending(lock) {
    const record = readLock(lock);
    stopExtending(lock, stateOf(lock, record), record.expiration);
    return lock;
  }

  /** Whether quit() has unlocked everything, or is about to. */
  get hasUnlockedAll() {
    return this.#unlockingAll !== undefined;
  }

  /**
   * Has the lock extended by itself.
   *
   * @param {any} face
   * @param {any} lock
   * @param {unknown} options
   */
  autoExtend(face, lock, options) {
    const record = readLock(lock);
    const state = stateOf(lock, record);
    const extension = readExtension(
      options,
      state.ttl ?? state.requestedTtl,
      this.#settingsWith(state).driftFactor,
    );
    this.#openEngine(face, 'extend', record.names);
    this.#refuseEnded(state, record);
    this.#extendByItself(state, record, extension);
    return lock;
  }

  /**
   * A lock that is gone can't be extended by itself.
   *
   * @param {LockState} state
   * @param {LockRecord} record
   */
  #refuseEnded(state, { names, expiration }) {
    const isReleased = state.isReleased(expiration);
    const lost = isReleased ? undefined : state.watchdog?.check();
    if (lost) throw lost;
    const until = state.validUntil(expiration);
    if (!isReleased && (until === undefined || until > clock())) return;
    throw this.#ended(isReleased ? UNLOCKED : EXPIRED, names, 0, 0);
  }

  /**
   * @param {LockState} state
   * @param {LockRecord} record
   * @param {import('./acquire-options').Extension} extension
   */
  #extendByItself(state, record, extension) {
    const settings = this.#settingsWith(state);
    startExtending(this.#quorum.engine, state, record, settings, this.#wakeups, extension);
  }

  /**
   * Unlocks a lock for whose release nobody waits: one that is gone already is as good, and what goes wrong is an event.
   *
   * @param {any} face
   * @param {any} lock
   */
  async unlockQuietly(face, lock) {
    try {
      await this.unlock(face, lock);
    } catch (error) {
      const { code } = /** @type {any} */ (error);
      if (code !== 'ERR_REDLOCK_NOT_HELD') this.#quorum.engine.events.tell('unlockError', error, lock);
    }
  }

  /**
   * @param {any} face
   * @param {unknown} resource
   * @returns {Promise<Inspection>}
   */
  async inspect(face, resource) {
    const names = readResource(resource);
    if (names.length > 1) throw wrongType('RESOURCE', 'resource must be one name: inspect one at a time');
    const engine = this.#openEngine(face, 'inspect', names);
    const asked = clock();
    const answer = await engine.inspect(names[0], this.#settings.current);
    const votes = answer.failure?.votes ?? [];
    return new Inspection(names[0], votes, engine.addresses, clock() - asked);
  }

  /**
   * @param {any} face
   * @param {any} lock
   * @returns {Promise<void>}
   */
  unlock(face, lock) {
    if (!channels.unlock.hasSubscribers) return this.#unlock(face, lock, undefined, undefined);
    const read = channels.unlessRefused(() => readState(lock, this.#profile.isLenient));
    const trace = channels.traceOf(read?.record.names ?? []);
    return channels.unlock.tell(trace, () => this.#unlock(face, lock, read, trace), 'released');
  }

  /**
   * @param {any} face
   * @param {any} lock
   * @param {ReturnType<typeof readState> | undefined} read what it says, if that was read already
   * @param {import('./channels').Trace | undefined} trace
   * @returns {Promise<void>}
   */
  #unlock(face, lock, read, trace) {
    const profile = this.#profile;
    let record;
    let state;
    let engine;
    let isReported;
    try {
      ({ record, state } = read ?? readState(lock, profile.isLenient));
      if (this.#isQuitting(lock, state)) return this.#unlockedByQuit(lock, state, record);
      if (profile.release === 'silent' && isPast(state, record)) return OwnPromise.resolve();
      engine = this.#openEngine(face, 'unlock', record.names);
      isReported = this.#isReported(face);
    } catch (error) {
      return OwnPromise.reject(profile.refuse(error));
    }
    const { names, value, expiration } = record;
    state.setReleased(lock, expiration);
    // The servers may have been replaced since: it is released where it is kept.
    const keeper = state.watchdog?.engine;
    if (keeper !== undefined && !keeper.isClosed) engine = keeper;

    const settings = this.#settingsWith(state);
    const pending = new PendingUnlock(this, engine, names);
    const promise = pending.promise();
    engine.unlockFor(pending, names, value, state.heldSince, tracedBy(settings, trace), isReported);
    state.watchdog?.release();
    return promise;
  }

  /**
   * Rejects with the reason why a lock was not released, as `refused` does, unless it counts as released.
   *
   * @param {PendingUnlock} asked
   * @param {Answer} answer
   */
  async unreleased({ engine, names }, { attempts, failure }) {
    if (failure === undefined || this.#isReleased(failure)) return;
    await undefined;
    await undefined;
    const explained = explain(failure, { operation: 'unlock', names, ttl: 0 }, engine.addresses);
    throw new this.#profile.LockError(unreleased(names), attempts, explained);
  }

  /**
   * Whether quit() unlocks this lock, with all others.
   *
   * @param {any} lock
   * @param {LockState} state
   */
  #isQuitting(lock, state) {
    if (this.#unlockingAll === undefined || state.heldSince <= this.#quorum.openedAt) return false;
    return lockerOf(lock.redlock) === this;
  }

  /**
   * @param {object} lock
   * @param {LockState} state
   * @param {LockRecord} record
   */
  async #unlockedByQuit(lock, state, { names, expiration }) {
    state.setReleased(lock, expiration);
    const unlocked = (await this.#unlockingAll) ?? [];
    const failed = unlocked.find((/** @type {any} */ { resource }) => String(resource) === String(names));
    if (failed) throw failed;
  }

  /**
   * @template {LockLike} L
   * @param {any} face
   * @param {L} lock
   * @param {unknown} ttl
   * @param {CallOptions | undefined} options
   * @returns {Promise<L>}
   */
  async extend(face, lock, ttl, options) {
    return this.#extend(face, lock, this.#recordOf(lock), lock, ttl, options, false);
  }

  /**
   * @param {unknown} lock
   * @returns {LockRecord}
   */
  #recordOf(lock) {
    try {
      return readLock(lock, this.#profile.isLenient);
    } catch (error) {
      throw this.#profile.refuse(error);
    }
  }

  /**
   * `extend`, but with a new lock on the same keys as its result.
   *
   * @param {any} face
   * @param {any} lock
   * @param {unknown} ttl
   */
  async extendAnew(face, lock, ttl) {
    const record = this.#recordOf(lock);
    const { names, value, expiration } = record;
    const shown = /** @type {number} */ (expiration);
    const extended = this.#profile.makeLock(face, [...names], value, shown, 0, 0);
    const state = stateOf(lock, record);
    state.validUntil(expiration);
    const copy = stateOf(extended, record);
    copy.copyFrom(state);
    try {
      await this.#extend(face, lock, record, extended, ttl, undefined, true);
      state.passHoldTo(copy);
    } catch (error) {
      if (copy.endCount > 0) state.hold?.gone();
      throw error;
    }
    return extended;
  }

  /**
   * `extend` for what has a certain value, whoever took it and until when.
   *
   * @param {any} face
   * @param {unknown} resource
   * @param {string} value
   * @param {unknown} ttl
   * @param {CallOptions | undefined} options
   * @returns {Promise<any>}
   */
  async relock(face, resource, value, ttl, options) {
    let lock;
    try {
      // Until when it is valid isn't said; the servers know whether it is still there.
      const names = this.#namesOf(resource);
      lock = this.#profile.makeLock(face, names, value, Number.POSITIVE_INFINITY, 0, 0);
    } catch (error) {
      throw this.#profile.refuse(error);
    }
    return this.#extend(face, lock, this.#recordOf(lock), lock, ttl, options, true);
  }

  /**
   * @template {LockLike} L
   * @param {any} face
   * @param {LockLike} lock
   * @param {LockRecord} record of it
   * @param {L} extended the same, or a copy which stands for it from now on
   * @param {unknown} ttl
   * @param {CallOptions | undefined} options
   * @param {boolean} isNew whether `extended` is to tell how many attempts this took
   * @returns {Promise<L>}
   */
  #extend(face, lock, record, extended, ttl, options, isNew) {
    if (!channels.extend.hasSubscribers) {
      return this.#extendUntold(face, lock, record, extended, ttl, options, isNew, undefined);
    }
    const trace = channels.traceOf(record.names, ttl);
    const call = () => this.#extendUntold(face, lock, record, extended, ttl, options, isNew, trace);
    return channels.extend.tell(trace, call, 'extended');
  }

  /**
   * @template {LockLike} L
   * @param {any} face
   * @param {LockLike} lock
   * @param {LockRecord} record
   * @param {L} extended
   * @param {unknown} ttl
   * @param {CallOptions | undefined} options
   * @param {boolean} isNew
   * @param {import('./channels').Trace | undefined} trace whom to tell what comes of it
   * @returns {Promise<L>}
   */
  async #extendUntold(face, lock, { names, value, expiration }, extended, ttl, options, isNew, trace) {
    const profile = this.#profile;
    const record = { names, value };
    const state = stateOf(lock, record);
    let settings;
    let engine;
    try {
      settings = this.#settings.of(face, options, state.settings).settings;
      checkTtl(ttl, settings.driftFactor);
      engine = this.#openEngine(face, 'extend', names);
    } catch (error) {
      throw profile.refuse(error);
    }
    const validUntil = state.validUntil(expiration);
    if (validUntil === 0) throw this.#ended(EXPIRED, names, ttl, 0);
    const isRelative = validUntil === undefined;
    const until = isRelative ? LONGEST_VALIDITY : validUntil;

    const { endCount } = state;
    const report = this.#isReported(face);
    const attempt = (/** @type {Settings} */ own) =>
      engine.extend(names, value, until, isRelative, ttl, own, report);
    const pause = (/** @type {number} */ ms) => engine.wait(ms, settings);
    const traced = tracedBy(settings, trace);
    const answer = isPacedByCaller(settings)
      ? await extendByAttempts(attempt, pause, traced, isRelative ? clock() + until : until)
      : await attempt(traced);
    trace?.note({ attempts: answer.attempts });
    // A lock that is extended by itself may have been extended beyond that meanwhile.
    const { watchdog } = state;
    const isKept = watchdog?.isExtended && watchdog.until > clock();
    if (answer.isOver && !isKept) answer.letEnd();
    // A holder who has unlocked it meanwhile must not find it valid again.
    const isEnded = state.endCount !== endCount || (ownStateOf(lock) === state && lock.expiration === 0);
    if (!isEnded && answer.isCarriedOut) {
      stateOf(extended, record).setExtended(extended, expiration, answer, ttl);
    }
    if (answer.failure) {
      const failure = explain(answer.failure, { operation: 'extend', names, ttl }, engine.addresses);
      const message = notExtended(failure.code, answer.attempts, settings, names);
      throw new profile.LockError(message, answer.attempts, failure);
    }
    if (isEnded) throw this.#ended(UNLOCKED, names, ttl, answer.attempts);
    if (this.#isQuitting(lock, state)) throw this.#ended(RELEASED_BY_QUIT, names, ttl, answer.attempts);
    if (answer.until === 0) throw this.#ended(EXPIRED, names, ttl, answer.attempts);
    if (isNew) showAttempts(extended, answer.attempts, settings);
    return extended;
  }

  /**
   * The error for a lock that can't be extended, since it has ended.
   *
   * @param {import('./native').NativeFailure} failure how
   * @param {readonly string[]} names
   * @param {number} ttl
   * @param {number} attempts
   */
  #ended(failure, names, ttl, attempts) {
    const explained = explain(failure, { operation: 'extend', names, ttl }, []);
    return new this.#profile.LockError(expired(names), attempts, explained);
  }

  /**
   * Lets what is in flight end, refuses what comes later, and quits the callers' clients. The first call decides.
   *
   * @param {boolean} [isUnlocking] whether everything is unlocked that this has handed over
   */
  quit(isUnlocking = false) {
    if (!isUnlocking) return this.#quorum.quit();
    return this.#quorum.quit(() => {
      // Listeners that are told of it may unlock something, or quit too.
      const { promise, resolve } = deferred();
      this.#unlockingAll = promise;
      resolve(this.#unlockAll());
      return promise;
    });
  }

  /** Unlocks everything that this has handed over. What can't be unlocked is an event, and stays until its ttl. */
  async #unlockAll() {
    const face = this.#face;
    const settings = this.#settings.currentOn(face);
    const report = this.#isReported(face);
    const { engine, engines } = this.#quorum;
    const all = await Promise.all(
      engines.map(async (one) => {
        const locks = await one.releaseAll(settings, report);
        return locks
          .filter(({ code }) => code !== 'ERR_REDLOCK_NOT_HELD')
          .map((failure) => this.#unreleasedAt(one, failure));
      }),
    );
    const errors = all.flat();
    for (const error of errors) engine.events.tell('unlockError', error, undefined);
    for (const hold of this.#holds) hold.released();
    return errors;
  }

  /**
   * @param {import('./native').Engine} engine
   * @param {import('./native/types').Unreleased} failure
   */
  #unreleasedAt(engine, failure) {
    const names = failure.resource;
    const explained = explain(failure, { operation: 'unlock', names, ttl: 0 }, engine.addresses);
    return new this.#profile.LockError(unreleased(names), 1, explained);
  }

  /** @param {unknown} resource */
  #namesOf(resource) {
    const { isLenient, locksSeveral } = this.#profile;
    const names = readResource(resource, isLenient);
    if (names.length === 1 || locksSeveral) return names;
    throw wrongType('RESOURCE', 'resource must be one name: several are locked together from redlock 4 on');
  }

  /**
   * Whether an unlock that didn't release counts as one that did.
   *
   * @param {import('./native').NativeFailure} failure
   */
  #isReleased({ votes }) {
    const { release } = this.#profile;
    if (release !== 'answered') return release === 'silent';
    const answers = votes.filter(({ vote }) => vote === 'granted' || vote === 'held');
    return answers.length >= majorityOf(votes.length);
  }

  /**
   * @param {any} face
   * @param {import('./cause').Operation} operation
   * @param {readonly string[]} names
   */
  #openEngine(face, operation, names) {
    if (this.#quorum.engine.isClosed) throw this.#closedError(operation, names);
    return this.#quorum.refresh(face);
  }

  /**
   * @param {import('./cause').Operation} operation
   * @param {readonly string[]} names
   */
  #closedError(operation, names) {
    const { code } = CLOSED;
    return new this.#profile.LockError(closed(operation, names), 0, {
      code,
      resource: [...names],
      votes: [],
    });
  }

  /**
   * Whether instances' failures are reported, since somebody listens.
   *
   * @param {any} face
   */
  #isReported(face) {
    return face.listenerCount !== undefined && face.listenerCount('clientError') > 0;
  }

  /** @param {LockState} state of a lock that may have settings of its own */
  #settingsWith({ settings = this.#settings.current }) {
    return settings;
  }
}

/**
 * @param {Settings} settings
 * @param {import('./channels').Trace | undefined} trace
 */
function tracedBy(settings, trace) {
  return trace === undefined ? settings : settings.tracedBy(trace);
}

/**
 * @param {LockState} state
 * @param {LockRecord} record
 */
function isPast(state, { expiration }) {
  const until = state.validUntil(expiration);
  return until !== undefined && until < clock();
}

/**
 * @param {any} lock
 * @param {number} attempts
 * @param {Settings} settings
 */
function showAttempts(lock, attempts, { retryCount }) {
  if (Object.hasOwn(lock, 'attempts')) lock.attempts = attempts;
  if (Object.hasOwn(lock, 'attemptsRemaining')) lock.attemptsRemaining = retryCount - attempts;
}

module.exports = { Locker };
