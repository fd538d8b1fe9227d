'use strict';

/**
 * How the members of a quorum are reached: what `redlock.connections` shows and the `connection` event tells.
 *
 * @typedef {import('./native/types').ConnectionState} State
 */

const { ConnectionError } = require('./errors');

/**
 * One member's connection, as it is now. It is replaced when it changes, never changed.
 *
 * @typedef {object} ConnectionInfo
 * @property {number} index in the quorum
 * @property {string} address
 * @property {'native' | 'bridge'} mode over a connection of our own, or through the caller's client
 * @property {string | undefined} library the client's
 * @property {string} topology
 * @property {number | undefined} db where there are several
 * @property {string | undefined} keyPrefix
 * @property {readonly string[]} reasons why the caller's client is asked
 * @property {string | undefined} noWakeups why nothing tells of changes to its keys
 */
class Connection {
  /**
   * @param {ConnectionInfo} info
   * @param {State} state
   * @param {Date} since
   * @param {ConnectionError | undefined} lastError
   */
  constructor(info, state, since, lastError) {
    this.index = info.index;
    this.address = info.address;
    this.mode = info.mode;
    this.library = info.library;
    this.topology = info.topology;
    this.db = info.db;
    this.keyPrefix = info.keyPrefix;
    this.reasons = Object.freeze([...info.reasons]);
    this.state = state;
    /** Since when it has been in that state, or mode. */
    this.since = since;
    /** Why it was down the last time. */
    this.lastError = lastError;
    this.noWakeups = info.noWakeups;
    Object.freeze(this);
  }
}

class Connections {
  /** Of our own; undefined where the member is a caller's client, whose Bridge is asked instead. @type {(Connection | undefined)[]} */
  #connections;
  #bridges;
  #addresses;
  /** Why nothing tells of changes to the keys of each. @type {(string | undefined)[]} */
  #noWakeups;

  /**
   * @param {string[]} addresses
   * @param {import('./types').Member[]} members
   */
  constructor(addresses, members) {
    this.#addresses = addresses;
    this.#bridges = members.map(({ bridge }) => bridge);
    this.#noWakeups = members.map(() => undefined);
    this.#connections = members.map(({ config, bridge }, index) => {
      if (bridge) return undefined;
      const info = infoOf(config, index, addresses[index]);
      return new Connection(info, 'connecting', new Date(), undefined);
    });
  }

  list() {
    return this.#addresses.map((_, index) => this.at(index));
  }

  /** @param {number} index */
  at(index) {
    const bridge = this.#bridges[index];
    if (!bridge) return /** @type {Connection} */ (this.#connections[index]);
    const noWakeups = this.#noWakeups[index];
    const { mode, reasons, state, since } = bridge;
    const { library, topology, db, keyPrefix } = bridge.client;
    const address = this.#addresses[index];
    const info = { index, address, mode, library, topology, db, keyPrefix, reasons, noWakeups };
    const lastError =
      bridge.lastError ?? (state === 'down' ? downFor(reasons.join('; '), index, address) : undefined);
    return new Connection(info, state, since, lastError);
  }

  /**
   * Takes a change over and returns the connection as it is now; undefined if it was like that before.
   *
   * @param {number} index
   * @param {State} state
   * @param {import('./errors').Trouble | undefined} trouble
   */
  change(index, state, trouble) {
    const before = this.#connections[index];
    if (!before || (before.state === state && !trouble)) return undefined;
    const lastError = trouble ? new ConnectionError(trouble, index, before.address) : before.lastError;
    const since = before.state === state ? before.since : new Date();
    const connection = new Connection(before, state, since, lastError);
    this.#connections[index] = connection;
    return connection;
  }

  /**
   * @param {number} index
   * @param {string | undefined} why nothing tells of changes to its keys; undefined where something does
   */
  changeWakeups(index, why) {
    this.#noWakeups[index] = why;
    const before = this.#connections[index];
    if (!before) return;
    const { state, since, lastError } = before;
    this.#connections[index] = new Connection({ ...before, noWakeups: why }, state, since, lastError);
  }
}

/**
 * @param {string} why a client of the caller's can't be asked
 * @param {number} index
 * @param {string} address
 */
function downFor(why, index, address) {
  return new ConnectionError({ code: 'UNREACHABLE', message: why || 'the client is down' }, index, address);
}

/**
 * @param {import('./types').Config} config
 * @param {number} index
 * @param {string} address
 * @returns {ConnectionInfo}
 */
function infoOf(config, index, address) {
  const own = Object.assign(Object.create(null), config);
  const { kind, db = 0, keyPrefix, cluster, sentinel } = own;
  const mode = /** @type {const} */ ('native');
  const topology = cluster ? 'cluster' : sentinel ? 'sentinel' : 'single';
  const info = { index, address, mode, library: undefined, keyPrefix, reasons: [], noWakeups: undefined };
  if (kind === 'memory') return { ...info, topology: 'memory', db: undefined };
  return { ...info, topology, db };
}

module.exports = { Connections };
