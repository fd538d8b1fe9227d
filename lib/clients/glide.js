'use strict';

/** @valkey/valkey-glide: commands as arrays of text. */

const { endpointOf } = require('./address');
const { Client } = require('./client');
const { can, has, read, readAll, readAt } = require('./inspect-object');

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

  endpoints() {
    const addresses = readAt(this.client, 'config', 'addresses');
    if (!Array.isArray(addresses)) return undefined;
    const endpoints = addresses.map((one) => endpointOf(one));
    return { endpoints, tls: Boolean(readAt(this.client, 'config', 'useTLS')) };
  }

  get state() {
    return this.isClosed ? 'down' : 'ready';
  }

  get isClosed() {
    return read(this.client, 'isClosed') === true;
  }

  details() {
    const config = read(this.client, 'config');
    return [
      this.isClosed,
      ...STEPS.map(({ name }) => read(this.client, name)),
      read(config, 'databaseId'),
      read(config, 'credentials'),
    ];
  }

  connectionOptions() {
    const { client } = this;
    const config = read(client, 'config');
    const { addresses, credentials, useTLS, advancedConfiguration, clientName } = readAll(
      config,
      ...['addresses', 'credentials', 'useTLS', 'advancedConfiguration', 'clientName'],
    );
    if (!Array.isArray(addresses)) return super.connectionOptions();
    const obstacle = this.obstacleOn(STEPS, FIELDS);
    if (obstacle) return { reason: obstacle };
    const password = read(credentials, 'password');
    if (credentials && typeof password !== 'string') return { reason: 'its credentials are no password' };
    const secured = read(advancedConfiguration, 'tlsAdvancedConfiguration');
    const { insecure, rootCertificates } = readAll(secured, 'insecure', 'rootCertificates');
    const tls = useTLS
      ? { rejectUnauthorized: insecure ? false : undefined, ca: rootCertificates }
      : undefined;
    const common = { username: read(credentials, 'username'), password, clientName };
    const endpoints = addresses.map((one) => endpointOf(one)).map(({ host, port }) => ({ host, port }));
    if (this.topology === 'cluster')
      return { config: { cluster: endpoints, redisOptions: { ...common, tls } } };
    if (endpoints.length > 1) return { reason: 'which of its addresses is the master is known to it alone' };
    return { config: { ...endpoints[0], ...common, db: this.db, tls } };
  }

  supportsEvalsha() {
    return true;
  }

  /** @type {import('./client').RunScript} */
  eval(text, keys, args) {
    return this.client.customCommand(['EVAL', text, String(keys.length), ...keys, ...args]);
  }

  /** @type {import('./client').RunScript} */
  evalsha(digest, keys, args) {
    return this.client.customCommand(['EVALSHA', digest, String(keys.length), ...keys, ...args]);
  }

  /** It has no `quit`, and `close` answers nothing. */
  async quit() {
    return (await this.client.close()) ?? 'OK';
  }
}

/** The way from a command to the socket. @type {import('./pristine').Step[]} */
const STEPS = [
  { name: 'customCommand', beside: 'configRewrite', text: /createWritePromise/ },
  { name: 'createWritePromise', beside: 'writeOrBufferRequest', text: /writeOrBufferCommandRequest/ },
  { name: 'writeOrBufferCommandRequest', beside: 'writeOrBufferRequest', text: /writeOrBufferRequest/ },
  { name: 'writeOrBufferRequest', beside: 'createWritePromise', text: /requestWriter/ },
  { name: 'writeBufferedRequestsToSocket', beside: 'createWritePromise', text: /requestWriter/ },
];

/** What is read of it, by where. */
const FIELDS = { '': ['config'], config: ['addresses', 'databaseId', 'credentials'] };

module.exports = { recognise };
