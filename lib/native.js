'use strict';

/**
 * JavaScript's side of the hand-over (docs/hand-over.md): a tick's requests go to native in one call,
 * its answers come back in batches. A request costs one slot, which is an integer, and one promise.
 */

const { useOwnScripts } = require('./bridge');
const { Connections } = require('./connections');
const { Context, NO_CONTEXT, contextOf, enter, leave, leaveAll } = require('./context');
const { ConnectionError, troubleOf, outOfRange } = require('./errors');
const { LookAlikes } = require('./look-alikes');
const { box, currentBox, rest, onWake, whenIdle, isIdle } = require('./mailbox');
const { after, timeHasCome, stayAwake, soon, call, clock, defaultScripts } = require('./mailbox');
const { Redactor, secretsIn } = require('./redact');

// As it was when this was loaded: see `awaitImmediates`.
const { setImmediate, clearImmediate } = require('node:timers');

/**
 * @typedef {import('./errors').Trouble} Trouble what an instance failed with
 * @typedef {{vote: 'granted' | 'held' | 'failed' | 'pending', applied?: number} & Partial<Trouble>} NativeVote held
 *   by another: how many of the keys it was applied to
 * @typedef {{code: string, reason: string, votes: NativeVote[], suspicion?: string, occupant?: string, locks?: Unreleased[]}} NativeFailure
 *   suspicion: which members look like one server, if that may be why; occupant: what a key has that is no lock's;
 *   locks: those that could not be released
 * @typedef {NativeFailure & {resource: string[]}} Unreleased
 * @typedef {Trouble & {event: 'clientError', handle: number, instance: number, operation: string}} ClientErrorEvent
 * @typedef {Partial<Trouble> & {event: 'connection', handle: number, instance: number, state: import('./connections').State}} ConnectionEvent
 * @typedef {{event: 'lookAlikes', handle: number, instance: number, other: number, sole: boolean}} LookAlikesEvent
 * @typedef {{event: 'route', handle: number, instance: number, why: string | null, failed: boolean}} RouteEvent
 * @typedef {{event: 'closed', handle: number}} ClosedEvent
 * @typedef {{event: 'call', handle: number, instance: number}} CallEvent
 * @typedef {{event: 'ballots', handle: number, number: number, attempt: number, votes: NativeVote[]}} BallotsEvent
 * @typedef {(attempt: number, votes: NativeVote[]) => void} BallotsListener
 * @typedef {NativeFailure & {event: 'lost', handle: number, number: number}} LostEvent
 * @typedef {LostEvent | BallotsEvent | ClientErrorEvent | ConnectionEvent | LookAlikesEvent | RouteEvent | CallEvent | ClosedEvent} NativeEvent
 * @typedef {import('./bridge').Errand & {handle: number, instance: number}} NativeErrand
 * @typedef {import('../binding').Mailbox} Mailbox
 * @typedef {import('./bridge').Bridge} Bridge
 * @typedef {{emit?: (event: string, ...args: any[]) => boolean}} Owner redlock 0.x's class has no events
 * @typedef {{acquire?: string, extend?: string, release?: string}} Scripts a caller's own; ours where there is none
 */

// Operations.
const LOCK = 0;
const EXTEND = 1;
const UNLOCK = 2;
const INSPECT = 3;
const WAIT = 4;
const UNLOCK_ALL = 5;

/** What a request names that is about no resource. */
const NO_NAMES = ['*'];

// Flags of a request.
const REPORT = 1;
const RELATIVE = 2;
const LOOK = 4;
const AGAIN = 8;

/** How long requests have to come to an end once the engine is closing, in ms. */
const LONGEST_END = 2000;

/** However long it takes. */
const NO_LIMIT = -1;

/** The votes aren't wanted one by one. */
const NO_SHEET = 0;

/** The engine's own scripts, not a caller's. */
const OWN_SCRIPTS = 0;

// Kinds of answers.
const LOCKED = 1;
const FAILED = 3;
const EVENT = 4;
const ERRAND = 5;
const INSPECTED = 6;
const TIME = 7;
const CONTEXT_ENDED = 8;

const REQUEST_NUMBERS = 16;
const CONTEXT_AT = 14;
const COUNT_AT = 15;
const ANSWER_NUMBERS = 6;
const VALUE_LENGTH = 32;

/** How many answers one drain has room for. */
const ROOM = 1024;

/** By handle. An engine does not keep its Redlock alive. @type {Map<number, Engine>} */
const engines = new Map();

const abandoned = new FinalizationRegistry((/** @type {Engine} */ engine) => engine.close());

/** In which context each owner was made: its events are told there. @type {WeakMap<Owner, Context>} */
const makers = new WeakMap();

