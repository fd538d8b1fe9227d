'use strict';

/**
 * The caller's own client as a member of a quorum: what the engine asks of it is asked here, and native is told where a
 * connection of our own may lead instead.
 *
 * @typedef {import('../native/types').Question} Question
 * @typedef {import('../native/types').ClientPort} ClientPort
 * @typedef {import('../native/types').ConnectionState} ConnectionState
 * @typedef {'auto' | 'native' | 'bridge'} Rule which ways may be taken
 */

const { types } = require('node:util');

const { mistypedInstance } = require('../errors');
const { readConfig } = require('../instances');
const { isSameEverywhere } = require('../native/context');
const { Redactor } = require('../redact');
const { wordOf } = require('../replies');
const { lacking } = require('.');
const { onClientEnd, quitOnce } = require('./end');
const { register } = require('./error-registry');
const { messageOf, kindOf, readInspection, toReply } = require('./reply');
const { ownScript, withDigest } = require('./scripts');

class Bridge {
  client;
  #rule;
  #name;
  /** @type {ClientPort | undefined} */
  #port;
  /** What the client's details were when native was told of them. @type {unknown[]} */
  #details = [];
  /** What they are compared in. @type {unknown[]} */
  #spare = [];
  /** Why there is no connection of our own; undefined if there may be one. @type {string | undefined} */
  #obstacle;
  /** What native says of its own connection; undefined if that is the way. @type {string | undefined} */
  #why = 'our own connection is not made yet';
  #isNative = false;
  /** Whether it may lead each caller elsewhere, as one that knows its tenants does: so it is the only way, for good. */
  #dependsOnContext = false;
  /** Whether something is wrong with our own connection. */
  #isBroken = false;
  /** Whether the client was seen to be allowed to release what it takes. */
  #canRelease = false;
  /** @type {ConnectionState} */
  #state = 'ready';
  /**
   * Why our own connection was down the last time, where there is no other way.
   *
   * @type {import('../errors').ConnectionError | undefined}
   */
  lastError;
  since = new Date();
  /** Whether no code but its library's runs while it is asked, as `gather` has found it. */
  isUnseen = false;
  /** What must not be shown of the client, now or before. @type {Set<string>} */
  secrets = new Set();

  /**
   * @param {import('./client').Client} client
   * @param {Rule} rule
   * @param {string} name what to call it in an error
   */
  constructor(client, rule, name) {
    this.client = client;
    this.#rule = rule;
    this.#name = name;
    this.#learnSecrets();
    /** What it is called without secrets, when it was passed. */
    this.address = client.address;
    if (rule === 'native') {
      const obstacle = client.isClosed ? 'it is closed' : this.#ownConnection().obstacle;
      if (obstacle) throw cannot(name, obstacle);
      // There is nothing to be proven first.
      this.#isNative = true;
      this.#why = undefined;
    }
  }

  /** The caller's own object. */
  get original() {
    return this.client.client;
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
    const { state } = this.client;
    return state === 'connecting' && this.#isBroken ? 'down' : state;
  }

