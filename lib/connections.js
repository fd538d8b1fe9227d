'use strict';

/**
 * How the connections to the members of a quorum are: what `redlock.connections` shows and the
 * `connection` event tells.
 *
 * @typedef {import('./errors').Trouble} Trouble
 * @typedef {import('./errors').InstanceError} InstanceError
 * @typedef {'connecting' | 'ready' | 'down'} State
 */

const { ConnectionError } = require('./errors');

/** One member's connection. It is replaced when it changes, never changed. */
class Connection {
  /**
   * @param {number} index
   * @param {string} address
   * @param {number | undefined} db
   * @param {State} state
   * @param {Date} since
   * @param {ConnectionError | undefined} lastError
   */
  constructor(index, address, db, state, since, lastError) {
    /** Its place in the quorum. */
    this.index = index;
    this.address = address;
    /** Which database, where there are several. */
    this.db = db;
    this.state = state;
    /** Since when it has been in that state. */
    this.since = since;
    /** Why it was down the last time. */
    this.lastError = lastError;
    Object.freeze(this);
  }
}

class Connections {
  /** @type {Connection[]} */
  #connections;

  /**
   * @param {string[]} addresses
   * @param {{kind: string, db?: number}[]} instances
   */
  constructor(addresses, instances) {
    this.#connections = addresses.map((address, index) => {
      const { kind, db = 0 } = instances[index];
      return new Connection(
        index,
        address,
        kind === 'redis' ? db : undefined,
        'connecting',
        new Date(),
        undefined,
      );
    });
  }

  list() {
    return [...this.#connections];
  }

  /**
   * Takes a change over and returns the connection as it is now; undefined if it was like that before.
   *
   * @param {number} index
   * @param {State} state
   * @param {Trouble | undefined} trouble
   */
  change(index, state, trouble) {
    const before = this.#connections[index];
    if (before.state === state && !trouble) return undefined;
    const { address, db } = before;
    const lastError = trouble ? new ConnectionError(trouble, index, address) : before.lastError;
    const since = before.state === state ? before.since : new Date();
    const connection = new Connection(index, address, db, state, since, lastError);
    this.#connections[index] = connection;
    return connection;
  }
}

module.exports = { Connections };
