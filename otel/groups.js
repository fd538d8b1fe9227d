'use strict';

/**
 * What the caller's `group` makes of resources' names. Names are unbounded, as ids are in them; so metrics have no name
 * without it, and of a function that makes too many groups only the first ones are told apart.
 */

const MOST_GROUPS = 1000;
const OTHERS = 'other';

class Groups {
  #group;
  #complain;
  /** @type {Set<string>} */
  #known = new Set();

  /**
   * @param {((resource: string) => string) | undefined} group
   * @param {(error: unknown) => void} complain
   */
  constructor(group, complain) {
    this.#group = group;
    this.#complain = complain;
  }

  /**
   * @param {readonly string[]} resource
   * @returns {import('@opentelemetry/api').Attributes}
   */
  attributesOf([name]) {
    if (this.#group === undefined || name === undefined) return {};
    try {
      return { 'redlock.group': this.#bounded(String(this.#group(name))) };
    } catch (error) {
      this.#complain(error);
      return {};
    }
  }

  /** @param {string} group */
  #bounded(group) {
    const known = this.#known;
    if (known.has(group)) return group;
    if (known.size >= MOST_GROUPS) return OTHERS;
    known.add(group);
    return group;
  }
}

module.exports = { Groups };
