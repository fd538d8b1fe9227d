'use strict';

/**
 * What all client libraries have in common here: a script is run by its digest and, where the server
 * doesn't know that, by its text.
 *
 * @typedef {{text: string, digest: string}} Script
 * @typedef {'single' | 'cluster' | 'sentinel' | 'pool' | 'unknown'} Topology
 * @typedef {'redlock 4' | 'redlock 5' | 'eval'} Dialect whose way of asking it knows, where it is of no known library or
 *   somebody has replaced its methods: they expect to be called as the package that ours stands for calls them. In
 *   `eval`, as of the older ones, scripts are always asked for by their texts
 * @typedef {{config: Record<string, unknown>} | {reason: string}} ConnectionOptions
 * @typedef {(script: string, keys: readonly string[], args: readonly string[]) => any} RunScript by its text or its digest; returns perhaps a promise
 */

const { secretsIn } = require('../redact');
const { forbidsDigests, isNoScript } = require('../replies');
const { addressOf } = require('./address');
const { textsOf, toReply, promiseOrCallback } = require('./reply');
const { can, read } = require('./inspect-object');
const { isSteady, firstReplaced } = require('./pristine');

/** @abstract */
class Client {
  /** @type {Dialect} */
  dialect = 'redlock 4';

  /** Its server has refused to run a script by its digest. */
  #refusesDigests = false;

  /**
   * @param {any} client the caller's own
   * @param {string} library
   * @param {Topology} topology
   */
  constructor(client, library, topology) {
    this.client = client;
    this.library = library;
    /** @type {Topology} */
    this.topology = topology;
  }

  /** For people, without secrets. */
  get address() {
    return addressOf(this.endpoints(), this.db) ?? `${this.library} client`;
  }

  /**
   * What must not be shown of it, as far as that can be read: passwords, wherever its library has them.
   *
   * @returns {Set<string>}
   */
  get secrets() {
    return secretsIn(OPTIONS.map((key) => ({ [key]: read(this.client, key) })));
  }

  /** @returns {number | undefined} as it is now; undefined where it can't be known */
  get db() {
    return undefined;
  }

  /** @returns {string | undefined} as it is now; undefined where there is none, or none that can be read */
  get keyPrefix() {
    return undefined;
  }

  /** How its connection is, as far as it says. @returns {import('../native/types').ConnectionState} */
  get state() {
    return 'ready';
  }

  /** What it would need and hasn't, so that no script can be run on it. @returns {string | undefined} */
  get lack() {
    return undefined;
  }

  /** Whether its owner has ended it, so that it refuses whatever it is asked. */
  get isClosed() {
    return false;
  }

  /**
   * What of it may change while it is used, and would lead elsewhere then. It is looked at before each
   * request, so it must be cheap.
   *
   * @param {unknown[]} [_found] what nobody needs any more: it may be filled anew
   * @returns {unknown[]} to be compared one by one
   */
  details(_found) {
    return [];
  }

  /**
   * What a connection of our own would take, in the form that the constructor takes too; or why there can't
   * be one.
   *
   * @returns {ConnectionOptions}
   */
  connectionOptions() {
    return { reason: `where a client of this kind (${this.library}) leads to can't be read off it` };
  }

  /**
   * What it is asked from now on until `sendAll` may go out together. Nothing is done where whoever stands between it
   * and the wire could see that.
   *
   * @returns {boolean} whether nobody stands there, so that while it is asked no code runs but its library's
   */
  gather() {
    return false;
  }

  /** What was gathered goes out. */
  sendAll() {}

  /** Whether it is asked by a script's digest, as long as nothing comes of that which `recover` knows better. */
  get isAskedByDigest() {
    return this.dialect !== 'eval' && !this.#refusesDigests && this.supportsEvalsha();
  }

  /**
   * @param {boolean} byDigest
   * @param {Script} script
   * @param {readonly string[]} keys without the client's own prefix
   * @param {readonly string[]} args
   * @returns {any} perhaps a promise, as the client has it
   */
  ask(byDigest, script, keys, args) {
    return byDigest ? this.evalsha(script.digest, keys, args) : this.eval(script.text, keys, args);
  }

  /**
   * Asks whatever way it takes.
   *
   * @param {Script} script
   * @param {readonly string[]} keys
   * @param {readonly string[]} args
   * @returns {Promise<unknown>} a number where the reply can be read as one; rejects with the client's own error
   */
  async run(script, keys, args) {
    const byDigest = this.isAskedByDigest;
    try {
      return toReply(await this.ask(byDigest, script, keys, args));
    } catch (error) {
      return toReply(await this.recover(error, byDigest, script, keys, args));
    }
  }

