'use strict';

/**
 * The Locker behind a face, for what a face's locks do by themselves.
 *
 * @typedef {import('./locker').Locker} Locker
 */

/** @type {WeakMap<object, Locker>} */
const lockers = new WeakMap();

module.exports = { lockers };
