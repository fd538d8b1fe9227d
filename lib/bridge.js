'use strict';

/**
 * The caller's own client as a member of a quorum: the engine's questions are put to it here, and native is
 * told where a connection of our own may lead instead.
 *
 * @typedef {import('./clients/client').Client} Client
 * @typedef {'auto' | 'native' | 'bridge'} Rule which ways may be taken
 * @typedef {object} Errand a question that the engine has for a client
 * @property {number} ticket
 * @property {'lock' | 'extend' | 'unlock' | 'inspect'} operation
 * @property {string | null} script the caller's own text for it, if there is one
 * @property {boolean} plain whether neither taking nor releasing it has a text of the caller's
 * @property {string[]} keys
 * @property {string} value
 * @property {number | null} ttl in ms
 * @property {number} context the caller's, in which the client is asked
 * @typedef {object} Line the way to native, for one client
 * @property {(server: string | undefined, keep: boolean) => void} amend
 * @property {(ticket: number, keys: number) => void} applied
 * @property {(ticket: number, value: string | undefined, ttl: number | undefined) => void} seen
 * @property {(ticket: number, what: string) => void} unexpected
 * @property {(ticket: number, error: number, code: string | undefined, message: string) => void} failed
 */

const { createHash } = require('node:crypto');
const { types } = require('node:util');

const { lacking } = require('./clients');
const { read } = require('./clients/look');
const { isSameEverywhere } = require('./context');
const { watchEnd } = require('./ends');
const { wrongType } = require('./errors');
const { isArray } = require('./foreign');
const { readConfig } = require('./instances');
const { after } = require('./mailbox');
const { Redactor } = require('./redact');
const { wordOf } = require('./replies');
const { remember } = require('./thrown');

class Bridge {
  #client;
  #rule;
  #name;
  /** @type {Line | undefined} */
  #line;
  /** What the client's details were when native was told of them. @type {unknown[]} */
  #details = [];
  /** Why there is no connection of our own; undefined if there may be one. @type {string | undefined} */
  #obstacle;
  /** What native says of its own connection; undefined if that is the way. @type {string | undefined} */
  #why = 'our own connection is not made yet';
  #isNative = false;
  /** Whether it may lead each caller elsewhere, as one that knows its tenants does: so it is the only way, for good. */
  #isManifold = false;
  #isBroken = false;
  /** It was seen that the client may release what it takes. */
  #canRelease = false;
  /** @type {import('./connections').State} */
  #state = 'ready';
  /** @type {import('./errors').ConnectionError | undefined} */
  #lastError;
  #since = new Date();
  /** What must not be shown of the client, now or before. @type {Set<string>} */
  #secrets = new Set();

  /**
   * @param {Client} client
   * @param {Rule} rule
   * @param {string} name what to call it in an error
   */
  constructor(client, rule, name) {
    this.#client = client;
    this.#rule = rule;
    this.#name = name;
    this.#learnSecrets();
    /** What it is called without secrets, when it was passed. */
    this.address = client.address;
    if (rule === 'native') {
      const obstacle = client.isClosed ? 'it is closed' : this.#directOf().obstacle;
      if (obstacle) throw cannot(name, obstacle);
      // There is nothing to be proven first.
      this.#isNative = true;
      this.#why = undefined;
    }
  }

  /** The caller's own object. */
  get given() {
    return this.#client.client;
  }

  get mode() {
    return this.#isNative ? /** @type {const} */ ('native') : /** @type {const} */ ('bridge');
  }