  /**
   * What was asked has failed: it is asked by its text where its digest isn't known, or not allowed.
   *
   * @param {any} error
   * @param {boolean} byDigest how it was asked
   * @param {Script} script
   * @param {readonly string[]} keys
   * @param {readonly string[]} args
   * @returns {any} perhaps a promise, as the client has it. Throws the client's own error
   */
  recover(error, byDigest, script, keys, args) {
    if (!byDigest) throw error;
    const texts = textsOf(error);
    if (texts.some(forbidsDigests)) this.#refusesDigests = true;
    else if (!texts.some(isNoScript)) throw error;
    return this.eval(script.text, keys, args);
  }

  /**
   * Ends the client as its library does that: a promise unless it says otherwise.
   *
   * @returns {Promise<unknown>} the client's own answer, mostly `'OK'`
   */
  async quit() {
    return this.client.quit();
  }

  /** Ends the client without its server. */
  async abandon() {
    try {
      const end = ENDS.find((method) => can(this.client, method));
      if (end) await this.client[end]();
    } catch {
      // It is given up, whatever it says to that.
    }
  }

  /**
   * Why it must be seen what is asked of the client: somebody has put something between it and the wire.
   *
   * @protected
   * @param {readonly import('./pristine').Step[]} steps the way that its library has there
   * @param {Record<string, readonly string[]>} fields what is read of it, by where: `''` is the client itself
   * @returns {string | undefined}
   */
  obstacleOn(steps, fields) {
    const { client } = this;
    const other = firstReplaced(client, steps);
    if (other) return replaced(other);
    for (const [place, names] of Object.entries(fields)) {
      const holder = place ? read(client, place) : client;
      const moving = names.find((name) => holder !== undefined && !isSteady(holder, name));
      if (moving) return `its "${moving}" is a getter, which may say something else each time`;
      const made = names.find((name) => PREFIXES.includes(name) && isMade(read(holder, name)));
      if (made) return `its "${made}" is an object, whose text may be another each time`;
    }
    return undefined;
  }

  /**
   * Where it leads to, as far as that can be read.
   *
   * @protected
   * @returns {import('./address').Endpoints | undefined}
   */
  endpoints() {
    return undefined;
  }

  /**
   * Asks it in the words of the package that ours stands for.
   *
   * @protected
   * @param {'eval' | 'evalsha'} method
   * @param {string} script its text or its digest
   * @param {readonly string[]} keys
   * @param {readonly string[]} args
   * @returns {unknown} perhaps a promise
   */
  inDialect(method, script, keys, args) {
    const { client, dialect } = this;
    const count = keys.length;
    if (dialect === 'redlock 5') return client[method](script, count, [...keys, ...args]);
    return promiseOrCallback((callback) => {
      if (dialect === 'eval') return client.eval(script, count, ...keys, ...args, callback);
      if (method === 'evalsha') return client.evalsha(script, [count, ...keys, ...args], callback);
      return client.eval([script, count, ...keys, ...args], callback);
    });
  }

  /**
   * Whether running by digest is possible, and hides no call from whoever replaced `eval`.
   *
   * @returns {boolean}
   */
  supportsEvalsha() {
    return false;
  }

  /** @abstract @type {RunScript} */
  eval(_text, _keys, _args) {
    throw new Error('not implemented');
  }

  /** @abstract @type {RunScript} */
  evalsha(_digest, _keys, _args) {
    throw new Error('not implemented');
  }
}

/** What libraries put before each key, as a text: of an object, they ask for it each time. */
const PREFIXES = ['keyPrefix', 'prefix'];

/** @param {unknown} value */
function isMade(value) {
  return typeof value === 'object' || typeof value === 'function';
}

/** @param {string} name */
function replaced(name) {
  return `its "${name}" was replaced, so that whoever did that sees the calls`;
}

/** Where libraries have their options, and redis 2 and 3 their password. */
const OPTIONS = ['options', '_options', 'config', 'startupNodes', 'condition', 'auth_pass'];

/** What ends a client at once: node-redis 5 and 6, 4 and ioredis, redis 2 and 3, GLIDE. */
const ENDS = ['destroy', 'disconnect', 'end', 'close'];

module.exports = { Client, replaced };
