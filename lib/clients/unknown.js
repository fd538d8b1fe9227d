'use strict';

/** Anything else with an `eval`: stubs, fakes, wrappers and libraries that nobody here has heard of. */

const { Client, either } = require('./client');
const { can } = require('./look');

/**
 * @param {any} client
 * @returns {Client | undefined}
 */
function recognise(client) {
  return can(client, 'eval') ? new UnknownClient(client, 'unknown', 'unknown') : undefined;
}

/** Always by text: who stubs `eval` expects no other call, and a stubbed `evalsha` may answer anything. */
class UnknownClient extends Client {
  /**
   * @param {string} text
   * @param {string[]} keys
   * @param {string[]} args
   */
  eval(text, keys, args) {
    return either((callback) => this.client.eval(text, keys.length, ...keys, ...args, callback));
  }

  async quit() {
    if (can(this.client, 'quit')) return super.quit();
    if (can(this.client, 'close')) return (await this.client.close()) ?? 'OK';
    return undefined;
  }
}

module.exports = { recognise };
