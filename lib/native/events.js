'use strict';

/** What an engine tells its owner of its members: as events, and as what `connections` lists. */

const { Connections } = require('../connections');
const { ConnectionError, troubleOf } = require('../errors');
const { LookAlikes } = require('../look-alikes');
const { call } = require('./calls');
const { Context } = require('./context');

/**
 * @typedef {import('./types').Owner} Owner
 * @typedef {import('./types').ConnectionEvent} ConnectionEvent
 * @typedef {import('./types').ClientErrorEvent} ClientErrorEvent
 * @typedef {import('../clients/bridge').Bridge} Bridge
 */

/** In which context each owner was made: its events are told there. @type {WeakMap<Owner, Context>} */
const contexts = new WeakMap();

class Events {
  /** @type {WeakRef<Owner>} */
  #owner;
  #addresses;
  /** The caller's clients, by their index. */
  #bridges;
  #connections;
  #lookAlikes;

  /**
   * @param {Owner} owner is not kept alive
   * @param {string[]} addresses by instance
   * @param {import('../types').Member[]} members
   */
  constructor(owner, addresses, members) {
    if (!contexts.has(owner)) contexts.set(owner, new Context());
    this.#owner = new WeakRef(owner);
    this.#addresses = addresses;
    this.#bridges = members.map(({ bridge }) => bridge);
    this.#connections = new Connections(addresses, members);
    this.#lookAlikes = new LookAlikes(addresses);
  }

  /** How the connections are now. */
  get connections() {
    return this.#connections.list();
  }

  /**
   * What is to be said of members that look like one server, where that may be why a lock was not had.
   *
   * @param {import('./types').NativeVote[]} votes
   */
  suspicion(votes) {
    return this.#lookAlikes.suspicion(votes);
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
    contexts.get(owner)?.runInAsyncScope(call, undefined, emit);
  }

  /** @param {ClientErrorEvent} event */
  clientError(event) {
    const { operation, instance } = event;
    const address = this.#addresses[instance];
    this.tell('clientError', troubleOf(event, operation, instance, address), { index: instance, address });
  }

  /** @param {ConnectionEvent} event */
  connection({ instance, state, code, reply, message }) {
    const trouble = code === undefined ? undefined : { code, reply, message: String(message) };
    const bridge = this.#bridges[instance];
    if (bridge) {
      const error = trouble && new ConnectionError(trouble, instance, this.#addresses[instance]);
      if (bridge.connectionIs(state, error)) this.tell('connection', this.#connections.at(instance));
      return;
    }
    const connection = this.#connections.change(instance, state, trouble);
    if (connection) this.tell('connection', connection);
  }

  /** @param {import('./types').LookAlikesEvent} event */
  lookAlikes(event) {
    this.#lookAlikes.note(event);
  }

  /**
   * @param {number} instance
   * @param {string | null} why a caller's client is asked; null if our own connection is
   * @param {boolean} isBroken whether something is wrong with our own
   */
  route(instance, why, isBroken) {
    const bridge = this.#bridges[instance];
    const isChanged = bridge?.reroute(why, isBroken);
    if (isChanged || isBroken) this.#tellOfRoute(bridge);
  }

  /** @param {Bridge | undefined} bridge at one or several indexes */
  #tellOfRoute(bridge) {
    this.#bridges.forEach((other, index) => {
      if (other === bridge) this.tell('connection', this.#connections.at(index));
    });
  }
}

module.exports = { Events };
