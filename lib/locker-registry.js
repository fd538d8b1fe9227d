'use strict';

/**
 * The Locker behind a face, by reference: a Proxy of a Redlock, what Object.create makes of one and a copy with its
 * prototype find the same.
 */

const { bare } = require('./foreign');
const { wrongType } = require('./errors');

const LOCKER = Symbol('locker');

/**
 * Registers a face's Locker on a prototype that the face gets for itself: nothing that lists the face's properties finds
 * it there, and whatever inherits from the face does. It is a function that gives the Locker, since Proxies that wrap all
 * objects that are read leave functions alone.
 *
 * @param {object} face
 * @param {object} locker
 */
function registerLocker(face, locker) {
  const own = { [LOCKER]: bare({ value: () => locker, configurable: true }) };
  Object.setPrototypeOf(face, Object.create(Object.getPrototypeOf(face), own));
}

/**
 * @param {any} face
 * @returns {any} undefined where there is none
 */
function lockerOf(face) {
  try {
    const tell = face?.[LOCKER];
    return typeof tell === 'function' ? tell() : undefined;
  } catch {
    // A Proxy's.
    return undefined;
  }
}

/**
 * The Locker of what a method is called on.
 *
 * @param {any} face
 */
function requireLocker(face) {
  const locker = lockerOf(face);
  if (locker) return locker;
  const message = 'this is no Redlock: its methods are called on it, as redlock.lock(…), or are bound to it';
  throw wrongType('REDLOCK', message);
}

module.exports = { registerLocker, lockerOf, requireLocker };