  #learnSecrets() {
    for (const secret of this.client.secrets) this.secrets.add(secret);
  }

  /** @param {unknown} error */
  #textOf(error) {
    return new Redactor(this.secrets).clean(messageOf(error));
  }

  /** For native, when the quorum is opened. */
  get config() {
    const { address } = this;
    return { kind: 'client', address, native: this.#rule === 'native' };
  }

  /**
   * The quorum is open.
   *
   * @param {ClientPort} port
   * @param {string} name what to call it in an error
   */
  begin(port, name) {
    this.#port = port;
    const others = users.get(this.original) ?? new Set();
    others.add(this);
    users.set(this.original, others);
    const details = this.client.details();
    this.#details = details;
    this.#dependsOnContext = this.#leadsElsewhere(details);
    this.#updateClient(true);
    if (this.#rule === 'native' && this.#obstacle) throw cannot(name, this.#obstacle);
    // What is under way then must not go on over our own connection.
    if (!this.#obstacle) onClientEnd(this.original, this);
  }

  /**
   * Notices it where the client leads elsewhere by now; other Redlocks that have it must know that too. Throws where it
   * can't be asked at all.
   */
  refresh() {
    if (this.client.lack) throw lacking(this.client, this.#name);
    if (!this.#refreshAlone()) return;
    for (const other of users.get(this.original) ?? []) {
      if (other !== this) other.#refreshAlone();
    }
  }

  /** @returns {boolean} whether it leads elsewhere */
  #refreshAlone() {
    if (this.#dependsOnContext) return false;
    const now = this.client.details(this.#spare);
    const before = this.#details;
    for (let at = 0; at < now.length; at++) {
      if (now[at] !== before[at]) {
        this.#details = now;
        this.#spare = before;
        // What is under way must not go where it leads whoever asks now.
        this.#dependsOnContext = this.#leadsElsewhere(now);
        this.#updateClient(!this.client.isClosed);
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
    if (types.isProxy(this.original)) return true;
    const client = this.client;
    return !isSameEverywhere(() => client.details().every((detail, at) => detail === details[at]));
  }

  /** The quorum has ended. */
  end() {
    const others = users.get(this.original);
    others?.delete(this);
  }

  /** @param {boolean} keep whether the connection there was is still good for its locks */
  #updateClient(keep) {
    const port = /** @type {ClientPort} */ (this.#port);
    this.#learnSecrets();
    // Another user may be allowed less.
    this.#canRelease = false;
    const { server, obstacle } = this.#ownConnection();
    this.#obstacle = obstacle;
    try {
      port.updateClient(server && JSON.stringify(server), keep);
    } catch (error) {
      // Certificates and keys are read there; its texts show none.
      this.#obstacle = this.#textOf(error);
      port.updateClient(undefined, keep);
    }
  }

  /** Where a connection of our own may lead, or why there can't be one. @returns {{server?: object, obstacle?: string}} */
  #ownConnection() {
    const client = this.client;
    if (this.#rule === 'bridge') return { obstacle: 'the option "connections" says so' };
    if (client.isClosed) return { obstacle: 'the client is closed' };
    try {
      const options = client.connectionOptions();
      const isReachable = Object.hasOwn(options, 'config');
      if (isReachable && this.#dependsOnContext) return { obstacle: DEPENDS_ON_CONTEXT };
      if (!isReachable) return { obstacle: /** @type {{reason: string}} */ (options).reason };
      const { config } = /** @type {{config: object}} */ (options);
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
    if (isChanged) this.since = new Date();
    return isChanged;
  }

  /**
   * Native says how our own connection is. Where there is another way, it is taken then, and nothing is down.
   *
   * @param {ConnectionState} state
   * @param {import('../errors').ConnectionError | undefined} error
   * @returns {boolean} whether that is news
   */
  connectionIs(state, error) {
    if (this.#rule !== 'native' || (state === this.#state && !error)) return false;
    if (state !== this.#state) this.since = new Date();
    this.#state = state;
    this.lastError = error ?? this.lastError;
    return true;
  }

  /** What is asked from now on, until `sendAll`, may go out together. */
  gather() {
    try {
      this.isUnseen = this.client.gather();
    } catch {
      // A Proxy's, or a getter's: it is asked one by one, and says then what is wrong. All others are to be asked too.
      this.isUnseen = false;
    }
  }

  sendAll() {
    this.client.sendAll();
  }

  /**
   * Brings one answer, whatever the client does. It is asked at once.
   *
   * @param {Question} question
   * @param {number} ticket
   */
  async run(question, ticket) {
    const port = /** @type {ClientPort} */ (this.#port);
    try {
      const { client } = this;
      const { keys, args } = question;
      const isFirst = this.#isFirst(question);
      const script = isFirst ? ownScript('first') : scriptOf(question);
      const byDigest = client.isAskedByDigest;
      let reply;
      try {
        reply = await client.ask(byDigest, script, keys, args);
      } catch (error) {
        reply = await this.#recover(error, byDigest, script, question);
      }
      reply = toReply(reply);
      if (isFirst && reply === keys.length) this.#canRelease = true;
      try {
        tell(port, ticket, question, reply);
      } catch {
        // It can't even be looked at.
        port.unexpected(ticket, 'something that cannot be read');
      }
    } catch (error) {
      const text = messageOf(error);
      const redactor = new Redactor(this.secrets);
      port.failed(ticket, register(error), wordOf(redactor.cleanWord(text)), redactor.clean(text));
    }
  }

  /**
   * The context in which it should be asked has ended, and in another one it might lead elsewhere. Native must not
   * wait for an answer all the same.
   *
   * @param {number} ticket
   */
  refuse(ticket) {
    const error = new Error('whoever it was to be asked for is gone');
    /** @type {ClientPort} */ (this.#port).failed(ticket, register(error), undefined, error.message);
  }

  /**
   * Whether it is to be seen whether the client may release what it takes.
   *
   * @param {Question} question
   */
  #isFirst({ operation, script, isPlain }) {
    if (operation !== 'lock' || !isPlain || script !== undefined || this.#canRelease) return false;
    // Where a mock or whoever has replaced "eval" sees the calls, they are as they always are.
    return this.client.supportsEvalsha();
  }

  /**
   * A release names one attempt's value, so that a second one does no harm: lost with the client's connection, it
   * waits in the client's queue for the next one. Otherwise the key would stay until its ttl.
   *
   * @param {any} error of the first time
   * @param {boolean} byDigest how it was asked then
   * @param {import('./client').Script} script
   * @param {Question} question
   */
  async #recover(error, byDigest, script, { operation, keys, args }) {
    const { client } = this;
    let run = () => client.recover(error, byDigest, script, keys, args);
    for (let left = operation === 'unlock' ? MOST_LOST : 0; left > 0; left--) {
      try {
        return await run();
      } catch (failure) {
        if (client.state !== 'connecting') throw failure;
      }
      run = () => client.run(script, keys, args);
    }
    return run();
  }

  /** @returns {Promise<unknown>} what the client answers to it */
  quit() {
    return quitOnce(this.client);
  }
}

const DEPENDS_ON_CONTEXT = 'where it leads to depends on the async context in which it is asked';

/** Which quorums that are open have a client. @type {WeakMap<object, Set<Bridge>>} */
const users = new WeakMap();

/** A connection that is made may be lost at once. */
const MOST_LOST = 5;

/** @param {Question} question */
function scriptOf({ operation, script }) {
  return script === undefined ? ownScript(operation) : withDigest(script);
}

/**
 * @param {ClientPort} port
 * @param {number} ticket
 * @param {Question} question
 * @param {any} reply
 */
function tell(port, ticket, { operation, script }, reply) {
  if (operation === 'inspect') {
    const seen = readInspection(reply);
    if (seen) port.seen(ticket, seen.value, seen.life);
    else port.unexpected(ticket, kindOf(reply));
  } else if (typeof reply === 'number' && Number.isSafeInteger(reply)) port.applied(ticket, reply);
  // A script of the caller's may answer what it likes: that is a vote against.
  else if (script !== undefined) port.applied(ticket, 0);
  else port.unexpected(ticket, kindOf(reply));
}

/**
 * @param {string} name
 * @param {string} obstacle
 */
function cannot(name, obstacle) {
  return mistypedInstance(
    `${name} can't be reached over a connection of our own, as connections: 'native' asks for: ${obstacle}. ` +
      "What works: connections: 'auto' or 'bridge', or a URL in its place",
  );
}

module.exports = { Bridge };
