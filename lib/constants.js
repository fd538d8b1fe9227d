'use strict';

/** The ends of time, in ms. */

/** The last moment that a Date can tell. */
const LAST_DATE = 8.64e15;

/**
 * For how long an extension may assume that a lock is valid which doesn't say so: for ever. The servers know whether it
 * is still there. Between any two Dates there is no longer time.
 */
const LONGEST_VALIDITY = 2 * LAST_DATE;

/** The longest time that is added to the engine's clock: a hundred years. */
const LONGEST_FROM_NOW = 3.2e12;

module.exports = { LAST_DATE, LONGEST_VALIDITY, LONGEST_FROM_NOW };
