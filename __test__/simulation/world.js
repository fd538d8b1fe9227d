'use strict';

/**
 * One world from one seed: the package's JavaScript between a model of the engine and callers with their clients.
 * It knows what was asked for and what may be believed in, and says what is not as it must be.
 */

const { makeBinding } = require('./binding');
const { Callers } = require('./callers');
const { Chance } = require('./chance');
const { FakeEngine } = require('./engine');
const { POLLUTION } = require('./oddities');
const { freshPackage, seenIn } = require('./package-loader');
const { Time, runAll } = require('./time');
const { Trace } = require('./trace');

/** Whatever was begun has come to its end by then, in ms of virtual time. */
const HORIZON = 600_000;

/** How many turns of the event loop bluebird may take for a promise. */
const HOPS = 4;

const OPERATIONS = ['lock', 'extend', 'unlock', 'inspect'];

/** What Object.prototype says where it has been polluted. */
const LEFT_BEHIND = 'left behind in Object.prototype';

class Violation extends Error {}

class World {
  /** @type {Violation | undefined} */
  violation;
  counts = new Map();
  /** How many things have run on JavaScript's thread. */
  steps = 0;
  pollutesWakes = false;
  hasBluebird = false;
  secrets = new Set();
  refusesConfigs = false;
  /** Whether native takes no more requests. */
  isEnding = false;
  /** Whether somebody listens to channels. */
  isListenedTo = false;
  #trace;
  /** What callers have asked for, by operation and names: the values that go with them. @type {Map<string, Set<string>>} */
  #asked = new Map();
  /** What was granted, by value and names, and what became of it. @type {Map<string, {state: string}>} */
  #grants = new Map();
  /** What was answered to a call, by operation and names. */
  #answers = new Map();
  /** What instances have shown of a name, by name. */
  #sights = new Map();
  /** Callers' own values for locks. */
  #values = new Set();
  #calls = new Set();
  /** What callers' clients have thrown, which is theirs to show. */
  #ownErrors = new Set();
  /** What callers' code throws where nobody catches it, and how often it has come out. @type {Map<Error, number>} */
  #thrown = new Map();
  /** Nothing that callers were given is garbage-collected before the end. */
  #kept = [];
  /** @type {{target: object, run: () => void, token: unknown}[]} */
  #finalizers = [];
  #pollution = [];
  #behaviours = [];
  #clientUpdated = new Map();

  /**
   * @param {number} seed
   * @param {boolean} isShown whether its trace is wanted
   * @param {{isWallStill?: boolean, isOwnLocksOnly?: boolean}} [how] whether the wall clock doesn't jump; whether all
   *   locks are as the package gave them
   */
  constructor(seed, isShown, { isWallStill = false, isOwnLocksOnly = false } = {}) {
    this.isWallStill = isWallStill;
    this.isOwnLocksOnly = isOwnLocksOnly;
    this.seed = seed;
    this.chance = new Chance(seed);
    this.time = new Time(this.chance);
    this.#trace = new Trace(isShown);
    this.engine = new FakeEngine(this);
  }

