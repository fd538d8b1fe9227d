'use strict';

/**
 * A lock's `redlock`, which printing or serialising the lock must not lead to: an accessor on a prototype that only the
 * locks of that Redlock have. So a copy that has a lock's prototype finds it too.
 *
 * @typedef {{new (redlock: any, ...args: any[]): any, prototype: any}} LockClass
 */

const { bare, hide } = require('./foreign');

/**
 * @template {LockClass} C
 * @param {C} Lock the locks' class
 * @param {() => any} makeBase makes what it extends anew: a class that extends none, with the same constructor. Only
 *   that of such a class is compiled into what calls it.
 */
function ownableLocks(Lock, makeBase) {
  /** @type {WeakMap<object, C>} */
  const classes = new WeakMap();

  // Each property that isn't there, as `then`, would be looked for in its base too.
  Object.setPrototypeOf(Lock.prototype, Object.prototype);
  // A lock without a Redlock finds none.
  defineOwner(Lock.prototype, undefined);

  /**
   * The class of a Redlock's locks: to everybody else it is `Lock`.
   *
   * @param {object} redlock
   * @returns {C}
   */
  function classOf(redlock) {
    let Own = classes.get(redlock);
    if (Own === undefined) {
      Own = /** @type {C} */ (makeBase());
      Reflect.deleteProperty(Own.prototype, 'constructor');
      Object.setPrototypeOf(Own.prototype, Lock.prototype);
      defineOwner(Own.prototype, redlock);
      classes.set(redlock, Own);
    }
    return Own;
  }

  /**
   * Gives a lock its Redlock, while its constructor runs.
   *
   * @param {any} lock
   * @param {any} redlock whatever was given for one
   * @param {Function | undefined} made the class that was called with `new`
   */
  function setOwner(lock, redlock, made) {
    if (lock.redlock === redlock) return;
    const isObject = (typeof redlock === 'object' && redlock !== null) || typeof redlock === 'function';
    if (made === Lock && isObject) Object.setPrototypeOf(lock, classOf(redlock).prototype);
    else lock.redlock = redlock;
  }

  return { classOf, setOwner };
}

/**
 * @param {object} prototype
 * @param {unknown} redlock
 */
function defineOwner(prototype, redlock) {
  const accessor = {
    get: () => redlock,
    /** @this {object} */
    set(/** @type {unknown} */ value) {
      hideOwner(this, value);
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
function hideOwner(lock, value) {
  hide(lock, 'redlock', value, true);
}

module.exports = { ownableLocks, hideOwner };
