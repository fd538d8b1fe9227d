'use strict';

/**
 * The locks under which routines of `using` run: they are kept alive here, though a routine may wait only for the signal's
 * event. Whoever waits for one of their names may be that routine.
 *
 * @typedef {{resource: readonly string[]}} Lock
 */

/** With the names that each had at first. @type {Map<Lock, readonly string[]>} */
const locks = new Map();
/** How many have each name. @type {Map<string, number>} */
const counts = new Map();

/** @param {Lock} lock */
function enter(lock) {
  const names = [...lock.resource];
  locks.set(lock, names);
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
}

/** @param {Lock} lock */
function leave(lock) {
  for (const name of locks.get(lock) ?? []) {
    const left = (counts.get(name) ?? 0) - 1;
    if (left > 0) counts.set(name, left);
    else counts.delete(name);
  }
  locks.delete(lock);
}

/**
 * Whether a routine has a lock of one of these names; perhaps on other servers.
 *
 * @param {readonly string[]} names
 */
function isInUse(names) {
  return counts.size > 0 && names.some((name) => counts.has(name));
}

module.exports = { enter, leave, isInUse };