  /** @returns {Promise<{seed: number, hash: string, violation: string | undefined, counts: Map<string, number>, lines: string[]}>} */
  async run() {
    const restore = this.#install();
    let callers;
    try {
      const runsTicks = this.chance.is(0.6);
      this.count(runsTicks ? 'worlds that run ticks' : 'worlds that wait for ticks');
      const { load } = freshPackage(makeBinding(this), runsTicks);
      // Whatever else goes on in the process stays outside while answers are handed over.
      const { seenBySimulation } = load('lib/native/answers.js');
      const { seenBySimulation: seenOfChannels } = load('lib/channels.js');
      const isBusy = () =>
        seenBySimulation().late > 0 || this.engine.callsLeft > 0 || seenOfChannels().untold > 0;
      callers = new Callers(this, load);
      callers.begin();
      await this.#runOn(isBusy);
      callers.dropAll();
      for (const { run } of this.#finalizers.splice(0)) run();
      await this.#runOn(isBusy);
      this.#checkEnd(load);
    } catch (error) {
      this.violation ??= error;
    } finally {
      callers?.stopListening();
      restore();
    }
    const { violation, seed, counts } = this;
    if (violation) this.trace(`violation: ${violation.message}`);
    const hash = this.#trace.digest();
    const said = violation && (violation instanceof Violation ? violation.message : violation.stack);
    return { seed, hash, violation: said, counts, lines: this.#trace.lines };
  }

  /** @param {() => boolean} isBusy */
  #runOn(isBusy) {
    const step = () => {
      this.steps += 1;
      this.#clean();
      if (this.violation) throw this.violation;
      return this.time.now < HORIZON && this.time.step();
    };
    return runAll(step, isBusy, HOPS);
  }

  // ---- the process around it

  #install() {
    const { emitWarning } = process;
    const { FinalizationRegistry: Registry } = globalThis;
    const events = ['uncaughtException', 'unhandledRejection'];
    const listeners = events.map((event) => [event, process.listeners(event)]);
    for (const event of events) process.removeAllListeners(event);
    process.on('uncaughtException', (error) => this.#uncaught(error));
    process.on('unhandledRejection', (reason) =>
      this.#note(`a rejection that nobody handles: ${textOf(reason)}`),
    );
    process.emitWarning = (warning) => {
      this.count('warnings');
      this.trace(`warning: ${warning}`);
      this.checkText(String(warning), 'a warning');
    };
    const finalizers = this.#finalizers;
    globalThis.FinalizationRegistry = class {
      #run;
      constructor(run) {
        this.#run = run;
      }
      register(target, held, token) {
        finalizers.push({ target, token, run: () => this.#run(held) });
      }
      unregister(token) {
        const at = finalizers.findIndex((one) => one.token === token);
        if (at >= 0) finalizers.splice(at, 1);
        return at >= 0;
      }
    };
    this.time.install();
    return () => {
      this.#clean();
      Time.uninstall();
      globalThis.FinalizationRegistry = Registry;
      process.emitWarning = emitWarning;
      for (const [event, own] of listeners) {
        process.removeAllListeners(event);
        for (const listener of own) process.on(event, listener);
      }
    };
  }

  #uncaught(error) {
    const before = this.#thrown.get(error);
    if (before === undefined) {
      this.#note(`an exception that nobody has thrown on purpose: ${textOf(error)}`);
      return;
    }
    this.#thrown.set(error, before + 1);
    this.trace(`uncaught: ${error.message}`);
    if (before > 0) this.#note(`an exception came out twice: ${error.message}`);
  }

  /** Something of a caller's is garbage-collected. */
  collect(target) {
    const gone = this.#finalizers.filter((one) => one.target === target);
    for (const one of gone) {
      this.#finalizers.splice(this.#finalizers.indexOf(one), 1);
      one.run();
    }
  }

  keepAlive(object) {
    this.#kept.push(object);
  }

  // ---- what is told of it

  trace(line) {
    this.#trace.add(line);
  }

  count(what, by = 1) {
    this.counts.set(what, (this.counts.get(what) ?? 0) + by);
  }

  /**
   * @param {string} what
   * @returns {never}
   */
  violate(what) {
    this.#note(what);
    throw this.violation;
  }

  #note(what) {
    this.violation ??= new Violation(what);
  }

  demand(isTrue, what) {
    if (!isTrue) this.violate(what);
  }

  // ---- secrets

  makeSecret() {
    const { chance } = this;
    const secret =
      chance.pick(['', 'p/', 'ü', 'a b', '$&']) + chance.hex(10) + chance.pick(['', '@', ' %', '"\\']);
    this.secrets.add(secret);
    return secret;
  }

  /** The one that belongs to a member, if that can be told. */
  secretOf(config) {
    const password = ownOf(config, 'password');
    if (password !== undefined) return password;
    const address = ownOf(config, 'address');
    const [behaviour, ...others] = this.#behaviours.filter((one) => one.isAt(address));
    return behaviour === undefined || others.length > 0 ? 'nobody' : behaviour.secret;
  }

  anySecret(members) {
    return this.secretOf(this.chance.pick(members).config);
  }

  checkText(text, what) {
    for (const secret of this.secrets) {
      const forms = [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)];
      if (forms.some((form) => text.includes(form)))
        this.violate(`${what} shows a secret: ${text.slice(0, 500)}`);
    }
    if (text.includes(LEFT_BEHIND))
      this.violate(`${what} has something of Object.prototype: ${text.slice(0, 500)}`);
  }

