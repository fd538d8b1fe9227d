'use strict';

/** What an engine tells its owner of its members: as events, and as what `connections` lists. */

const channels = require('../channels');
const { Connections } = require('../connections');
const { ConnectionError, troubleOf } = require('../errors');
const { LookAlikes } = require('../look-alikes');
const { call } = require('./calls');
const { Context } = require('./context');

/**
 * @typedef {import('./types').Owner} Owner
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

  /** @param {import('./types').MemberEvent} event of native's */
  emit(event) {
    const { instance } = event;
    const bridge = this.#bridges[instance];
    switch (event.event) {
      case 'clientError': {
        const address = this.#addresses[instance];
        const error = troubleOf(event, event.operation, instance, address);
        this.tell('clientError', error, { index: instance, address });
        break;
      }
      case 'connection': {
        const { state, code, reply, message } = event;
        const trouble = code === undefined ? undefined : { code, reply, message: String(message) };
        if (bridge) {
          const error = trouble && new ConnectionError(trouble, instance, this.#addresses[instance]);
          if (bridge.connectionIs(state, error)) this.#tellOfConnection(this.#connections.at(instance));
          break;
        }
        const connection = this.#connections.change(instance, state, trouble);
        if (connection) this.#tellOfConnection(connection);
        break;
      }
      case 'wakeups':
        this.#connections.changeWakeups(instance, event.why ?? undefined);
        break;
      case 'lookAlikes':
        this.#lookAlikes.note(event);
        break;
      case 'route': {
        const isChanged = bridge?.reroute(event.why, event.failed);
        if (isChanged || event.failed) this.#tellOfRoute(bridge);
      }
    }
  }

  /** @param {object} connection as `connections` lists it */
  #tellOfConnection(connection) {
    if (channels.connection.hasSubscribers) channels.connection.publish(connection);
    this.tell('connection', connection);
  }

  /** @param {import('../clients/bridge').Bridge | undefined} bridge at one or several indexes */
  #tellOfRoute(bridge) {
    this.#bridges.forEach((other, index) => {
      if (other === bridge) this.#tellOfConnection(this.#connections.at(index));
    });
  }
}

module.exports = { Events };
