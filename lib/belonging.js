'use strict';

/**
 * How a lock is told its Redlock where printing or serialising it must not lead there: by an accessor on a prototype
 * that the Redlock's locks have for themselves. So a copy that has a lock's prototype finds it too.
 *
 * @typedef {{new (redlock: any, ...args: any[]): any, prototype: any}} LockClass
 */

const { bare } = require('./foreign');

/**
 * @template {LockClass} C
 * @param {C} Lock of which the locks are
 */
function belongings(Lock) {
  /** @type {WeakMap<object, C>} */
  const classes = new WeakMap();

  // Of a lock that belongs to none.
  define(Lock.prototype, undefined);

  /**
   * The class of a Redlock's locks: to everybody else it is `Lock`.
   *
   * @param {object} redlock
   * @returns {C}
   */
  function classOf(redlock) {
    let Own = classes.get(redlock);
    if (Own === undefined) {
      Own = /** @type {C} */ (/** @type {unknown} */ (class extends /** @type {any} */ (Lock) {}));
      Reflect.deleteProperty(Own.prototype, 'constructor');
      define(Own.prototype, redlock);
      classes.set(redlock, Own);
    }
    return Own;
  }

  /**
   * A lock that is being made by its constructor.
   *
   * @param {any} lock
   * @param {any} redlock whatever was given for one
   * @param {Function | undefined} made the class that it is made of
   */
  function join(lock, redlock, made) {
    if (lock.redlock === redlock) return;
    const isObject = (typeof redlock === 'object' && redlock !== null) || typeof redlock === 'function';
    if (made === Lock && isObject) Object.setPrototypeOf(lock, classOf(redlock).prototype);
    else lock.redlock = redlock;
  }

  return { classOf, join };
}

/**
 * @param {object} prototype
 * @param {unknown} redlock
 */
function define(prototype, redlock) {
  const accessor = {
    get: () => redlock,
    /** @this {object} */
    set(/** @type {unknown} */ value) {
      hide(this, value);
    },
    configurable: true,
  };
  Object.defineProperty(prototype, 'redlock', bare(accessor));
}

/**
 * Makes it a property that nothing lists.
 *
 * @param {object} lock
 * @param {unknown} value
 */
function hide(lock, value) {
  Object.defineProperty(lock, 'redlock', bare({ value, writable: true, configurable: true }));
}

module.exports = { belongings, hide };
