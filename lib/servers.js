'use strict';

/**
 * A face's `servers`: it shows who is in the quorum, and others may be put in their place at any time, as in redlock 4.
 */

const { unreadable } = require('./errors');
const { elementsOf, isArray } = require('./foreign');

class Servers {
  /** What stands for each member. @type {unknown[]} */
  #voters = [];
  /** By that, what was passed for it: a server that is put into another order comes with its password. @type {Map<unknown, unknown>} */
  #passed = new Map();

  /**
   * Those of a quorum that was just opened.
   *
   * @param {unknown[]} voters
   * @param {unknown[]} instances that they were made of
   */
  set(voters, instances) {
    this.#voters = voters;
    this.#passed = new Map(voters.map((voter, index) => [voter, instances[index]]));
  }

  /**
   * What `servers` is to be: the caller's own array, unless it has what isn't to be seen.
   *
   * @param {unknown} servers
   */
  shown(servers) {
    return this.isSame(servers) ? servers : [...this.#voters];
  }

  /**
   * Whether they are the same as ever: asked before each request, so that it copies nothing.
   *
   * @param {any} servers
   */
  isSame(servers) {
    const known = this.#voters;
    if (!isArray(servers)) return false;
    try {
      for (let at = 0; at < known.length; at++) if (servers[at] !== known[at]) return false;
      return servers.length === known.length;
    } catch {
      return false;
    }
  }

  /**
   * @param {unknown} servers as they are shown, or others
   * @returns {unknown} what they were passed as
   */
  asPassed(servers) {
    if (!isArray(servers)) return servers;
    const listed = elementsOf(servers, unreadable('INSTANCES', 'instances'));
    return listed.map((one) => (this.#passed.has(one) ? this.#passed.get(one) : one));
  }
}

module.exports = { Servers };