/** A quorum that native has opened. */
class Engine {
  #box;
  #handle;
  /** @type {WeakRef<Owner>} */
  #owner;
  #connections;
  #lookAlikes;
  #redactor;
  /** The caller's clients, by their place. @type {(Bridge | undefined)[]} */
  #bridges;
  /** Each of them once. @type {Bridge[]} */
  #clients;
  /** Whether its answers reach their callers through promises of another library, which tell in an event of their own. */
  isHeardLate = false;
  /** What native knows the caller's scripts by. */
  #scripts = OWN_SCRIPTS;
  #inFlight = 0;
  /** Who is told of a request's votes, by number. @type {Map<number, BallotsListener>} */
  #sheets = new Map();
  #lastSheet = NO_SHEET;
  /** Locks that are kept, by number. @type {Map<number, WeakRef<import('./keep').Keep>>} */
  #keeps = new Map();
  /** @type {Promise<void> | undefined} */
  #closing;
  /** What is to be asked last. @type {(() => void) | undefined} */
  #parting;
  /** Whether native has let go of it. */
  #isGone = false;
  /** @type {() => void} */
  #closed = () => {};
  /** Nothing may end the process, or the vigil, before it has closed. @type {() => void} */
  #endVigil = () => {};

  /**
   * @param {Owner} owner emits this engine's events; the engine is closed when it is collected
   * @param {import('./members').Member[]} members whose configurations are as docs/hand-over.md has them. They
   *   are not kept: they have passwords.
   * @param {object} patience
   */
  constructor(owner, members, patience) {
    const instances = members.map(({ config }) => config);
    const redactor = new Redactor(secretsIn(instances));
    this.#box = box();
    const { handle, addresses } = open(this.#box, { instances, patience }, redactor);
    this.#handle = handle;
    if (!makers.has(owner)) makers.set(owner, new Context());
    this.#owner = new WeakRef(owner);
    this.addresses = addresses;
    this.#bridges = members.map(({ bridge }) => bridge);
    this.#clients = [...new Set(this.#bridges)].filter((bridge) => bridge !== undefined);
    this.#redactor = redactor;
    this.#connections = new Connections(addresses, members);
    this.#lookAlikes = new LookAlikes(addresses);
    engines.set(handle, this);
    abandoned.register(owner, this, this);
    for (const bridge of this.#clients) this.#begin(bridge);
  }

  /** @param {Bridge} bridge */
  #begin(bridge) {
    const place = this.#bridges.indexOf(bridge);
    try {
      bridge.begin(lineTo(this.#box, this.#handle, place), `instances[${place}]`);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** How the connections are now. */
  get connections() {
    return this.#connections.list();
  }

  /**
   * What is to be said of members that look like one server, where that may be why a lock was not had.
   *
   * @param {NativeVote[]} votes
   */
  suspicion(votes) {
    return this.#lookAlikes.suspicion(votes);
  }

  /** Looks whether the callers' clients lead elsewhere by now. To be called before each request. */
  look() {
    const clients = this.#clients;
    for (let at = 0; at < clients.length; at++) clients[at].look();
  }

  /** @param {Scripts} given in place of our own, from now on */
  useScripts(given) {
    // One that is absent is ours, and not what was left in `Object.prototype`.
    const scripts = Object.assign(Object.create(null), given);
    const isOwn =
      scripts.acquire === undefined && scripts.extend === undefined && scripts.release === undefined;
    this.#scripts = isOwn ? OWN_SCRIPTS : learn(scripts);
    forgetScripts();
  }

  /** By what native knows them. */
  get scripts() {
    return this.#scripts;
  }

  get isClosed() {
    return this.#closing !== undefined;
  }

  /**
   * @param {readonly string[]} resources
   * @param {number} ttl
   * @param {import('./options').Settings} settings
   * @param {boolean} report whether instances' failures are wanted as events
   * @param {string} [value] one of the caller's own, which allows one attempt only
   * @param {number} [sheet] from `countBallots`
   * @param {number} [maxWait] how long to wait for it altogether, in ms
   * @param {number} [wishes] `LOOK`: it is worth a look what the key has, if the last attempt finds it held; `AGAIN`: this
   *   is not the first request for the same lock
   * @param {Cancellation} [cancellation] where the caller may give the request up
   * @returns {Promise<Answer>} which is never rejected
   */
  lock(
    resources,
    ttl,
    settings,
    report,
    value = '',
    sheet = NO_SHEET,
    maxWait = NO_LIMIT,
    wishes = 0,
    cancellation = undefined,
  ) {
    const flags = (report ? REPORT : 0) | wishes;
    return this.#request(LOCK, flags, ttl, settings, 0, value, resources, sheet, maxWait, cancellation);
  }

  /**
   * What each instance says of a resource's key.
   *
   * @param {string} resource
   * @param {import('./options').Settings} settings
   * @returns {Promise<Answer>} with the votes; never rejected
   */
  inspect(resource, settings) {
    return this.#request(INSPECT, 0, 0, settings, 0, '', [resource], NO_SHEET, NO_LIMIT);
  }

  /**
   * Time on the engine's clock, which no fake timers stop. It ends early, as a failure, if the engine is closed.
   *
   * @param {number} ms
   * @param {import('./options').Settings} settings
   * @param {Cancellation} [cancellation] where the caller may give the request up
   * @returns {Promise<Answer>} which is never rejected
   */
  wait(ms, settings, cancellation) {
    return this.#request(WAIT, 0, 0, settings, ms, '', NO_NAMES, NO_SHEET, NO_LIMIT, cancellation);
  }

  /**
   * Keeps a lock: extends it, if asked to, and has its loss told.
   *
   * @param {import('./keep').Keep} keep
   * @param {number} number its own
   * @param {number[]} terms as docs/hand-over.md has them
   * @param {string} value
   * @param {readonly string[]} resources
   */
  keep(keep, number, terms, value, resources) {
    if (engines.get(this.#handle) === this) this.#keeps.set(number, new WeakRef(keep));
    // What was asked for before, as its unlocking, comes before.
    flush();
    const context = this.#enter();
    const numbers = Float64Array.from(terms);
    this.#box.keep(this.#handle, number, this.#scripts, context, numbers, value, [...resources]);
    // Native has let go of it already: nobody else watches it.
    if (engines.get(this.#handle) !== this) keep.orphan();
  }

  /** @param {number} number of a keep */
  letGo(number) {
    this.#keeps.delete(number);
    this.#box.letGo(number);
  }

  /**
   * Until when the lock kept under this number may be believed in, on the engine's clock; 0 once it is released,
   * or lost before its time.
   *
   * @param {number} number
   */
  keptUntil(number) {
    return this.#box.until(number);
  }

  /**
   * @param {readonly string[]} resources
   * @param {string} value
   * @param {number} until when the lock's validity ends: on the engine's clock, or, if `relative`, in ms from now
   * @param {boolean} relative
   * @param {number} ttl
   * @param {import('./options').Settings} settings
   * @param {boolean} report
   * @param {number} [sheet] from `countBallots`
   * @returns {Promise<Answer>} which is never rejected
   */
  extend(resources, value, until, relative, ttl, settings, report, sheet = NO_SHEET) {
    const flags = (report ? REPORT : 0) | (relative ? RELATIVE : 0);
    return this.#request(EXTEND, flags, ttl, settings, until, value, resources, sheet, NO_LIMIT);
  }

  /**
   * @param {readonly string[]} resources
   * @param {string} value
   * @param {number} since the lock can't have been held before, on the engine's clock; 0 = unknown
   * @param {import('./options').Settings} settings
   * @param {boolean} report
   * @param {number} [sheet] from `countBallots`
   * @returns {Promise<Answer>} which is never rejected
   */
  unlock(resources, value, since, settings, report, sheet = NO_SHEET) {
    const flags = report ? REPORT : 0;
    return this.#request(UNLOCK, flags, 0, settings, since, value, resources, sheet, NO_LIMIT);
  }

  /**
   * Has a request's votes told, attempt by attempt, once all of them are in.
   *
   * @param {BallotsListener} listener
   * @returns {number} to be given with the request
   */
  countBallots(listener) {
    this.#lastSheet = (this.#lastSheet + 1) % 2 ** 32 || 1;
    this.#sheets.set(this.#lastSheet, listener);
    return this.#lastSheet;
  }

  /** @param {number} sheet nothing is to be told any more */
  endBallots(sheet) {
    this.#sheets.delete(sheet);
  }

  /**
   * Closes it, and has everything released that it has handed over and that is held still. What else is in flight is
   * given up, but for unlocks.
   *
   * @param {import('./options').Settings} settings
   * @param {boolean} report
   * @returns {Promise<Unreleased[]>} what could not be released
   */
  part(settings, report) {
    return new Promise((resolve) => {
      this.#parting = async () => {
        const asked = this.#request(
          UNLOCK_ALL,
          report ? REPORT : 0,
          0,
          settings,
          0,
          '',
          NO_NAMES,
          NO_SHEET,
          NO_LIMIT,
        );
        const answer = await asked;
        for (const number of [...this.#keeps.keys()]) this.letGo(number);
        resolve(answer.failure?.locks ?? []);
      };
      for (const keep of this.#keeps.values()) keep.deref()?.lose(CLOSED, false);
      this.close();
      this.#giveUp();
    });
  }

  /** Resolves once what is in flight has been answered, and, where callers' clients carry it, all has come to an end. */
  close() {
    this.#closing ??= this.#close();
    return this.#closing;
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
    else this.#endVigil = after(LONGEST_END, () => this.#giveUp());
    return closed;
  }

  #giveUp() {
    flush();
    asking.forEach((engine, slot) => {
      if (engine === this) this.#box.cancel(slot);
    });
  }

  /** Native lets go of it only now that nothing is in flight. */
  #leave() {
    const last = this.#parting;
    this.#parting = undefined;
    if (last) {
      last();
      return;
    }
    this.#isGone = true;
    this.#endVigil();
    this.#box.close(this.#handle);
    if (this.#clients.length === 0) this.#left();
    // Clients are still asked to release what was granted late: native says when that is over. Nothing else
    // may keep the process until then.
    else this.#endVigil = stayAwake();
  }

  #left() {
    engines.delete(this.#handle);
    for (const bridge of this.#clients) bridge.end();
    // Nothing is told any more: who keeps a lock has to look by himself.
    for (const keep of this.#keeps.values()) keep.deref()?.orphan();
    this.#keeps.clear();
    this.#endVigil();
    this.#closed();
    restIfIdle();
  }

  /**
   * The context of whoever asks, where something of the caller's may be asked for him.
   *
   * @returns {number}
   */
  #enter() {
    return this.#clients.length === 0 ? NO_CONTEXT : enter();
  }

  /**
   * @param {number} operation
   * @param {number} flags
   * @param {number} ttl
   * @param {import('./options').Settings} settings
   * @param {number} instant
   * @param {string} value
   * @param {readonly string[]} resources
   * @param {number} sheet
   * @param {number} maxWait
   * @param {Cancellation} [cancellation]
   * @returns {Promise<Answer>}
   */
  #request(operation, flags, ttl, settings, instant, value, resources, sheet, maxWait, cancellation) {
    const count = resources.length;
    // Everything is looked at before the row is begun: half a row would shift what others ask for.
    const words = wordsOf(value, resources);
    if (words === undefined) return refused('INVALID', 'its names or its value are no text that can be sent');
    // Whoever waited between two attempts: native knows this engine no more.
    if (this.#isGone) return refused('CLOSED', 'this Redlock was closed with quit()');
    let at = reserve(REQUEST_NUMBERS + count, words.length);
    const slot = takeSlot();
    const row = numbers;
    row[at] = slot;
    row[at + 1] = this.#handle;
    row[at + 2] = operation;
    row[at + 3] = flags;
    row[at + 4] = ttl;
    row[at + 5] = settings.retries;
    row[at + 6] = settings.delay;
    row[at + 7] = settings.retryJitter;
    row[at + 8] = settings.driftFactor;
    row[at + 9] = instant;
    row[at + 10] = value.length;
    row[at + 11] = this.#scripts;
    row[at + 12] = sheet;
    row[at + 13] = maxWait;
    row[at + CONTEXT_AT] = this.#enter();
    row[at + COUNT_AT] = count;
    at += REQUEST_NUMBERS;
    for (let i = 0; i < count; i++) row[at + i] = resources[i].length;
    text += words;

    this.#inFlight += 1;
    asking[slot] = this;
    const promise = /** @type {Promise<Answer>} */ (new Promise(capture));
    settling[slot] = captured;
    cancellation?.watch(this.#box, slot, captured);
    return promise;
  }

  /**
   * What instances, and native for them, have said in words is without secrets from then on.
   *
   * @param {{reason?: string, votes?: (Partial<Trouble> & {value?: unknown})[], locks?: any[]} & Partial<Trouble>} told
   */
  clean(told) {
    const redactor = this.#redactor;
    // They may have been changed since.
    for (const bridge of this.#clients) redactor.add(bridge.secrets);
    cleanTexts(told, redactor);
    if (hasText(told, 'reason')) told.reason = redactor.clean(told.reason);
    if (Object.hasOwn(told, 'votes')) {
      for (const vote of told.votes ?? []) {
        cleanTexts(vote, redactor);
        if (hasText(vote, 'value')) vote.value = redactor.mask(vote.value);
      }
    }
    if (Object.hasOwn(told, 'locks')) for (const lock of told.locks ?? []) this.clean(lock);
  }

  /** One request has been answered. */
  answered() {
    this.#inFlight -= 1;
    if (this.#inFlight === 0 && this.#closing !== undefined) this.#leave();
  }

  /**
   * Tells the owner's listeners, in the context in which it was made.
   *
   * @param {string} event
   * @param {...unknown} args
   */
  tell(event, ...args) {
    const owner = this.#owner.deref();
    if (owner?.emit === undefined) return;
    const emit = () => owner.emit?.(event, ...args);
    makers.get(owner)?.runInAsyncScope(call, undefined, emit);
  }

  /** @param {NativeEvent} event */
  emit(event) {
    this.clean(/** @type {any} */ (event));
    switch (event.event) {
      case 'clientError': {
        const { operation, instance } = event;
        const address = this.addresses[instance];
        const error = troubleOf(event, operation, instance, address);
        this.tell('clientError', error, { index: instance, address });
        break;
      }
      case 'connection': {
        const { instance, state, code, reply, message } = event;
        const trouble = code === undefined ? undefined : { code, reply, message: String(message) };
        const bridge = this.#bridges[instance];
        if (bridge) {
          const error = trouble && new ConnectionError(trouble, instance, this.addresses[instance]);
          if (bridge.connectionIs(state, error)) this.tell('connection', this.#connections.at(instance));
          break;
        }
        const connection = this.#connections.change(instance, state, trouble);
        if (connection) this.tell('connection', connection);
        break;
      }
      case 'lookAlikes':
        this.#lookAlikes.note(event);
        break;
      case 'route': {
        const bridge = this.#bridges[event.instance];
        const why = event.why === null ? null : this.#redactor.clean(event.why);
        const isChanged = bridge?.reroute(why, event.failed);
        if (isChanged || event.failed) this.#tellOfRoute(bridge);
        break;
      }
      case 'lost': {
        const keep = this.#keeps.get(event.number)?.deref();
        this.letGo(event.number);
        keep?.lose(event);
        break;
      }
      case 'ballots':
        this.#sheets.get(event.number)?.(event.attempt, event.votes);
        break;
      case 'call': {
        const { instance } = event;
        // Once what the client has heard meanwhile has come up; or in a while, where immediates are a test's.
        const tell = () => {
          forget();
          clearImmediate(first);
          this.#box.cameRound(this.#handle, instance);
        };
        const forget = after(LOST_AFTER, tell);
        let first = setImmediate(() => {
          first = setImmediate(tell);
        });
        break;
      }
      case 'closed':
        this.#left();
    }
  }

  /** @param {Bridge | undefined} bridge at one or several places */
  #tellOfRoute(bridge) {
    this.#bridges.forEach((other, place) => {
      if (other === bridge) this.tell('connection', this.#connections.at(place));
    });
  }

  /** @param {NativeErrand} errand */
  run(errand) {
    const bridge = this.#bridges[errand.instance];
    const context = contextOf(errand.context);
    if (context) context.runInAsyncScope(/** @type {Bridge} */ (bridge).run, bridge, errand);
    else bridge?.refuse(errand);
  }
}

/**
 * @param {Partial<Trouble>} told
 * @param {Redactor} redactor
 */
function cleanTexts(told, redactor) {
  if (hasText(told, 'message')) told.message = redactor.clean(told.message);
  if (hasText(told, 'reply')) told.reply = redactor.clean(told.reply);
}

/**
 * Whether it says something there itself: what is in `Object.prototype` by now must not become its own.
 *
 * @template {string} K
 * @param {object} told
 * @param {K} key
 * @returns {told is Record<K, string>}
 */
function hasText(told, key) {
  return Object.hasOwn(told, key) && typeof (/** @type {any} */ (told)[key]) === 'string';
}

/**
 * @param {Mailbox} mailbox
 * @param {object} config
 * @param {Redactor} redactor
 */
function open(mailbox, config, redactor) {
  try {
    return mailbox.open(JSON.stringify(config));
  } catch (error) {
    // Certificates and keys are read there; its texts show none.
    const { code, message } = /** @type {Error & {code?: string}} */ (error);
    throw code === 'InvalidArg' ? outOfRange('INSTANCE', redactor.clean(message)) : error;
  }
}

/**
 * @param {Mailbox} box
 * @param {number} handle
 * @param {number} place
 * @returns {import('./bridge').Line}
 */
function lineTo(box, handle, place) {
  return {
    amend: (server, keep) => box.amend(handle, place, server, keep),
    applied: (ticket, keys) => bring(box, handle, place, ticket, keys),
    seen: (ticket, value, ttl) => box.seen(handle, place, ticket, value, ttl),
    unexpected: (ticket, what) => box.unexpected(handle, place, ticket, what),
    failed: (ticket, error, code, message) => box.failed(handle, place, ticket, error, code, message),
  };
}

/** What callers' clients came back with in this tick. @type {number[]} */
let brought = [];
/** Who is told. @type {Mailbox | undefined} */
let broughtTo;

/**
 * @param {Mailbox} box perhaps one that rests by now
 * @param {number} handle
 * @param {number} place
 * @param {number} ticket
 * @param {number} keys
 */
function bring(box, handle, place, ticket, keys) {
  if (box !== broughtTo) bringAll();
  broughtTo = box;
  if (brought.length === 0) soon(bringAll);
  brought.push(handle, place, ticket, keys);
}

function bringAll() {
  if (brought.length === 0) return;
  const answers = Float64Array.from(brought);
  brought = [];
  broughtTo?.applied(answers);
  broughtTo = undefined;
}

/**
 * What native knows a set of scripts by; it is told of each once, until it is forgotten.
 *
 * @param {Scripts} scripts
 */
function learn({ acquire, extend, release }) {
  const key = JSON.stringify([acquire, extend, release]);
  const number = learned.get(key) ?? box().learn(acquire, extend, release);
  // The last one is the one that was used last.
  learned.delete(key);
  learned.set(key, number);
  return number;
}

/**
 * Whoever changes scripts with each call must not fill the memory. Those that an engine uses stay.
 */
function forgetScripts() {
  if (learned.size <= MOST_LEARNED) return;
  const used = new Set([...engines.values()].map((engine) => engine.scripts));
  for (const [key, number] of learned) {
    if (learned.size <= MOST_LEARNED) break;
    if (used.has(number)) continue;
    learned.delete(key);
    // What was asked with them comes before.
    flush();
    box().forget(number);
  }
}

/** By their texts, in the order of their use. @type {Map<string, number>} */
const learned = new Map();

/** How many sets of scripts are remembered, beside those that are in use. */
const MOST_LEARNED = 100;

/** @type {NativeFailure} */
const CLOSED = { code: 'ERR_REDLOCK_CLOSED', reason: 'quit() has released it', votes: [] };

const NOT_CARRIED_OUT = ['ERR_REDLOCK_CLOSED', 'ERR_REDLOCK_INVALID', 'ERR_REDLOCK_INTERNAL'];

/** What came of a request. */
class Answer {
  /**
   * @param {number} kind
   * @param {number} attempts
   * @param {number} expiration until when the lock may be believed in, as `Date.now()` counts; 0 = not at all
   * @param {number} until the same on the engine's clock
   * @param {number} since locked: since when it may have been held, on the engine's clock
   * @param {string} value locked: what it is stored under
   * @param {NativeFailure | undefined} failure
   */
  constructor(kind, attempts, expiration, until, since, value, failure) {
    this.kind = kind;
    this.attempts = attempts;
    this.expiration = expiration;
    this.until = until;
    this.since = since;
    this.value = value;
    this.failure = failure;
  }

  /** Whether what was granted is over: to be asked where it is handed over, whenever that is. */
  get isOver() {
    return this.until <= clock();
  }

  /** It came too late to be believed in. */
  letEnd() {
    this.until = 0;
    this.expiration = 0;
  }

  /** Whether an extension came so far that this says something of the lock's validity. */
  get isCarriedOut() {
    return this.failure === undefined || !NOT_CARRIED_OUT.includes(this.failure.code);
  }
}

// ---- requests on their way in

/** A tick's requests; a batch that outgrows it goes out early. */
let numbers = new Float64Array(16_384);
let used = 0;
let requests = 0;
let text = '';

/** Far below the length at which a string can't be made. */
const LONG_TEXT = 2 ** 24;

/**
 * The text of a row. Callers have looked at what it is made of; a fault of theirs ends here.
 *
 * @param {unknown} value
 * @param {readonly unknown[]} resources
 * @returns {string | undefined} nothing where there is something that can't be written
 */
function wordsOf(value, resources) {
  const count = resources.length;
  if (typeof value !== 'string' || count === 0) return undefined;
  for (let i = 0; i < count; i++) if (typeof resources[i] !== 'string') return undefined;
  try {
    return count === 1 ? value + resources[0] : value + resources.join('');
  } catch {
    // No string can be that long.
    return undefined;
  }
}

/**
 * The answer to a request that native is not asked.
 *
 * @param {string} code
 * @param {string} reason
 */
function refused(code, reason) {
  const failure = { code: `ERR_REDLOCK_${code}`, reason, votes: [] };
  return Promise.resolve(new Answer(FAILED, 0, 0, 0, 0, '', failure));
}

/**
 * Room for one request.
 *
 * @param {number} size in numbers
 * @param {number} length of its text
 */
function reserve(size, length) {
  if (used + size > numbers.length || text.length + length > LONG_TEXT) {
    flush();
    if (size > numbers.length) numbers = new Float64Array(size);
  }
  if (requests === 0) soon(flushInTime);
  const at = used;
  used += size;
  requests += 1;
  return at;
}

/** What is asked for at the turns of several answers goes out together. */
function flushInTime() {
  if (!isTurning) flush();
}

function flush() {
  if (requests === 0) return;
  const batch = numbers.subarray(0, used);
  const count = requests;
  const words = text;
  used = 0;
  requests = 0;
  text = '';
  try {
    box().submit(batch, count, words);
  } catch (error) {
    refuseAll(batch, error);
  }
}

/**
 * Answers requests that could not be handed over.
 *
 * @param {Float64Array} batch
 * @param {any} error
 */
function refuseAll(batch, error) {
  const failure = {
    code: 'ERR_REDLOCK_INTERNAL',
    reason: `it could not be handed over: ${error.message}`,
    votes: [],
  };
  for (let at = 0; at < batch.length; at += REQUEST_NUMBERS + batch[at + COUNT_AT]) {
    leave(batch[at + CONTEXT_AT]);
    settle(batch[at], new Answer(FAILED, 0, 0, 0, 0, '', failure));
  }
}

// ---- slots

/** What to call with the answer, by slot. @type {(((answer: Answer) => void) | undefined)[]} */
const settling = [];
/** Whose request it is, by slot. @type {(Engine | undefined)[]} */
const asking = [];
/** @type {number[]} */
const free = [];

function takeSlot() {
  const slot = free.pop();
  return slot === undefined ? settling.length : slot;
}

// One executor for all promises, instead of a closure for each.
/** @type {(answer: Answer) => void} */
let captured;

/** @param {(answer: Answer) => void} resolve */
function capture(resolve) {
  captured = resolve;
}

/** A way to give up one request, for whoever passes it along. It is answered all the same, perhaps with what it wanted. */
class Cancellation {
  /** Where it was asked; undefined where native was not. @type {Mailbox | undefined} */
  #box;
  #slot = 0;
  /** @type {((answer: Answer) => void) | undefined} */
  #waiting;

  /**
   * The request was made.
   *
   * @param {Mailbox} box
   * @param {number} slot
   * @param {(answer: Answer) => void} waiting what is called with its answer: the slot is another's once it is not there
   */
  watch(box, slot, waiting) {
    this.#box = box;
    this.#slot = slot;
    this.#waiting = waiting;
  }

  cancel() {
    const slot = this.#slot;
    if (this.#waiting === undefined || settling[slot] !== this.#waiting) return;
    // It may not have been handed over yet.
    flush();
    this.#box?.cancel(slot);
  }
}

// ---- answers on their way out

/** @type {Float64Array} */
let answers;
/** @type {Buffer & {latin1Slice(start: number, end: number): string}} */
let values;

/** @type {(NativeFailure | NativeEvent | NativeErrand)[]} */
const NO_DETAILS = [];

/** @type {NativeFailure} */
const UNEXPLAINED = { code: 'ERR_REDLOCK_INTERNAL', reason: 'the engine gave no reason', votes: [] };

/**
 * Native calls it when there is something to drain, and for each answer that has a turn of its own: whatever one
 * call has set off is done before the next.
 */
function awake() {
  if (called > 0) called -= 1;
  if (isTurning && !isLate) takeTurn();
  else drain();
  askForTurns();
}

function askForTurns() {
  if (!isTurning || isLate || called > 0) return;
  // One more for a drain, before which nothing but this keeps the process.
  called = (turns.length - turn) / 2 + 1;
  currentBox()?.wakeAgain(called);
}

onWake(awake);

/** Takes all answers there are. */
function drain() {
  const mailbox = currentBox();
  if (mailbox === undefined) return;
  answers ??= new Float64Array(1 + ROOM * ANSWER_NUMBERS);
  values ??= /** @type {typeof values} */ (Buffer.alloc(ROOM * VALUE_LENGTH));
  let count = ROOM;
  while (count === ROOM) {
    // Before native looks at its own clock: a lock may end earlier than it says, but not later.
    const now = Date.now();
    const json = mailbox.drain(answers, values);
    const details = json === null ? NO_DETAILS : parse(json);
    count = answers[0];
    deliver(count, details, now);
  }
  if (turns.length > 0 && !isTurning) {
    isTurning = true;
    takeTurn();
  }
}

/**
 * Many of its properties may be absent, and must not be found in `Object.prototype` then.
 *
 * @param {string} json
 * @returns {(NativeFailure | NativeEvent | NativeErrand)[]}
 */
function parse(json) {
  // Looks for whatever somebody has put there, which is nothing nearly always.
  for (const _ in {}) return JSON.parse(json, (_key, value) => withoutPrototype(value));
  return JSON.parse(json);
}

/** @param {any} value */
function withoutPrototype(value) {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isObject ? Object.setPrototypeOf(value, null) : value;
}

/**
 * @param {number} count
 * @param {(NativeFailure | NativeEvent | NativeErrand)[]} details
 * @param {number} now as `Date.now()` counts
 */
function deliver(count, details, now) {
  let valueAt = 0;
  for (let row = 0, at = 1; row < count; row++, at += ANSWER_NUMBERS) {
    const kind = answers[at + 1];
    const left = answers[at + 3];
    const last = answers[at + 5];
    let value = '';
    let since = 0;
    /** @type {NativeFailure | undefined} */
    let failure;
    if (kind === LOCKED) {
      value = values.latin1Slice(valueAt, valueAt + VALUE_LENGTH);
      valueAt += VALUE_LENGTH;
      since = last;
    } else if (kind === FAILED || kind === INSPECTED) {
      failure = /** @type {NativeFailure | undefined} */ (details[last]) ?? UNEXPLAINED;
    } else if (kind === EVENT) {
      emit(/** @type {NativeEvent} */ (details[last]));
      continue;
    } else if (kind === ERRAND) {
      const errand = /** @type {NativeErrand} */ (details[last]);
      engines.get(errand.handle)?.run(errand);
      continue;
    } else if (kind === TIME) {
      timeHasCome(answers[at]);
      restIfIdle();
      continue;
    } else if (kind === CONTEXT_ENDED) {
      leave(answers[at]);
      continue;
    }
    const expiration = left > 0 ? Math.floor(now + left) : 0;
    const answer = new Answer(kind, answers[at + 2], expiration, answers[at + 4], since, value, failure);
    if (answer.until > 0 || kind === INSPECTED) turns.push(answers[at], answer);
    else settle(answers[at], answer);
  }
}

// ---- answers that say until when something is valid

/**
 * Those whose turn has not come: each slot, and its answer. They are settled one after the other, each only once all
 * that the one before has set off is done. Whoever is told first may keep the thread busy for long, and those after
 * him must be looked at after that.
 *
 * @type {(number | Answer)[]}
 */
let turns = [];
/** Where the next one is. */
let turn = 0;
let isTurning = false;
/** How often native was asked to call, and has not yet. */
let called = 0;

/** How much of what is done is kept before it is cut off. */
const LONGEST_TAIL = 4096;

/** As many requests as are worth a hand-over. */
const MANY = 64;

function takeTurn() {
  const slot = /** @type {number} */ (turns[turn]);
  const answer = /** @type {Answer} */ (turns[turn + 1]);
  turn += 2;
  if ((asking[slot]?.isHeardLate || CALLS_ARE_TOGETHER) && !areImmediatesLost) awaitImmediates();
  else passOn();
  settle(slot, answer);
}

/** The turn that begins now is over when native calls again; what was asked for in those before goes out. */
function passOn() {
  if (turn > LONGEST_TAIL) {
    turns = turns.slice(turn);
    turn = 0;
  }
  if (turn < turns.length) {
    // Nor does what was asked for wait for all of them.
    if (requests >= MANY) flush();
    return;
  }
  turns = [];
  turn = 0;
  isTurning = false;
  flush();
}

// ---- turns whose answers are told in an event of their own

/** Deno runs microtasks and ticks only after several of native's calls: each turn has an event of its own there. */
const CALLS_ARE_TOGETHER = process.versions.deno !== undefined;

/** Whether such a turn is open. */
let isLate = false;
let lateTurns = 0;
/** Whether somebody looks whether it ends. */
let isWatched = false;
/** `setImmediate` was replaced already when this was loaded. */
let areImmediatesLost = false;

/** In ms: nothing but a clock of a test's own keeps an immediate from coming for so long, or a thread that is busy. */
const LOST_AFTER = 1000;

/** How often it is looked at again after that, once the event loop has gone round. */
const LOOKS = 3;

/** Libraries such as bluebird schedule theirs in the same way: all that they do for the answer comes before the second. */
function awaitImmediates() {
  isLate = true;
  lateTurns += 1;
  const which = lateTurns;
  setImmediate(() => setImmediate(() => endLateTurn(which)));
  if (!isWatched) watch(which, LOST_AFTER, LOOKS);
}

/** @param {number} which */
function endLateTurn(which) {
  if (!isLate || which !== lateTurns) return;
  isLate = false;
  flush();
  passOn();
  if (isTurning) takeTurn();
  // A drain may have come meanwhile.
  called = 0;
  askForTurns();
}

/**
 * @param {number} which turn may not end
 * @param {number} ms
 * @param {number} looks
 */
function watch(which, ms, looks) {
  isWatched = true;
  after(ms, () => {
    isWatched = false;
    if (!isLate) return;
    if (which !== lateTurns) watch(lateTurns, LOST_AFTER, LOOKS);
    else if (looks > 0) watch(which, 0, looks - 1);
    else {
      areImmediatesLost = true;
      endLateTurn(which);
    }
  });
}

/**
 * @param {number} slot
 * @param {Answer} answer
 */
function settle(slot, answer) {
  const resolve = settling[slot];
  const engine = asking[slot];
  if (resolve === undefined || engine === undefined) return;
  settling[slot] = undefined;
  asking[slot] = undefined;
  free.push(slot);
  const { failure } = answer;
  if (failure) {
    if (engine.isClosed && failure.code === 'ERR_REDLOCK_CANCELLED') failure.code = 'ERR_REDLOCK_CLOSED';
    try {
      failure.suspicion = engine.suspicion(failure.votes);
      engine.clean(failure);
    } catch {
      // Whoever waits must be answered, and with nothing that was not cleaned.
      answer.failure = UNEXPLAINED;
    }
  }
  resolve(answer);
  // Whoever waits for it may have more to ask before the engine closes.
  if (engine.isClosed) soon(() => soon(() => engine.answered()));
  else engine.answered();
}

/** @param {NativeEvent} event */
function emit(event) {
  const engine = engines.get(event.handle);
  if (engine) call(() => engine.emit(event));
}

/** Once nobody needs native any more, nothing of it is left that would keep this realm. */
function restIfIdle() {
  if (engines.size > 0 || !isIdle()) return;
  rest();
  learned.clear();
  leaveAll();
  called = 0;
}

whenIdle(restIfIdle);

useOwnScripts(defaultScripts());

module.exports = { LOOK, AGAIN, CLOSED, Engine, Cancellation, Answer, defaultScripts, clock };