  get reasons() {
    if (this.#isNative) return [];
    return [this.#obstacle ?? this.#why ?? ''].filter(Boolean);
  }

  /** Our own connection's where that is the way; where neither can be used, it is down. */
  get state() {
    if (this.#isNative) return this.#state;
    const { state } = this.#client;
    return state === 'connecting' && this.#isBroken ? 'down' : state;
  }

  /** Why our own connection was down the last time, where there is no other way. */
  get lastError() {
    return this.#lastError;
  }

  get since() {
    return this.#since;
  }

  get library() {
    return this.#client.library;
  }

  get topology() {
    return this.#client.topology;
  }

  get db() {
    return this.#client.db;
  }

  get keyPrefix() {
    return this.#client.keyPrefix;
  }

  /** What must not be shown of the client. */
  get secrets() {
    return this.#secrets;
  }

  #learnSecrets() {
    for (const secret of this.#client.secrets) this.#secrets.add(secret);
  }

  /** @param {unknown} error */
  #textOf(error) {
    return new Redactor(this.#secrets).clean(textOf(error));
  }

  /** For native, when the quorum is opened. */
  get config() {
    const { address } = this;
    return { kind: 'client', address, native: this.#rule === 'native' };
  }

  /**
   * The quorum is open.
   *
   * @param {Line} line
   * @param {string} name what to call it in an error
   */
  begin(line, name) {
    this.#line = line;
    const others = users.get(this.given) ?? new Set();
    others.add(this);
    users.set(this.given, others);
    const details = this.#client.details();
    this.#details = details;
    this.#isManifold = this.#leadsElsewhere(details);
    this.#amend(true);
    if (this.#rule === 'native' && this.#obstacle) throw cannot(name, this.#obstacle);
    // What is under way then must not go on over our own connection.
    if (!this.#obstacle) watchEnd(this.given, this);
  }

  /**
   * Looks whether the client leads elsewhere by now; other Redlocks that have it must know that too. Throws where it
   * can't be asked at all.
   */
  look() {
    if (this.#client.lack) throw lacking(this.#client, this.#name);
    if (!this.#lookAlone()) return;
    for (const other of users.get(this.given) ?? []) {
      if (other !== this) other.#lookAlone();
    }
  }

  /** @returns {boolean} whether it does */
  #lookAlone() {
    if (this.#isManifold) return false;
    const now = this.#client.details();
    const before = this.#details;
    for (let at = 0; at < now.length; at++) {
      if (now[at] !== before[at]) {
        this.#details = now;
        // What is under way must not go where it leads whoever asks now.
        this.#isManifold = this.#leadsElsewhere(now);
        this.#amend(!this.#client.isClosed);
        return true;
      }
    }
    return false;
  }

  /**
   * Whether it may lead somebody else elsewhere than whoever asks now.
   *
   * @param {unknown[]} details what it says now
   */
  #leadsElsewhere(details) {
    // It shows what it likes.
    if (types.isProxy(this.given)) return true;
    const client = this.#client;
    return !isSameEverywhere(() => client.details().every((detail, at) => detail === details[at]));
  }

  /** The quorum has ended. */
  end() {
    const others = users.get(this.given);
    others?.delete(this);
  }

  /** @param {boolean} keep whether the connection there was is still good for its locks */
  #amend(keep) {
    const line = /** @type {Line} */ (this.#line);
    this.#learnSecrets();
    // Another user may be allowed less.
    this.#canRelease = false;
    const { server, obstacle } = this.#directOf();
    this.#obstacle = obstacle;
    try {
      line.amend(server && JSON.stringify(server), keep);
    } catch (error) {
      // Certificates and keys are read there; its texts show none.
      this.#obstacle = this.#textOf(error);
      line.amend(undefined, keep);
    }
  }

  /** @returns {{server?: object, obstacle?: string}} */
  #directOf() {
    const client = this.#client;
    if (this.#rule === 'bridge') return { obstacle: 'the option "connections" says so' };
    if (client.isClosed) return { obstacle: 'the client is closed' };
    try {
      const direct = client.direct();
      const isReachable = Object.hasOwn(direct, 'config');
      if (isReachable && this.#isManifold) return { obstacle: MANIFOLD };
      if (!isReachable) return { obstacle: /** @type {{reason: string}} */ (direct).reason };
      const { config } = /** @type {{config: object}} */ (direct);
      return { server: readConfig(config, 'the client'), obstacle: undefined };
    } catch (error) {
      return { obstacle: this.#textOf(error) };
    }
  }

  /**
   * Native says which way is taken from now on.
   *
   * @param {string | null} why it is the client's; null if it is our own
   * @param {boolean} isBroken whether something is wrong with our own
   * @returns {boolean} whether the mode is another than before
   */
  reroute(why, isBroken) {
    const isNative = why === null;
    const isChanged = isNative !== this.#isNative;
    this.#isNative = isNative;
    this.#isBroken = isBroken;
    this.#why = why ?? undefined;
    if (isChanged) this.#since = new Date();
    return isChanged;
  }

  /**
   * Native says how our own connection is. Where there is another way, it is taken then, and nothing is down.
   *
   * @param {import('./connections').State} state
   * @param {import('./errors').ConnectionError | undefined} error
   * @returns {boolean} whether that is news
   */
  connectionIs(state, error) {
    if (this.#rule !== 'native' || (state === this.#state && !error)) return false;
    if (state !== this.#state) this.#since = new Date();
    this.#state = state;
    this.#lastError = error ?? this.#lastError;
    return true;
  }

  /**
   * Brings one answer, whatever the client does.
   *
   * @param {Errand} errand
   */
  async run(errand) {
    const line = /** @type {Line} */ (this.#line);
    const { ticket } = errand;
    try {
      const reply = await this.#ask(errand);
      try {
        tell(line, errand, reply);
      } catch {
        // It can't even be looked at.
        line.unexpected(ticket, 'something that cannot be read');
      }
    } catch (error) {
      const message = this.#textOf(error);
      line.failed(ticket, remember(error), wordOf(message), message);
    }
  }

  /**
   * Nobody is there in whose context it could be asked, and in another one it might lead elsewhere. Native must not
   * wait for an answer all the same.
   *
   * @param {Errand} errand
   */
  refuse({ ticket }) {
    const error = new Error('whoever it was to be asked for is gone');
    /** @type {Line} */ (this.#line).failed(ticket, remember(error), undefined, error.message);
  }

  /** @param {Errand} errand */
  async #ask({ operation, script, plain, keys, value, ttl }) {
    const args = operation === 'inspect' ? [] : ttl === null ? [value] : [value, String(ttl)];
    if (script !== null) return this.#put(operation, digested(script), keys, args);
    // Where a mock or whoever has replaced "eval" sees the calls, they are as they always are.
    const isFirst = operation === 'lock' && plain && !this.#canRelease && this.#client.knowsDigests();
    const reply = await this.#put(operation, OWN_SCRIPTS[isFirst ? 'first' : operation], keys, args);
    this.#canRelease ||= isFirst && reply === keys.length;
    return reply;
  }

  /**
   * @param {Errand['operation']} operation
   * @param {import('./clients/client').Script} script
   * @param {string[]} keys
   * @param {string[]} args
   */
  #put(operation, script, keys, args) {
    return operation === 'unlock' ? this.#release(script, keys, args) : this.#client.run(script, keys, args);
  }

  /**
   * It names one attempt's value, so that a second one does no harm: lost with the client's connection, it
   * waits in the client's queue for the next one. Otherwise the key would stay until its ttl.
   *
   * @param {import('./clients/client').Script} script
   * @param {string[]} keys
   * @param {string[]} args
   */
  async #release(script, keys, args) {
    for (let left = MOST_LOST; left > 0; left--) {
      try {
        return await this.#client.run(script, keys, args);
      } catch (error) {
        if (this.#client.state !== 'connecting') throw error;
      }
    }
    return this.#client.run(script, keys, args);
  }

  /** @returns {Promise<unknown>} what the client answers to it */
  quit() {
    const { given } = this;
    // Several Redlocks may have one client.
    const underWay = quits.get(given);
    if (underWay) return underWay;
    const quit = this.#quit().finally(() => quits.delete(given));
    quits.set(given, quit);
    return quit;
  }

  /** @returns {Promise<unknown>} */
  async #quit() {
    const client = this.#client;
    if (client.isClosed) return 'OK';
    let stop = () => {};
    const late = new Promise((resolve) => {
      stop = after(LONGEST_QUIT, () => resolve(LATE));
    });
    try {
      const answer = await Promise.race([client.quit(), late]);
      if (answer !== LATE) return answer;
      // Behind a server that is hung or gone, it would wait in the client's queue for good.
      client.abandon();
      return 'OK';
    } catch (error) {
      if (client.isClosed) return 'OK';
      throw error;
    } finally {
      stop();
    }
  }
}

const MANIFOLD = 'where it leads to depends on the async context in which it is asked';

/** Which quorums that are open have a client. @type {WeakMap<object, Set<Bridge>>} */
const users = new WeakMap();

/** A connection that is made may be lost at once. */
const MOST_LOST = 5;

/** How long a client may take to quit, in ms. */
const LONGEST_QUIT = 2000;
const LATE = Symbol('late');

/** Those that are under way. @type {WeakMap<object, Promise<unknown>>} */
const quits = new WeakMap();

/** Our own, by operation. @type {Record<string, import('./clients/client').Script>} */
const OWN_SCRIPTS = {};

/** @param {{acquire: string, extend: string, release: string, inspect: string, first: string}} texts */
function useOwnScripts({ acquire, extend, release, inspect, first }) {
  Object.assign(OWN_SCRIPTS, {
    lock: digested(acquire),
    extend: digested(extend),
    unlock: digested(release),
    inspect: digested(inspect),
    first: digested(first),
  });
}

/** In the order of their use, the last one last. @type {Map<string, import('./clients/client').Script>} */
const digests = new Map();

/** How many of them are kept: whoever changes scripts with each call must not fill the memory. */
const MOST_DIGESTS = 100;

/** @param {string} text */
function digested(text) {
  const script = digests.get(text) ?? { text, digest: createHash('sha1').update(text).digest('hex') };
  digests.delete(text);
  digests.set(text, script);
  if (digests.size > MOST_DIGESTS) digests.delete(/** @type {string} */ (digests.keys().next().value));
  return script;
}

/**
 * @param {Line} line
 * @param {Errand} errand
 * @param {any} reply
 */
function tell(line, { ticket, operation, script }, reply) {
  if (operation === 'inspect') {
    const seen = seenIn(reply);
    if (seen) line.seen(ticket, seen.value, seen.life);
    else line.unexpected(ticket, kindOf(reply));
  } else if (typeof reply === 'number' && Number.isSafeInteger(reply)) line.applied(ticket, reply);
  // A script of the caller's may answer what it likes: that is a vote against.
  else if (script !== null) line.applied(ticket, 0);
  else line.unexpected(ticket, kindOf(reply));
}

/**
 * What a key has, and for how many ms it lives on.
 *
 * @param {unknown} reply
 * @returns {{value: string | undefined, life: number | undefined} | undefined} nothing where it says neither
 */
function seenIn(reply) {
  if (!isArray(reply)) return undefined;
  const value = reply[0];
  const life = lifeOf(reply[1]);
  // Below 0 there is no end, or no key.
  const left = life !== undefined && life >= 0 ? life : undefined;
  if (value === null || value === undefined)
    return left === undefined ? { value: undefined, life: left } : undefined;
  if (life === undefined) return undefined;
  if (typeof value === 'string') return { value, life: left };
  return isScalar(value) || Buffer.isBuffer(value) ? { value: String(value), life: left } : undefined;
}

/** @param {unknown} given a number, as libraries have it */
function lifeOf(given) {
  const text = Buffer.isBuffer(given) ? given.toString('latin1') : given;
  const isNumber = isScalar(text) || (typeof text === 'string' && /^-?\d+$/.test(text));
  const number = isNumber ? Number(text) : Number.NaN;
  return Number.isFinite(number) ? number : undefined;
}

/** @param {unknown} value */
function isScalar(value) {
  return typeof value === 'number' || typeof value === 'bigint';
}

/**
 * Never throws, whatever was thrown: nobody would catch it, and what was asked would wait for its deadline.
 *
 * @param {unknown} error
 */
function textOf(error) {
  const message = read(error, 'message');
  if (typeof message === 'string' && message) return message;
  try {
    return String(error);
  } catch {
    return 'it failed with something that has no text';
  }
}

/** @param {unknown} reply */
function kindOf(reply) {
  if (reply === null || reply === undefined) return 'nil';
  if (typeof reply === 'string' || Buffer.isBuffer(reply)) return 'a string';
  if (typeof reply === 'number') return 'a fraction';
  return isArray(reply) ? 'an array' : `of the type ${typeof reply}`;
}

/**
 * @param {string} name
 * @param {string} obstacle
 */
function cannot(name, obstacle) {
  return wrongType(
    'INSTANCE',
    `${name} can't be reached over a connection of our own, as connections: 'native' asks for: ${obstacle}. ` +
      "What works: connections: 'auto' or 'bridge', or a URL in its place",
  );
}

module.exports = { Bridge, useOwnScripts };
