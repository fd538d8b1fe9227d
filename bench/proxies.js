'use strict';

const path = require('node:path');

const { HOST } = require('../scripts/free-port');
const { Helper } = require('./helper');

/**
 * What may go wrong between a contender and the servers; bench/proxy.js says what each is.
 *
 * @typedef {{lag?: number, drop?: boolean, cut?: boolean}} Fault
 */

/** One in front of each server, all in a process of their own. */
class Proxies {
  #helper;

  /**
   * @param {Fault} fault
   * @param {import('../scripts/servers').RedisServer[]} servers
   */
  constructor(fault, servers) {
    const ports = servers.map(({ port }) => String(port));
    this.#helper = new Helper(path.join(__dirname, 'proxy.js'), [JSON.stringify(fault), ...ports]);
  }

  /** Resolves with what stands in for the servers. */
  async open() {
    const ports = await this.#helper.open();
    return ports.map((port) => ({ url: `redis://${HOST}:${port}` }));
  }

  /**
   * How often each command was sent so far, to all servers together, by name.
   *
   * @returns {Promise<Record<string, number>>}
   */
  async commands() {
    return this.#helper.ask({});
  }

  async close() {
    await this.#helper.close();
  }
}

module.exports = { Proxies };
