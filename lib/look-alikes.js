'use strict';

/**
 * Members of a quorum that look like one server. Each votes for itself, so that such a server grants once and
 * says "held" the next time; only where all of them are one by nature is it asked once. Nothing is decided here:
 * it is said to people.
 *
 * @typedef {{instance: number, other: number, sole: boolean}} Pair
 * @typedef {{vote: string, code?: string}} Vote
 */

class LookAlikes {
  #addresses;
  /** @type {Pair[]} */
  #pairs = [];

  /** @param {string[]} addresses by instance, without secrets */
  constructor(addresses) {
    this.#addresses = addresses;
  }

  /** @param {Pair} pair */
  note({ instance, other, sole }) {
    this.#pairs = this.#pairs.filter((known) => known.other !== other);
    this.#pairs.push({ instance, other, sole });
    warn(this.#describe({ instance, other, sole }), sole);
  }

  /**
   * A clause for an error's cause, if one of two that look alike was in the other's way; else nothing.
   *
   * @param {Vote[]} votes by instance
   */
  suspicion(votes) {
    const inTheWay = this.#pairs.filter(({ instance, other, sole }) => {
      const two = [votes[instance], votes[other]];
      return !sole && two.some((vote) => vote?.vote === 'granted') && two.some(wasRefused);
    });
    const described = new Set(inTheWay.map((pair) => this.#describe(pair)));
    return [...described].map((what) => `; ${what}: list each server once`).join('');
  }

  /** @param {Pair} pair */
  #describe({ instance, other, sole }) {
    const [one, two] = [this.#addresses[instance], this.#addresses[other]];
    if (one === two) return `${one} is listed more than once`;
    return `${one} and ${two} ${sole ? 'are' : 'look like'} one server`;
  }
}

/** @param {Vote | undefined} vote */
function wasRefused(vote) {
  return vote?.vote === 'held' || vote?.code === 'ASKED_TWICE';
}

/** What was said already. @type {Set<string>} */
const told = new Set();

/**
 * @param {string} what
 * @param {boolean} sole
 */
function warn(what, sole) {
  const consequence = sole
    ? 'together they count as several members of the quorum, but if that server fails, they all fail'
    : 'each votes for itself, so that the server grants a lock once and refuses it the next time: list each server once';
  const message = `redlock-native: ${what}: ${consequence}`;
  if (told.has(message)) return;
  told.add(message);
  process.emitWarning(message, 'RedlockWarning', 'REDLOCK_TWINS');
}

module.exports = { LookAlikes };
