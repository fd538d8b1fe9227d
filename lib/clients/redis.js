'use strict';

/** redis 2 and 3, as node-redis was called then: callbacks and flat arrays. */

const { endpointOf } = require('./address');
const { Client } = require('./client');
const { can, has, isReplaced, read, readAt, withoutHost } = require('./inspect-object');
const { rememberOwn } = require('./pristine');
const { promiseOrCallback } = require('./reply');

/**
 * @param {any} client
 * @returns {Client | undefined}
 */
function recognise(client) {
  const isOne =
    can(client, 'internal_send_command') &&
    can(client, 'eval') &&
    ['connection_options', 'connection_id', 'command_queue'].every((key) => has(client, key));
  return isOne
    ? new RedisClient(client, has(client, 'auth_user') ? 'redis 3' : 'redis 2', 'single')
    : undefined;
}

class RedisClient extends Client {
  #isOwn = rememberOwn(STEPS);

  get db() {
    return Number(read(this.client, 'selected_db') ?? readAt(this.client, 'options', 'db') ?? 0);
  }

  get keyPrefix() {
    const prefix = readAt(this.client, 'options', 'prefix');
    return typeof prefix === 'string' && prefix ? prefix : undefined;
  }

  endpoints() {
    const tls = Boolean(readAt(this.client, 'options', 'tls'));
    return { endpoints: [endpointOf(read(this.client, 'connection_options'))], tls };
  }

  get state() {
    if (this.isClosed) return 'down';
    return read(this.client, 'ready') ? 'ready' : 'connecting';
  }

  get isClosed() {
    return read(this.client, 'closing') === true;
  }

  details() {
    const { client } = this;
    const options = read(client, 'options');
    return [
      this.isClosed,
      ...STEPS.map(({ name }) => read(client, name)),
      read(options, 'prefix'),
      read(client, 'selected_db'),
      read(client, 'auth_user'),
      read(client, 'auth_pass'),
      read(client, 'address'),
    ];
  }

  connectionOptions() {
    const { client } = this;
    const options = read(client, 'options');
    const obstacle = this.obstacleOn(STEPS, FIELDS);
    if (obstacle) return { reason: obstacle };
    if (read(options, 'rename_commands')) return { reason: 'its commands are renamed' };
    const { host, port, path } = endpointOf(read(client, 'connection_options'));
    const tls = read(options, 'tls');
    const place = path ? { path } : { host, port, tls: tls ? withoutHost(tls) : undefined };
    return {
      config: {
        ...place,
        username: read(client, 'auth_user') ?? read(options, 'user'),
        password: read(client, 'auth_pass') ?? read(options, 'password'),
        db: this.db,
        keyPrefix: this.keyPrefix,
        connectTimeout: read(options, 'connect_timeout'),
      },
    };
  }

  supportsEvalsha() {
    return can(this.client, 'evalsha') && !isReplaced(this.client, 'eval', 'evalsha');
  }

  /** @type {import('./client').RunScript} */
  eval(text, keys, args) {
    if (!this.#isOwn(this.client, 'eval')) return this.inDialect('eval', text, keys, args);
    return promiseOrCallback((callback) => this.client.eval([text, keys.length, ...keys, ...args], callback));
  }

  /** @type {import('./client').RunScript} */
  evalsha(digest, keys, args) {
    if (!this.#isOwn(this.client, 'evalsha')) return this.inDialect('evalsha', digest, keys, args);
    return promiseOrCallback((callback) =>
      this.client.evalsha([digest, keys.length, ...keys, ...args], callback),
    );
  }

  quit() {
    return promiseOrCallback((callback) => this.client.quit(callback));
  }
}

/** The way from `eval` to the socket. @type {import('./pristine').Step[]} */
const STEPS = [
  { name: 'eval', beside: 'flush_and_error', text: /\.internal_send_command\(new / },
  { name: 'evalsha', beside: 'flush_and_error', text: /\.internal_send_command\(new / },
  { name: 'send_command', beside: 'flush_and_error', text: /\.internal_send_command\(new / },
  { name: 'sendCommand', beside: 'flush_and_error', text: /\.internal_send_command\(new / },
  { name: 'internal_send_command', beside: 'flush_and_error', text: /fire_strings[\s\S]*command_queue/ },
  { name: 'write', beside: 'flush_and_error', text: /pipeline_queue/ },
  { name: 'write_strings', beside: 'flush_and_error', text: /pipeline_queue/ },
  { name: 'write_buffers', beside: 'flush_and_error', text: /pipeline_queue/ },
];

/** What is read of it, by where. */
const FIELDS = {
  '': ['options', 'connection_options', 'selected_db', 'auth_user', 'auth_pass', 'address'],
  options: ['prefix', 'db', 'user', 'password'],
};

module.exports = { recognise };
