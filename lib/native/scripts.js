'use strict';

/** The callers' scripts that native knows by numbers: it is told of each set once, until it is forgotten. */

const { engines, mailbox, onRest } = require('./mailbox');
const { requests } = require('./requests');

/** @typedef {import('./types').Scripts} Scripts */

/** The engine's own scripts, not a caller's. */
const OWN_SCRIPTS = 0;

/** How many sets are remembered beside those in use: a caller may change scripts with each call. */
const MOST_LEARNED = 100;

/** By their texts, in the order of their use. @type {Map<string, number>} */
const learned = new Map();

onRest(() => learned.clear());

/**
 * @param {Scripts} given
 * @returns {number} what native knows this set by
 */
function learn(given) {
  // One that is absent is ours, and not what was left in `Object.prototype`.
  /** @type {Scripts} */
  const { acquire, extend, release } = Object.assign(Object.create(null), given);
  if (acquire === undefined && extend === undefined && release === undefined) return OWN_SCRIPTS;
  const key = JSON.stringify([acquire, extend, release]);
  const number = learned.get(key) ?? mailbox().addScripts(acquire, extend, release);
  // The last one is the one that was used last.
  learned.delete(key);
  learned.set(key, number);
  return number;
}

/** Forgets those that were not used for the longest time. Those that an engine uses stay. */
function forget() {
  if (learned.size <= MOST_LEARNED) return;
  const used = new Set([...engines.values()].map((engine) => engine.scripts));
  for (const [key, number] of learned) {
    if (learned.size <= MOST_LEARNED) break;
    if (used.has(number)) continue;
    learned.delete(key);
    // What was asked with them comes before.
    requests.flush();
    mailbox().removeScripts(number);
  }
}

module.exports = { OWN_SCRIPTS, learn, forget };
