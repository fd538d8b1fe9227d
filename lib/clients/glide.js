'use strict';

/** @valkey/valkey-glide: commands as arrays of text. */

const { placeOf } = require('./address');
const { Client } = require('./client');
const { can, has, read, readAt } = require('./look');

/**
 * @param {any} client
 * @returns {Client | undefined}
 */
function recognise(client) {
  if (!can(client, 'customCommand')) return undefined;
  if (!can(client, 'invokeScript') && can(client, 'eval')) return undefined;
  const topology = has(client, 'invokeScriptWithRoute') ? 'cluster' : 'single';
  return new GlideClient(client, 'valkey-glide', topology);
}

class GlideClient extends Client {
  /** As given: what `select()` changed later can't be seen. */
  get db() {
    const config = read(this.client, 'config');
    return config ? Number(read(config, 'databaseId') ?? 0) : undefined;
  }

  places() {
    const addresses = readAt(this.client, 'config', 'addresses');
    if (!Array.isArray(addresses)) return undefined;
    const places = addresses.map((one) => placeOf(one));
    return { places, tls: Boolean(readAt(this.client, 'config', 'useTLS')) };
  }

  knowsDigests() {
    return true;
  }

  /**
   * @param {string} text
   * @param {string[]} keys
   * @param {string[]} args
   */
  eval(text, keys, args) {
    return this.client.customCommand(['EVAL', text, String(keys.length), ...keys, ...args]);
  }

  /**
   * @param {string} digest
   * @param {string[]} keys
   * @param {string[]} args
   */
  evalsha(digest, keys, args) {
    return this.client.customCommand(['EVALSHA', digest, String(keys.length), ...keys, ...args]);
  }

  /** It has no `quit`, and `close` answers nothing. */
  async quit() {
    return (await this.client.close()) ?? 'OK';
  }
}

module.exports = { recognise };
