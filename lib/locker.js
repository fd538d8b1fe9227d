'use strict';

/**
 * What every face does behind its methods: the arguments are looked at, the engine is asked, and its
 * answer becomes a lock or an error. Where faces differ, their profile says how.
 */

const { randomBytes } = require('node:crypto');

const { readResource, readLock, checkTtl } = require('./arguments');
const { explain } = require('./cause');
const { outOfRange, wrongType, show } = require('./errors');
const { bare, elementsOf, isArray } = require('./foreign');
const { unlessAborted } = require('./giving-up');
const { readMembers } = require('./members');
const { clock, defaultScripts, stayAwake } = require('./mailbox');
const { AGAIN, CLOSED, LOOK, Answer, Cancellation, Engine } = require('./native');
const { disregard } = require('./promises');
const { Settings, readOptions, readCallOptions, readProperties, waitAfter } = require('./options');
const { readScripts, customScripts } = require('./scripts');
const { Keep } = require('./keep');
const { Inspection } = require('./inspection');
const { lockerOf, putBehind } = require('./lockers');
const { ownOf, termOf } = require('./term');
const { NAMES, readExtension, readWishes } = require('./wishes');

/**
 * @typedef {ReturnType<typeof termOf>} Term
 * @typedef {import('./arguments').LockLike} LockLike
 * @typedef {import('./arguments').LockRecord} LockRecord
 * @typedef {import('./cause').Operation} Operation
 * @typedef {Partial<Pick<Settings, 'driftFactor' | 'retryCount' | 'retryDelay' | 'retryJitter'>>} CallOptions
 *
 * @typedef {object} Profile what a face is
 * @property {(face: any, names: string[], value: string, expiration: number, attempts: number, remaining: number) => any} makeLock
 * @property {new (message: string, attempts: number, failure: import('./errors').Failure) => Error} LockError
 * @property {(error: any) => unknown} refuse what is thrown when nothing was asked for, as with wrong arguments
 * @property {Settings} defaults
 * @property {(message: string) => void} warn is told of options that can't be used
 * @property {'scripts' | 'texts' | 'none'} scripts where the face shows the scripts' texts, each read at each call:
 *   in `scripts`, in properties of their own, or nowhere
 * @property {boolean} truthyReplies whether a custom script is carried out if its reply is something, not only the
 *   number of keys
 * @property {boolean} isLenient whether a number is a name, and a lock may come without an expiration
 * @property {boolean} locksSeveral whether several resources are locked together
 * @property {'strict' | 'answered' | 'silent'} release when an unlock succeeds: if a majority has released; also if a
 *   majority says that there is nothing to release; always
 * @property {import('./clients/client').Dialect} dialect how clients are asked that are of no known library
 * @property {boolean} hasWishes whether its locks may be waited for and kept as lib/wishes.js has it
 */

class Locker {
  #face;
  #profile;
  #patience;
  #rule;
  /** @type {Engine} */
  #engine;
  /** Since when it is over these servers: what was taken before is none of its. On the engine's clock. */
  #listedAt = 0;
  /** What the face's properties of the same names said when they were last looked at. */
  #settings;
  /** What the process was warned of, so that a busy caller is told once. @type {Set<string>} */
  #warnings = new Set();
  /** The members of the quorum: callers' clients as they were passed, the others by their addresses. @type {unknown[]} */
  #servers = [];
  /** What was passed for each of them, where they may be put into another order. @type {Map<unknown, unknown>} */
  #passed = new Map();
  /** The callers' clients, each once. @type {import('./bridge').Bridge[]} */
  #clients = [];
  /** The scripts that the engine was told of last. @type {string[]} */
  #texts;
  #isHeardLate = false;
  /** @type {Promise<unknown[]> | undefined} */
  #quitting;
  /** quit() has everything released that is held: what could not be. @type {Promise<Error[]> | undefined} */
  #parting;

