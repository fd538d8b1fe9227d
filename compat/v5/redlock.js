'use strict';

/** redlock 5's class, over our engine. */

const { EventEmitter } = require('node:events');

const { requireLocker } = require('../../lib/locker-registry');
const { random } = require('../../lib/retry');
const { Locker } = require('./locker');

/**
 * @typedef {import('./lock').Lock} Lock
 * @typedef {import('./settings').V5Settings} V5Settings
 * @typedef {import('./locker').Routine} Routine
 */

class Redlock extends EventEmitter {
  /** What stands for each member in the votes. @type {Set<unknown>} */
  clients = new Set();
  /** @type {Partial<V5Settings>} */
  settings = {};
  /** @type {any} each a text and its digest */
  scripts = {};

  /**
   * @param {Iterable<unknown>} clients
   * @param {any} [settings]
   * @param {any} [scripts]
   */
  constructor(clients, settings, scripts) {
    super();
    new Locker(this, clients, settings, scripts);
  }

  /** How each member is reached. */
  get connections() {
    return requireLocker(this).connections;
  }

  async quit() {
    await requireLocker(this).quit();
  }

  /**
   * @param {string[]} resources
   * @param {number} duration
   * @param {Partial<V5Settings>} [settings]
   * @returns {Promise<Lock>}
   */
  async acquire(resources, duration, settings) {
    return requireLocker(this).acquire(this, resources, duration, settings);
  }

  /**
   * @param {Lock} lock
   * @param {Partial<V5Settings>} [settings]
   */
  async release(lock, settings) {
    return requireLocker(this).release(this, lock, settings);
  }

  /**
   * @param {Lock} existing
   * @param {number} duration
   * @param {Partial<V5Settings>} [settings]
   * @returns {Promise<Lock>}
   */
  async extend(existing, duration, settings) {
    return requireLocker(this).extend(this, existing, duration, settings);
  }

  /**
   * @param {string[]} resources
   * @param {number} duration
   * @param {Partial<V5Settings> | Routine} settingsOrRoutine
   * @param {Routine} [optionalRoutine]
   */
  async using(resources, duration, settingsOrRoutine, optionalRoutine) {
    return requireLocker(this).using(this, resources, duration, settingsOrRoutine, optionalRoutine);
  }

  /**
   * Of the engine's events redlock 5 has one: what goes wrong with an extension that nobody waits for.
   *
   * @param {string | symbol} event
   * @param {...any} args
   */
  emit(event, ...args) {
    if (event === 'clientError') {
      // Nothing has to listen.
      if (this.listenerCount('error') > 0) super.emit('error', args[0]);
      return false;
    }
    return super.emit(event, ...args);
  }
}

/** Where it is overridden, it gives the values of locks, one for each attempt. */
Object.defineProperty(Redlock.prototype, '_random', { value: random, writable: true, configurable: true });

module.exports = { Redlock };
