'use strict';

/**
 * What both sides of the hand-over agree on (docs/hand-over.md): native decides it, JavaScript has none of its own. And the
 * ends of time, in ms.
 */

const { constants } = require('./addon');

/** The last moment that a Date can tell. */
const LAST_DATE = 8.64e15;

/**
 * For how long an extension may assume that a lock is valid which doesn't say so: for ever. The servers know whether it
 * is still there. Between any two Dates there is no longer time.
 */
const LONGEST_VALIDITY = 2 * LAST_DATE;

const native = constants();

/** The longest time that is added to the engine's clock: a hundred years. */
const LONGEST_FROM_NOW = native.forEver;

module.exports = { ...native, LAST_DATE, LONGEST_VALIDITY, LONGEST_FROM_NOW };