  /** All that an error of ours says, and those it was caused by. */
  checkError(error, what, depth = 0) {
    if (typeof error !== 'object' || error === null || this.#ownErrors.has(error) || depth > 4) return;
    for (const key of ['message', 'stack', 'code', 'reply', 'address', 'reason', 'operation']) {
      const own = ownOf(error, key);
      if (typeof own === 'string') this.checkText(own, `${what}.${key}`);
    }
    const cause = ownOf(error, 'cause');
    if (!this.#ownErrors.has(cause)) {
      if (typeof cause === 'string') this.checkText(cause, `${what}.cause`);
      else this.checkError(cause, `${what}.cause`, depth + 1);
    }
    for (const vote of ownOf(error, 'votes') ?? [])
      this.checkError(ownOf(vote, 'error'), `${what}.votes`, depth + 1);
    const lastError = ownOf(error, 'lastError');
    if (lastError) this.checkError(lastError, `${what}.lastError`, depth + 1);
    for (const reason of ownOf(error, 'reasons') ?? []) this.checkText(reason, `${what}.reasons`);
  }

  /** What a caller's client throws. */
  own(error) {
    this.#ownErrors.add(error);
    return error;
  }

  /** What a caller throws where nobody catches it. */
  thrower() {
    const error = new Error(`thrown on purpose, ${this.#thrown.size}`);
    return () => {
      if (this.#thrown.has(error)) return;
      this.#thrown.set(error, 0);
      this.count('exceptions of callers');
      throw error;
    };
  }

  /** Whether it was thrown by `thrower`. */
  isPurpose(error) {
    return this.#thrown.has(error);
  }

  // ---- Object.prototype

  /** Leaves something there until it is cleaned. */
  pollute() {
    const { chance } = this;
    this.count('pollutions of Object.prototype');
    const [least, most] = [1, 4];
    for (let left = chance.between(least, most); left > 0; left--) {
      const key = chance.pick(POLLUTION);
      const value = chance.pick([LEFT_BEHIND, 1, true, { text: LEFT_BEHIND }]);
      Object.defineProperty(Object.prototype, key, described(value));
      this.#pollution.push(key);
    }
  }

  #clean() {
    for (const key of this.#pollution.splice(0)) delete Object.prototype[key];
  }

  polluted(run) {
    this.pollute();
    try {
      return run();
    } finally {
      this.#clean();
    }
  }

  /** Native calls JavaScript. */
  duringWake(wake) {
    if (this.pollutesWakes && this.chance.is(0.3)) this.pollute();
    try {
      wake();
    } catch (error) {
      this.violate(`what native calls throws: ${textOf(error)}`);
    }
  }

  // ---- what is asked for

  /**
   * @param {'lock' | 'extend' | 'unlock' | 'inspect'} operation
   * @param {readonly string[]} names
   * @param {string} [value]
   */
  allow(operation, names, value = '') {
    const key = JSON.stringify([operation, ...names]);
    const values = this.#asked.get(key) ?? new Set();
    values.add(value);
    this.#asked.set(key, values);
  }

  isAskedFor(number, names, value) {
    const operation = OPERATIONS[number];
    if (operation === 'unlock' && this.#grants.has(keyOf(value, names))) return true;
    const wanted = operation === 'lock' && this.#values.has(value) ? '' : value;
    return this.#asked.get(JSON.stringify([operation, ...names]))?.has(wanted) === true;
  }

  isHeldBy(value, names) {
    return (
      this.#grants.has(keyOf(value, names)) ||
      this.#asked.get(JSON.stringify(['unlock', ...names]))?.has(value)
    );
  }

  /** One of a caller's own, each for one attempt. */
  makeValue() {
    const value = `own-${this.chance.hex(this.chance.pick([8, 28, 60]))}`;
    this.#values.add(value);
    return value;
  }

  submitted({ operation, value }, quorum) {
    if (operation === 2) this.heldNoMore(value);
    else if (operation < 2) this.#checkClients(quorum);
  }

  /** @param {string} value of a grant that nobody may hold any more */
  heldNoMore(value) {
    for (const [key, grant] of this.#grants) {
      if (grant.value === value && grant.state === 'granted') this.#grants.get(key).state = 'released';
    }
  }

  granted(value, names) {
    this.#grants.set(keyOf(value, names), { value, names, state: 'granted' });
  }

  answered(request, answer) {
    const key = JSON.stringify([OPERATIONS[request.operation], ...request.names]);
    const all = this.#answers.get(key) ?? [];
    all.push({ kind: answer.kind, detail: answer.detail });
    this.#answers.set(key, all);
    this.trace(`answer ${request.slot} ${answer.kind} ${answer.detail?.code ?? ''}`);
  }

  /** What was granted on these names. */
  grantsOn(names) {
    const wanted = JSON.stringify(names);
    return [...this.#grants.values()].filter((grant) => JSON.stringify(grant.names) === wanted);
  }

  answersTo(operation, names) {
    return this.#answers.get(JSON.stringify([operation, ...names])) ?? [];
  }

  sighted(request, value, until) {
    const all = this.#sights.get(request.names[0]) ?? [];
    all.push({ value, until });
    this.#sights.set(request.names[0], all);
  }

  sightsOf(name) {
    return this.#sights.get(name) ?? [];
  }

  /** A caller is told that he holds it. */
  handedOver(what, value, names) {
    const grant = this.#grants.get(keyOf(value, names));
    this.demand(grant !== undefined, `${what}: nobody has granted ${value} on ${names}`);
    if (grant.state === 'granted') grant.state = 'handed over';
    this.demand(this.engine.endOf(value) > this.time.now, `${what}: it was over when it was handed over`);
    this.count('locks handed over');
  }

  // ---- callers' clients

  addBehaviour(behaviour) {
    this.#behaviours.push(behaviour);
  }

  /** @param {{handle: number, members: {place: number, config: any}[]}} quorum whose client's details native has now */
  clientUpdated({ handle, members }, place) {
    const behaviour = this.#behaviours.find((one) => one.isAt(members[place].config.address));
    if (behaviour) this.#clientUpdated.set(`${handle}.${place}`, behaviour.epoch);
  }

  /** Before anything is asked of a quorum, native knows where its clients lead now. */
  #checkClients({ handle, members }) {
    for (const { place, leader, isClient, config } of members) {
      if (!isClient || leader !== place) continue;
      const behaviour = this.#behaviours.find((one) => !one.isBare && one.isAt(config.address));
      if (behaviour === undefined || behaviour.changedAt >= this.steps) continue;
      const known = this.#clientUpdated.get(`${handle}.${place}`);
      this.demand(known === behaviour.epoch, `${behaviour.name} leads elsewhere, and native was not told`);
    }
  }

  // ---- calls

  /** @param {object} call that is to settle */
  begin(call) {
    this.#calls.add(call);
    this.count('calls');
  }

  settled(call) {
    this.#calls.delete(call);
  }

  // ---- the end

  #checkEnd(load) {
    const { engine } = this;
    for (const call of this.#calls) this.violate(`${call.what} never settles`);
    this.demand(engine.inFlight.length === 0, `slots are left: ${engine.inFlight}`);
    this.#checkErrands();
    for (const [error, times] of this.#thrown) {
      if (times !== 1) this.violate(`an exception of a listener came out ${times} times: ${error.message}`);
    }
    for (const [key, { state }] of this.#grants) {
      if (state === 'granted') this.violate(`what was granted is neither handed over nor released: ${key}`);
    }
    this.demand(engine.openHandles.length === 0, `handles are left open: ${engine.openHandles}`);
    this.demand(engine.kept === 0, `${engine.kept} kept locks are not let go of`);
    for (const [what, count] of Object.entries(seenIn(load))) {
      this.demand(count === 0, `memory: ${count} ${what} are left`);
    }
    this.demand(!engine.isAwake, 'the process is kept alive for nothing');
  }

  /** One whose client has answered has its answer; one whose client never does may have none. */
  #checkErrands() {
    /** @type {Map<string, {count: number, address: string, asked: string}>} */
    const left = new Map();
    for (const { operation, names, value, request, place } of this.engine.openErrands) {
      const { address } = request.quorum.members[place].config;
      const asked = `${operation === 3 ? 'inspect' : value} ${names}`;
      const before = left.get(`${address} ${asked}`);
      left.set(`${address} ${asked}`, { address, asked, count: (before?.count ?? 0) + 1 });
    }
    for (const { address, asked, count } of left.values()) {
      const behaviours = this.#behaviours.filter((one) => one.isAt(address));
      const open = behaviours.reduce((sum, one) => sum + (one.open.get(asked) ?? 0), 0);
      if (count > open) this.violate(`${count - open} errands were never answered: ${address} ${asked}`);
    }
    this.count('errands that clients never answer', left.size);
  }
}

function keyOf(value, names) {
  return JSON.stringify([value, ...names]);
}

function ownOf(object, key) {
  if (typeof object !== 'object' || object === null || !Object.hasOwn(object, key)) return undefined;
  const descriptor = Object.getOwnPropertyDescriptor(object, key);
  return Object.hasOwn(descriptor, 'value') ? descriptor.value : undefined;
}

function described(value) {
  return Object.assign(Object.create(null), { value, configurable: true, writable: true, enumerable: true });
}

function textOf(error) {
  try {
    return error?.stack ?? String(error);
  } catch {
    return 'something without a text';
  }
}

module.exports = { World };
