'use strict';

/** From what the holders have told: whether two held one lock at a time, and whether an update was lost. */

const { NOBODY } = require('./ledger');

/**
 * @typedef {object} Hold what a holder tells of one resource
 * @property {string} holder
 * @property {string} resource
 * @property {number} from when it began to believe in its lock, in ms on the clock all share
 * @property {number} to until when it did: up to the release, or to the lock's end if that came first
 * @property {Update} [update] absent if it no longer held the lock when it was about to write
 *
 * @typedef {object} Update
 * @property {string} id
 * @property {string} read the id of the update that was found
 * @property {number} start in ms, as `from`
 * @property {number} end
 * @property {boolean} isInside whether the lock was still held after it. A holder that was stopped in the middle
 *   of writing can't know that in time, whatever the lock: its write is not its lock's to protect
 */

/**
 * Every hold that began before another's end, with that one.
 *
 * @param {Hold[]} holds
 * @returns {[Hold, Hold][]}
 */
function findOverlaps(holds) {
  /** @type {[Hold, Hold][]} */
  const overlaps = [];
  for (const all of byResource(holds).values()) {
    all.sort((one, other) => one.from - other.from);
    let longest = all[0];
    for (const hold of all.slice(1)) {
      if (hold.from < longest.to) overlaps.push([longest, hold]);
      if (hold.to > longest.to) longest = hold;
    }
  }
  return overlaps;
}

/**
 * Every update made inside a lock's validity that the next one, or who looks at the end, didn't find.
 *
 * @param {Hold[]} holds
 * @param {(resource: string) => {id: string}} readLast what stands in a resource's file at the end
 * @returns {{resource: string, lost: Update, found: string}[]}
 */
function findLost(holds, readLast) {
  const lost = [];
  for (const [resource, all] of byResource(holds)) {
    const updates = all.flatMap(({ update }) => update ?? []).sort((one, other) => one.start - other.start);
    const astray = updates.filter(({ isInside }) => !isInside);
    let last = { id: NOBODY, read: NOBODY, start: -Infinity, end: -Infinity, isInside: true };
    const look = (/** @type {string} */ found) => {
      if (found === last.id) return;
      // One that was written past its lock's end may have come after it.
      if (astray.some(({ id, end }) => id === found && end > last.start)) return;
      lost.push({ resource, lost: last, found });
    };
    for (const update of updates.filter(({ isInside }) => isInside)) {
      look(update.read);
      last = update;
    }
    look(readLast(resource).id);
  }
  return lost;
}

/** @param {Hold[]} holds */
function byResource(holds) {
  /** @type {Map<string, Hold[]>} */
  const groups = new Map();
  for (const hold of holds) {
    const group = groups.get(hold.resource);
    if (group) group.push(hold);
    else groups.set(hold.resource, [hold]);
  }
  return groups;
}

module.exports = { findOverlaps, findLost };
