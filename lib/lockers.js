'use strict';

/**
 * The Locker behind a face, by reference: a Proxy of a Redlock, what Object.create makes of one and a copy with its
 * prototype find the same.
 *
 * @typedef {import('./locker').Locker} Locker
 */

const { bare } = require('./foreign');
const { wrongType } = require('./errors');

const BEHIND = Symbol('locker');

/**
 * Gives a face what is behind it, on a prototype of its own: nothing that lists its properties finds it there, while
 * whatever has its prototype does. As a function, which those leave alone who wrap all objects that they read.
 *
 * @param {object} face
 * @param {object} locker
 */
function putBehind(face, locker) {
  const own = { [BEHIND]: bare({ value: () => locker, configurable: true }) };
  Object.setPrototypeOf(face, Object.create(Object.getPrototypeOf(face), own));
}

/**
 * @param {any} face
 * @returns {any} undefined where there is none
 */
function lockerOf(face) {
  try {
    const tell = face?.[BEHIND];
    return typeof tell === 'function' ? tell() : undefined;
  } catch {
    // A Proxy's.
    return undefined;
  }
}

/**
 * What a method is called on.
 *
 * @param {any} face
 */
function behind(face) {
  const locker = lockerOf(face);
  if (locker) return locker;
  throw wrongType(
    'REDLOCK',
    'this is no Redlock: its methods are called on it, as redlock.lock(…), or are bound to it',
  );
}

module.exports = { putBehind, lockerOf, behind };