  /**
   * Gives the face the properties that are read at each call.
   *
   * @param {any} face emits the events, if it can
   * @param {Profile} profile
   * @param {unknown} instances
   * @param {unknown} options
   */
  constructor(face, profile, instances, options) {
    const given = readOptions(options, profile.defaults, profile.warn, profile.hasWishes);
    const { settings, patience, rule } = given;
    putBehind(face, this);
    this.#face = face;
    this.#profile = profile;
    this.#patience = patience;
    this.#rule = rule;
    const scripts = readScripts(profile.scripts === 'none' ? {} : given.scripts, OWN_SCRIPTS);
    this.#texts = textsOf(scripts);
    this.#engine = this.#openQuorum(instances);
    this.#settings = settings;
    face.driftFactor = settings.driftFactor;
    face.retryCount = settings.retryCount;
    face.retryDelay = settings.retryDelay;
    face.retryJitter = settings.retryJitter;
    if (profile.scripts !== 'none') {
      face.lockScript = scripts.lockScript.value;
      face.unlockScript = scripts.unlockScript.value;
      face.extendScript = scripts.extendScript.value;
    }
    if (profile.scripts === 'scripts') face.scripts = scripts;
    face.servers = this.#shown(instances);
  }

  /** The members of the quorum: clients as they were passed; the others by address, as they have passwords. */
  get servers() {
    return [...this.#servers];
  }

  /** What a face that has no property for them was given as its servers last. @type {unknown} */
  listed = [];

  /** Its answers are told through promises of another library, as bluebird. */
  hearLate() {
    this.#isHeardLate = true;
    this.#engine.isHeardLate = true;
  }

  /** How each instance is reached. */
  get connections() {
    return this.#engine.connections;
  }

  // Errors are made in async methods, so that their stacks name who waits for them.

  /**
   * @param {any} face
   * @param {unknown} resource
   * @param {unknown} ttl
   * @param {CallOptions | undefined} options
   * @param {boolean} [isExtended] whether it is extended by itself unless the options say otherwise
   * @param {boolean} [isStrict] whether an option that is unknown is refused
   * @returns {Promise<any>}
   */
  async lock(face, resource, ttl, options, isExtended = false, isStrict = false) {
    const profile = this.#profile;
    let names;
    let settings;
    let wishes;
    let engine;
    try {
      names = this.#namesOf(resource);
      const { settings: own, others } = this.#settingsOf(face, options, undefined, isStrict);
      settings = own;
      checkTtl(ttl, settings.driftFactor);
      const isPlain = !profile.hasWishes || !(others || isExtended);
      wishes = isPlain ? undefined : readWishes(others ?? {}, ttl, settings.driftFactor, isExtended);
      engine = this.#openEngine(face, 'lock', names);
    } catch (error) {
      throw profile.refuse(error);
    }

    const answer = await this.#acquire(face, engine, names, ttl, settings, wishes);
    // quit() releases it, with all the others.
    if (!answer.failure && this.#parting) answer.failure = CLOSED;
    if (!answer.failure && answer.isOver) {
      engine.unlock(names, answer.value, answer.since, settings, this.#isWatched(face));
      answer.failure = TOO_LATE;
    }
    if (answer.failure) {
      const { code } = answer.failure;
      if (wishes?.isTry && code === 'ERR_REDLOCK_HELD') return null;
      const failure = explain(answer.failure, { operation: 'lock', names, ttl }, engine.addresses);
      throw new profile.LockError(refusal(code, names, settings, wishes), answer.attempts, failure);
    }
    const { value, expiration, attempts } = answer;
    const remaining = settings.retryCount - attempts;
    const lock = profile.makeLock(face, names, value, expiration, attempts, remaining);
    const term = ownOf(lock) ?? termOf(lock, { names, value });
    term.begin(answer, ttl, settings === this.#settings ? undefined : settings);
    if (wishes?.extension) this.#extendByItself(term, { names, value, expiration }, wishes.extension);
    return lock;
  }

  /**
   * @param {any} face
   * @param {Engine} engine
   * @param {string[]} names
   * @param {number} ttl
   * @param {Settings} settings
   * @param {import('./wishes').Wishes | undefined} wishes
   * @returns {Promise<Answer>}
   */
  #acquire(face, engine, names, ttl, settings, wishes) {
    const terms = wishes?.isTry ? onceOf(settings) : settings;
    if (face._random !== random || isPacedByCaller(terms)) {
      return this.#lockByAttempts(face, names, ttl, terms, wishes);
    }
    const report = this.#isWatched(face);
    const look = this.#looks(terms) ? LOOK : 0;
    if (!wishes) return engine.lock(names, ttl, terms, report, undefined, undefined, undefined, look);
    const { signal, maxWait } = wishes;
    if (signal?.aborted) throw signal.reason;
    const cancellation = signal && new Cancellation();
    const asked = engine.lock(names, ttl, terms, report, undefined, undefined, maxWait, look, cancellation);
    return signal ? unlessAborted(signal, asked, giveBack(cancellation, engine, names, settings)) : asked;
  }

  /**
   * Whether it is worth a look what a key has that was held all the time: not where there is one attempt, and the
   * look would be half of its cost.
   *
   * @param {Settings} settings
   */
  #looks({ retries }) {
    return this.#profile.hasWishes && retries !== 0;
  }

  /**
   * Has the lock's end watched.
   *
   * @param {any} lock
   * @returns {Keep}
   */
  watch(lock) {
    const record = readLock(lock);
    const term = termOf(lock, record);
    if (term.keep) return term.keep;
    const isReleased = term.isReleasedAs(record.expiration);
    const keep = this.#keepFor(term, record);
    // There is nothing to be lost any more.
    if (isReleased) keep.release();
    else if (this.#parting) keep.lose(CLOSED, false);
    else keep.start();
    return keep;
  }

  /**
   * A lock that is extended by itself is so no more, and ends when it does.
   *
   * @param {any} lock
   */
  stopExtending(lock) {
    const record = readLock(lock);
    const { expiration } = record;
    const term = termOf(lock, record);
    const { keep } = term;
    if (!keep?.isExtended) return lock;
    const { ttl = 0, until } = keep;
    keep.stop();
    const left = until - clock();
    const shown = left > 0 ? Math.floor(Date.now() + left) : 0;
    term.believe(lock, expiration, new Answer(0, 0, shown, until, 0, '', undefined), ttl);
    return lock;
  }

  /** Whether quit() has released it, or is about to. */
  get hasParted() {
    return this.#parting !== undefined;
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
    const term = termOf(lock, record);
    const { ttl, settings = this.#settings } = term;
    const extension = readExtension(options, ttl, settings.driftFactor);
    this.#openEngine(face, 'extend', record.names);
    this.#refuseEnded(term, record);
    this.#extendByItself(term, record, extension);
    return lock;
  }

  /**
   * A lock that is gone can't be kept.
   *
   * @param {Term} term
   * @param {LockRecord} record
   */
  #refuseEnded(term, { names, expiration }) {
    const isReleased = term.isReleasedAs(expiration);
    const lost = isReleased ? undefined : term.keep?.look();
    if (lost) throw lost;
    const until = term.deadline(expiration);
    if (!isReleased && (until === undefined || until > clock())) return;
    const failure = isReleased ? UNLOCKED : EXPIRED;
    const explained = explain(failure, { operation: 'extend', names, ttl: 0 }, []);
    throw new this.#profile.LockError(expired(names), 0, explained);
  }

  /**
   * @param {Term} term
   * @param {LockRecord} record
   * @param {import('./wishes').Extension} extension
   */
  #extendByItself(term, record, { ttl, threshold, maxHold }) {
    const keep = term.keep ?? this.#keepFor(term, record);
    const since = term.since || clock();
    keep.start({ ttl, lead: threshold, cap: maxHold === undefined ? 0 : since + maxHold });
    followEnd(term.lock, keep);
  }

  /**
   * @param {Term} term
   * @param {LockRecord} record
   */
  #keepFor(term, { names, value, expiration }) {
    const until = term.deadline(expiration) ?? clock() + FOR_EVER;
    const { settings = this.#settings } = term;
    // Of the lock itself: what stands for it may be collected before.
    term.keep = new Keep(this.#engine, term.lock, { names, value, until, settings });
    return term.keep;
  }

  /**
   * Unlocks what nobody needs any more: that it is gone already is as good, and what goes wrong is an event.
   *
   * @param {any} face
   * @param {any} lock
   */
  async letGo(face, lock) {
    try {
      await this.unlock(face, lock);
    } catch (error) {
      const { code } = /** @type {any} */ (error);
      if (code !== 'ERR_REDLOCK_NOT_HELD') this.#engine.tell('unlockError', error, lock);
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
    const answer = await engine.inspect(names[0], this.#settings);
    const votes = answer.failure?.votes ?? [];
    return new Inspection(names[0], votes, engine.addresses, clock() - asked);
  }

  /**
   * @param {any} face
   * @param {any} lock
   * @returns {Promise<void>}
   */
  async unlock(face, lock) {
    const profile = this.#profile;
    let record;
    let term;
    let engine;
    try {
      record = readLock(lock, profile.isLenient);
      term = termOf(lock, record);
      if (
        this.#parting &&
        term.since > this.#listedAt &&
        lockerOf(/** @type {any} */ (lock).redlock) === this
      ) {
        return await this.#unlockedByQuit(lock, term, record);
      }
      if (profile.release === 'silent' && isPast(term, record)) return;
      engine = this.#openEngine(face, 'unlock', record.names);
    } catch (error) {
      throw profile.refuse(error);
    }
    const { names, value, expiration } = record;
    term.end(lock, expiration);
    term.keep?.release();

    const { settings = this.#settings } = term;
    const answer = await engine.unlock(names, value, term.since, settings, this.#isWatched(face));
    if (answer.failure && !this.#isReleased(answer.failure)) {
      const failure = explain(answer.failure, { operation: 'unlock', names, ttl: 0 }, engine.addresses);
      throw new profile.LockError(unreleased(names), answer.attempts, failure);
    }
  }

  /**
   * @param {object} lock
   * @param {any} term
   * @param {LockRecord} record
   */
  async #unlockedByQuit(lock, term, { names, expiration }) {
    term.end(lock, expiration);
    const unreleased = (await this.#parting) ?? [];
    const failed = unreleased.find((/** @type {any} */ { resource }) => String(resource) === String(names));
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
   * `extend`, but what comes of it is another lock on the same keys.
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
    const term = termOf(lock, record);
    term.deadline(expiration);
    termOf(extended, record).copy(term);
    return this.#extend(face, lock, record, extended, ttl, undefined, true);
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
   * Lets what is in flight end, refuses what comes later, and quits the callers' clients. The first call decides.
   *
   * @param {boolean} [isParting] whether everything that this has handed over is released
   */
  quit(isParting = false) {
    this.#quitting ??= this.#quit(isParting);
    return this.#quitting;
  }

  /** Nobody holds any more what this has handed over. What can't be released is told, and stays until its ttl. */
  async #part() {
    const face = this.#face;
    const { settings } = this.#settingsOf(face, undefined);
    const { addresses } = this.#engine;
    const locks = await this.#engine.part(settings, this.#isWatched(face));
    const failures = locks.filter(({ code }) => code !== 'ERR_REDLOCK_NOT_HELD');
    const errors = failures.map((failure) => {
      const names = failure.resource;
      const explained = explain(failure, { operation: 'unlock', names, ttl: 0 }, addresses);
      return new this.#profile.LockError(unreleased(names), 1, explained);
    });
    for (const error of errors) this.#engine.tell('unlockError', error, undefined);
    return errors;
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
  async #extend(face, lock, { names, value, expiration }, extended, ttl, options, isNew) {
    const profile = this.#profile;
    const record = { names, value };
    const term = termOf(lock, record);
    let settings;
    let engine;
    try {
      settings = this.#settingsOf(face, options, term.settings).settings;
      checkTtl(ttl, settings.driftFactor);
      engine = this.#openEngine(face, 'extend', names);
    } catch (error) {
      throw profile.refuse(error);
    }
    const request = /** @type {const} */ ({ operation: 'extend', names, ttl });

    const deadline = term.deadline(expiration);
    if (deadline === 0) throw new profile.LockError(expired(names), 0, explain(EXPIRED, request, []));
    const isRelative = deadline === undefined;
    const until = isRelative ? LONGEST : deadline;

    const { ends } = term;
    const report = this.#isWatched(face);
    /** @param {Settings} terms */
    const ask = (terms) => engine.extend(names, value, until, isRelative, ttl, terms, report);
    const answer = isPacedByCaller(settings)
      ? await this.#extendByAttempts(engine, ask, isRelative ? clock() + until : until, settings)
      : await ask(settings);
    // One that is extended by itself may have been extended beyond that meanwhile.
    const { keep } = term;
    const isKept = keep?.isExtended && keep.until > clock();
    if (answer.isOver && !isKept) answer.letEnd();
    // Who has unlocked it meanwhile must not find it valid again.
    const isEnded = term.ends !== ends || (ownOf(lock) === term && lock.expiration === 0);
    if (!isEnded && answer.isCarriedOut) termOf(extended, record).believe(extended, expiration, answer, ttl);
    if (answer.failure) {
      const failure = explain(answer.failure, request, engine.addresses);
      const message = answer.attempts > 0 ? exceeded(settings, names) : expired(names);
      throw new profile.LockError(message, answer.attempts, failure);
    }
    if (isEnded) {
      throw new profile.LockError(expired(names), answer.attempts, explain(UNLOCKED, request, []));
    }
    if (answer.until === 0) {
      throw new profile.LockError(expired(names), answer.attempts, explain(EXPIRED, request, []));
    }
    if (isNew) count(extended, answer.attempts, settings);
    return extended;
  }

  /**
   * Locks attempt by attempt, where JavaScript has a say in it: an overridden `_random` gives a value for each, since
   * a late answer to an old attempt must not pass for one to the next; a function says how long to wait.
   *
   * @param {any} face
   * @param {string[]} names
   * @param {number} ttl
   * @param {Settings} settings
   * @param {import('./wishes').Wishes} [wishes]
   * @returns {Promise<Answer>}
   */
  async #lockByAttempts(face, names, ttl, settings, wishes) {
    // Not by destructuring what may be nothing: `Object.prototype` would answer in its place.
    const signal = wishes?.signal;
    const maxWait = wishes?.maxWait;
    const limit = maxWait === undefined ? Number.POSITIVE_INFINITY : clock() + maxWait;
    const once = onceOf(settings);
    /** @type {import('./native').NativeVote[]} */
    let before = [];
    for (let attempt = 1; ; attempt++) {
      if (signal?.aborted) throw signal.reason;
      const isLast = settings.retries >= 0 && attempt > settings.retries;
      const look = (isLast && this.#looks(settings) ? LOOK : 0) | (attempt > 1 ? AGAIN : 0);
      const { value, engine } = this.#prepareAttempt(face, names);
      const left = maxWait === undefined ? undefined : Math.max(0, limit - clock());
      const cancellation = signal && new Cancellation();
      const report = this.#isWatched(face);
      const asked = engine.lock(names, ttl, once, report, value, undefined, left, look, cancellation);
      const giving = giveBack(cancellation, engine, names, settings, value);
      const answer = await (signal ? unlessAborted(signal, asked, giving) : asked);
      answer.attempts = attempt;
      // What is handed over has room for values of our own length only.
      if (value !== undefined) answer.value = value;
      const { failure } = answer;
      // An attempt that was cut short says less than the one before it.
      const isShort = failure?.code === 'ERR_REDLOCK_TIMEOUT' && !failure.votes.some(isCast);
      if (failure && isShort && before.length > 0) failure.votes = before;
      if (!failure || isLast || !RETRIED.includes(failure.code)) return answer;
      before = failure.votes;
      const wait = this.#waitAfter(settings, attempt);
      const time = limit - clock();
      const cut = signal && new Cancellation();
      const waited = engine.wait(Math.min(wait, Math.max(0, time)), settings, cut);
      await (signal ? unlessAborted(signal, waited, { cancel: () => cut?.cancel(), discard() {} }) : waited);
      if (wait >= time) {
        answer.failure = { ...failure, code: 'ERR_REDLOCK_TIMEOUT' };
        return answer;
      }
    }
  }

  /**
   * The same for an extension.
   *
   * @param {Engine} engine
   * @param {(settings: Settings) => Promise<Answer>} ask
   * @param {number} until when the lock ends if nothing comes of it, on the engine's clock
   * @param {Settings} settings
   * @returns {Promise<Answer>}
   */
  async #extendByAttempts(engine, ask, until, settings) {
    const once = onceOf(settings);
    /** The failure after which the lock may be believed in for the shortest time. @type {Answer | undefined} */
    let worst;
    for (let attempt = 1; ; attempt++) {
      const answer = await ask(once);
      answer.attempts = attempt;
      if (!answer.failure) return answer;
      if (worst === undefined || answer.until < worst.until) worst = answer;
      answer.until = worst.until;
      answer.expiration = worst.expiration;
      const isLast = settings.retries >= 0 && attempt > settings.retries;
      if (isLast || !RETRIED.includes(answer.failure.code)) return answer;
      const wait = this.#waitAfter(settings, attempt);
      if (clock() + wait >= until) return answer;
      await engine.wait(wait, settings);
    }
  }

  /**
   * @param {Settings} settings
   * @param {number} attempt
   */
  #waitAfter(settings, attempt) {
    try {
      return waitAfter(settings, attempt);
    } catch (error) {
      throw this.#profile.refuse(error);
    }
  }

  /**
   * @param {any} face
   * @param {string[]} names
   */
  #prepareAttempt(face, names) {
    try {
      const engine = this.#openEngine(face, 'lock', names);
      if (face._random === random) return { value: undefined, engine };
      const value = face._random();
      if (typeof value === 'string' && value !== '') return { value, engine };
      disregard(value);
      throw wrongType('OPTIONS', `_random() must return a non-empty string, not ${show(value)}`);
    } catch (error) {
      throw this.#profile.refuse(error);
    }
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
    return answers.length > votes.length / 2;
  }

  /** @param {boolean} isParting */
  async #quit(isParting) {
    const letSleep = stayAwake();
    let quits;
    try {
      if (isParting) {
        this.#parting = this.#part();
        await this.#parting;
      }
      await this.#engine.close();
      quits = await Promise.allSettled(this.#clients.map((bridge) => bridge.quit()));
    } finally {
      letSleep();
    }
    const failed = quits.find((quit) => quit.status === 'rejected');
    if (failed) throw failed.reason;
    const replies = new Map(this.#clients.map((bridge, at) => [bridge.given, quits[at]]));
    // What redis clients answer to QUIT, as redlock 4 passes it on.
    return this.#servers.map((server) => {
      const quit = replies.get(server);
      return quit?.status === 'fulfilled' ? quit.value : 'OK';
    });
  }

  /** @param {unknown} instances */
  #openQuorum(instances) {
    const custom = this.#customScripts(this.#texts);
    const given = isArray(instances) ? elementsOf(instances, unreadable) : instances;
    const members = readMembers(given, this.#rule, this.#profile.dialect);
    if (custom) refuseInMemory(members.map(({ config }) => config));
    const engine = new Engine(this.#face, members, this.#patience);
    engine.isHeardLate = this.#isHeardLate;
    const { addresses } = engine;
    this.#servers = members.map(({ bridge }, index) => bridge?.given ?? addresses[index]);
    this.#clients = [...new Set(members.map(({ bridge }) => bridge))].filter((one) => one !== undefined);
    if (custom) engine.useScripts(custom);
    // A server that is named as `servers` shows it is the one that was passed, with its password.
    const passed = /** @type {unknown[]} */ (given);
    this.#passed = new Map(this.#servers.map((shown, index) => [shown, passed[index]]));
    return engine;
  }

  /**
   * @param {any} face
   * @param {Operation} operation
   * @param {readonly string[]} names
   */
  #openEngine(face, operation, names) {
    if (!this.#engine.isClosed) {
      this.#lookAtServers(face);
      this.#engine.look();
      if (this.#profile.scripts !== 'none') this.#tellOfScripts(face);
      return this.#engine;
    }
    const message = `Cannot ${operation} resource "${names}": this Redlock was closed with quit().`;
    const failure = { code: 'ERR_REDLOCK_CLOSED', resource: [...names], votes: [] };
    throw new this.#profile.LockError(message, 0, failure);
  }

  /**
   * `servers` may have been changed since the last call.
   *
   * @param {any} face
   */
  #lookAtServers(face) {
    const { servers } = face;
    if (this.#isListed(servers)) return;
    const listed = isArray(servers) ? elementsOf(servers, unreadable) : servers;
    if (this.#isShown(listed)) return;
    const before = this.#engine;
    const instances = isArray(listed)
      ? listed.map((one) => (this.#passed.has(one) ? this.#passed.get(one) : one))
      : listed;
    this.#engine = this.#openQuorum(instances);
    this.#listedAt = clock();
    face.servers = this.#shown(servers);
    before.close();
  }

  /**
   * Whether they are the same as ever: asked at each call, so that it copies nothing.
   *
   * @param {any} servers
   */
  #isListed(servers) {
    const known = this.#servers;
    if (!isArray(servers)) return false;
    try {
      for (let at = 0; at < known.length; at++) if (servers[at] !== known[at]) return false;
      return servers.length === known.length;
    } catch {
      return false;
    }
  }

  /**
   * What `servers` is to be: the caller's own array, unless it has what isn't to be seen.
   *
   * @param {unknown} instances
   */
  #shown(instances) {
    return this.#isShown(instances) ? instances : this.servers;
  }

  /** @param {unknown} servers */
  #isShown(servers) {
    return (
      isArray(servers) &&
      servers.length === this.#servers.length &&
      servers.every((server, at) => server === this.#servers[at])
    );
  }

  /**
   * The scripts may have been changed since the last call.
   *
   * @param {any} face
   */
  #tellOfScripts(face) {
    const texts =
      this.#profile.scripts === 'scripts'
        ? textsOf(face.scripts)
        : [face.lockScript, face.unlockScript, face.extendScript];
    if (texts.every((text, at) => text === this.#texts[at])) return;
    this.#engine.useScripts(this.#customScripts(texts) ?? {});
    this.#texts = texts;
  }

  /** @param {string[]} texts */
  #customScripts([lockScript, unlockScript, extendScript]) {
    const custom = customScripts({ lockScript, unlockScript, extendScript }, OWN_SCRIPTS);
    if (!custom || !this.#profile.truthyReplies) return custom;
    const { acquire, extend } = custom;
    return { ...custom, acquire: acquire && countTruth(acquire), extend: extend && countTruth(extend) };
  }

  /**
   * Whether it is worth telling of instances' failures.
   *
   * @param {any} face
   */
  #isWatched(face) {
    return face.listenerCount !== undefined && face.listenerCount('clientError') > 0;
  }

  /**
   * The settings of one call: its own options, then what the properties say now.
   *
   * @param {any} face
   * @param {CallOptions | undefined} options
   * @param {Settings} [own] of the lock, in place of the properties
   * @param {boolean} [isStrict] whether an option that is unknown is refused
   * @returns {{settings: Settings, others?: Record<string, any>}} `others`: what else the options say
   */
  #settingsOf(face, options, own, isStrict = false) {
    const { retryCount, retryDelay, retryJitter, driftFactor } = face;
    let settings = this.#settings;
    if (
      retryCount !== settings.retryCount ||
      retryDelay !== settings.retryDelay ||
      retryJitter !== settings.retryJitter ||
      driftFactor !== settings.driftFactor
    ) {
      const properties = { retryCount, retryDelay, retryJitter, driftFactor };
      settings = readProperties(properties, this.#profile.defaults, this.#warn, this.#profile.hasWishes);
      this.#settings = settings;
    }
    if (typeof options !== 'object' || options === null) return { settings: own ?? settings };
    const others = this.#profile.hasWishes ? NAMES : undefined;
    return readCallOptions(own ?? settings, options, this.#warn, others, isStrict);
  }

  #warn = (/** @type {string} */ message) => {
    if (this.#warnings.has(message) || this.#warnings.size >= MOST_WARNINGS) return;
    this.#warnings.add(message);
    this.#profile.warn(message);
  };
}

/**
 * What to do about a request once nobody waits for it.
 *
 * @param {Cancellation | undefined} cancellation of it
 * @param {Engine} engine
 * @param {string[]} names
 * @param {Settings} settings
 * @param {string} [value] that it is asked for with, if it isn't the engine's
 * @returns {import('./giving-up').Giving<Answer>}
 */
function giveBack(cancellation, engine, names, settings, value) {
  return {
    cancel: () => cancellation?.cancel(),
    discard(answer) {
      if (!answer.failure) engine.unlock(names, value ?? answer.value, answer.since, settings, false);
    },
  };
}

/** @param {Settings} settings */
function onceOf({ driftFactor, retryDelay, retryJitter }) {
  return new Settings(driftFactor, 0, retryDelay, retryJitter);
}

/** @param {import('./native').NativeVote} vote */
function isCast({ vote }) {
  return vote !== 'pending';
}

/**
 * Whether a function says how long to wait.
 *
 * @param {Settings} settings
 */
function isPacedByCaller({ retries, retryDelay }) {
  return typeof retryDelay === 'function' && retries !== 0;
}

/**
 * Lets `expiration` tell a lock's end as it moves, until somebody sets it.
 *
 * @param {any} lock
 * @param {Keep} keep
 */
function followEnd(lock, keep) {
  const follows = bare({
    configurable: true,
    enumerable: true,
    get() {
      const left = keep.until - clock();
      return left > 0 ? Math.floor(Date.now() + left) : 0;
    },
    set(/** @type {unknown} */ value) {
      Reflect.defineProperty(lock, 'expiration', {
        configurable: true,
        enumerable: true,
        writable: true,
        value,
      });
    },
  });
  // One that is frozen goes on showing the end it had.
  Reflect.defineProperty(lock, 'expiration', follows);
}

/**
 * @param {Term} term
 * @param {LockRecord} record
 */
function isPast(term, { expiration }) {
  const until = term.deadline(expiration);
  return until !== undefined && until < clock();
}

/** In ms; a hundred years. */
const FOR_EVER = 3.2e12;

/**
 * In redlock's own words, where it has some.
 *
 * @param {string} code
 * @param {string[]} names
 * @param {Settings} settings
 * @param {import('./wishes').Wishes | undefined} wishes
 */
function refusal(code, names, settings, wishes) {
  if (code === 'ERR_REDLOCK_TIMEOUT') {
    return `Gave up waiting for the resource "${names}" after ${wishes?.maxWait} ms.`;
  }
  if (code === 'ERR_REDLOCK_CLOSED') {
    return `Cannot lock resource "${names}": this Redlock was closed with quit().`;
  }
  return wishes?.isTry ? `Could not lock the resource "${names}" in one attempt.` : exceeded(settings, names);
}

const OWN_SCRIPTS = defaultScripts();

/** A face's own `_random`. The engine's values are like its; one that is put in its place is asked for them. */
function random() {
  return randomBytes(16).toString('hex');
}

/** @param {import('./scripts').ScriptSet} scripts */
function textsOf({ lockScript, unlockScript, extendScript }) {
  return [lockScript.value, unlockScript.value, extendScript.value];
}

/**
 * A script whose reply counts if there is something in it, as JavaScript sees it, as one that answers the
 * number of keys.
 *
 * @param {string} text
 */
function countTruth(text) {
  return `local reply = (function(...)
${text}
end)()
if type(reply) == 'table' and reply.err then return reply end
if not reply or reply == 0 or reply == '' then return 0 end
return #KEYS`;
}

/** @param {number} [index] */
function unreadable(index) {
  const what = index === undefined ? 'instances' : `instances[${index}]`;
  return wrongType('INSTANCES', `${what} can't be read: reading it throws`);
}

/** @param {{kind: string}[]} instances */
function refuseInMemory(instances) {
  const index = instances.findIndex(({ kind }) => kind === 'memory');
  if (index === -1) return;
  throw outOfRange('OPTIONS', `instances[${index}] is in this process, where Lua scripts can't be run`);
}

/** Of one Locker, for what its methods are called with. */
const MOST_WARNINGS = 100;

/** After these another attempt may do better. */
const RETRIED = ['ERR_REDLOCK_HELD', 'ERR_REDLOCK_UNAVAILABLE'];

/** Of a lock that doesn't say until when it is valid, the servers know: the longest time there is, in ms. */
const LONGEST = 2 * 8.64e15;

const TOO_LATE = { code: 'ERR_REDLOCK_TOO_SLOW', reason: 'it was over when it arrived', votes: [] };

const EXPIRED = { code: 'ERR_REDLOCK_EXPIRED', reason: 'it has expired', votes: [] };
const UNLOCKED = { code: 'ERR_REDLOCK_NOT_HELD', reason: 'it was unlocked', votes: [] };

/**
 * @param {any} lock
 * @param {number} attempts
 * @param {Settings} settings
 */
function count(lock, attempts, { retryCount }) {
  if (Object.hasOwn(lock, 'attempts')) lock.attempts = attempts;
  if (Object.hasOwn(lock, 'attemptsRemaining')) lock.attemptsRemaining = retryCount - attempts;
}

/**
 * @param {Settings} settings
 * @param {readonly string[]} names
 */
function exceeded({ retryCount }, names) {
  return `Exceeded ${retryCount} attempts to lock the resource "${names}".`;
}

/** @param {readonly string[]} names */
function unreleased(names) {
  return `Unable to fully release the lock on resource "${names}".`;
}

/** @param {readonly string[]} names */
function expired(names) {
  return `Cannot extend lock on resource "${names}" because the lock has already expired.`;
}

module.exports = { Locker, random };
