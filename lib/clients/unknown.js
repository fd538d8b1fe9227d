'use strict';

/** Anything else: stubs, fakes, wrappers and libraries that nobody here has heard of. */

const { Client } = require('./client');
const { can } = require('./inspect-object');
const { promiseOrCallback } = require('./reply');

/**
 * Whatever it is: what it lacks is said when it is first used, as mocks get their methods late.
 *
 * @param {any} client
 * @returns {Client}
 */
function recognise(client) {
  return new UnknownClient(client, 'unknown', 'unknown');
}

class UnknownClient extends Client {
  get lack() {
    if (can(this.client, 'eval') || this.supportsEvalsha()) return undefined;
    return this.dialect === 'eval' ? 'no "eval"' : 'neither an "evalsha" nor an "eval"';
  }

  supportsEvalsha() {
    return this.dialect !== 'eval' && can(this.client, 'evalsha');
  }

  /** @type {import('./client').RunScript} */
  eval(text, keys, args) {
    if (this.supportsEvalsha()) return this.inDialect('eval', text, keys, args);
    // It was made for ours.
    return promiseOrCallback((callback) => this.client.eval(text, keys.length, ...keys, ...args, callback));
  }

  /** @type {import('./client').RunScript} */
  evalsha(digest, keys, args) {
    return this.inDialect('evalsha', digest, keys, args);
  }

  async quit() {
    if (can(this.client, 'quit')) return super.quit();
    if (can(this.client, 'close')) return (await this.client.close()) ?? 'OK';
    return undefined;
  }
}

module.exports = { recognise };
