'use strict';

/** ioredis 4, 5 and 6, iovalkey, which came from it, and ioredis-mock. */

const { endpointOf, endpointOfUrl } = require('./address');
const { Client, replaced } = require('./client');
const { can, has, read, readAll, readAt, withoutHost } = require('./inspect-object');
const { commonOf, firstReplaced, rememberOwn, rememberRunByDigest } = require('./pristine');

/**
 * @param {any} client
 * @returns {Client | undefined}
 */
function recognise(client) {
  if (!can(client, 'defineCommand') || !can(client, 'eval')) return undefined;
  if (read(client, 'isCluster') === true && has(client, 'connectionPool') && has(client, 'startupNodes')) {
    return new IoredisClient(client, libraryOf(client), 'cluster');
  }
  if (['commandQueue', 'offlineQueue', 'connector', 'options'].every((key) => has(client, key))) {
    const topology = isFilled(readAt(client, 'options', 'sentinels')) ? 'sentinel' : 'single';
    return new IoredisClient(client, libraryOf(client), topology);
  }
  if (has(client, 'keyData') && has(client, 'shaScripts')) {
    return new MockClient(client, 'ioredis-mock', 'single');
  }
  // Its clusters keep their data in their nodes.
  if (has(client, 'clusterNodes') && has(client, 'keyspaceEvents')) {
    return new MockClient(client, 'ioredis-mock', 'cluster');
  }
  return undefined;
}

/**
 * By what the others don't have.
 *
 * @param {any} client
 */
function libraryOf(client) {
  if (has(client, '_addedScriptHashes')) return 'ioredis 4';
  if (has(read(client, 'options'), 'himportFieldsets')) return 'ioredis 6';
  return can(client, 'waitaof') ? 'iovalkey' : 'ioredis 5';
}

/** @param {unknown} value */
function isFilled(value) {
  return Array.isArray(value) && value.length > 0;
}

class IoredisClient extends Client {
  /** A command of its library's own. @type {any} */
  #command;
  #isOwn = rememberOwn([...COMMANDS, ...SINGLE]);
  #isRunByDigest = rememberRunByDigest('evalsha');
  /** Whose writes wait. @type {import('node:net').Socket | undefined} */
  #corked;
  /** How many do. */
  #waiting = 0;

  get db() {
    if (this.topology === 'cluster') return 0;
    return numberOf(readAt(this.client, 'condition', 'select') ?? readAt(this.client, 'options', 'db') ?? 0);
  }

  get keyPrefix() {
    const prefix = readAt(this.client, 'options', 'keyPrefix');
    return typeof prefix === 'string' && prefix ? prefix : undefined;
  }

  endpoints() {
    const options = read(this.client, 'options');
    switch (this.topology) {
      case 'cluster': {
        const nodes = read(this.client, 'startupNodes');
        const tls = Boolean(readAt(options, 'redisOptions', 'tls'));
        return Array.isArray(nodes) ? { endpoints: nodes.map(endpointOfNode), tls } : undefined;
      }
      case 'sentinel': {
        const endpoints = Array.from(read(options, 'sentinels'), (one) => endpointOf(one, 26_379));
        return { endpoints, service: String(read(options, 'name')), tls: Boolean(read(options, 'tls')) };
      }
      default:
        return { endpoints: [endpointOf(options)], tls: Boolean(read(options, 'tls')) };
    }
  }

  get state() {
    if (this.isClosed) return 'down';
    const status = read(this.client, 'status');
    if (status === 'ready') return 'ready';
    return STARTING.includes(status) ? 'connecting' : 'down';
  }

  /** It refuses commands from `quit` on. */
  get isClosed() {
    const { client } = this;
    return read(client, 'status') === 'end' || read(client, 'manuallyClosing') === true;
  }

  /** @param {unknown[]} found */
  details(found = []) {
    const { client } = this;
    const options = read(client, 'options');
    const inner = read(options, 'redisOptions');
    let at = this.#findMethods(found);
    found[at++] = this.isClosed;
    found[at++] = read(options, 'keyPrefix');
    found[at++] = read(read(client, 'condition'), 'select') ?? read(options, 'db');
    found[at++] = read(options, 'username') ?? (inner && read(inner, 'username'));
    found[at++] = read(options, 'password') ?? (inner && read(inner, 'password'));
    found[at++] = read(options, 'host');
    found[at++] = read(options, 'port');
    found[at++] = read(options, 'path');
    return found;
  }

  connectionOptions() {
    const { client } = this;
    const options = read(client, 'options');
    const obstacle = this.#obstacle;
    if (obstacle) return { reason: obstacle };
    const inner = this.topology === 'cluster' ? read(options, 'redisOptions') : undefined;
    const given = readAll(withInner(inner, options), ...USED);
    const reason = UNREPRESENTABLE.find(({ is }) => is(given))?.reason;
    if (reason) return { reason };
    const common = {
      username: given.username,
      password: given.password,
      keyPrefix: this.keyPrefix,
      connectTimeout: given.connectTimeout,
      clientName: given.connectionName,
    };
    switch (this.topology) {
      case 'cluster': {
        const nodes = Array.from(read(client, 'startupNodes') ?? [], endpointOfNode);
        const cluster = nodes.map(({ host, port }) => ({ host, port: Number(port) }));
        return {
          config: {
            cluster,
            natMap: read(options, 'natMap'),
            redisOptions: { ...common, keyPrefix: undefined, tls: tlsOf(given) },
            keyPrefix: this.keyPrefix,
          },
        };
      }
      case 'sentinel': {
        const sentinels = Array.from(given.sentinels, (one) => {
          const { host, port } = endpointOf(one, 26_379);
          return { host, port };
        });
        const { name, sentinelUsername, sentinelPassword, sentinelTLS, enableTLSForSentinelMode } = given;
        return {
          config: {
            ...common,
            sentinels,
            name,
            db: this.db,
            // Without this the library ignores it.
            tls: enableTLSForSentinelMode ? tlsOf(given) : undefined,
            natMap: given.natMap,
            sentinelUsername,
            sentinelPassword,
            sentinelTLS,
            enableTLSForSentinelMode,
          },
        };
      }
      default: {
        const { host, port, path } = endpointOf(options);
        return {
          config: { ...common, db: this.db, ...(path ? { path } : { host, port, tls: tlsOf(given) }) },
        };
      }
    }
  }

  /** Who stands between it and the wire. */
  get #obstacle() {
    const isCluster = this.topology === 'cluster';
    const commands = this.obstacleOn(COMMANDS, FIELDS);
    if (commands) return commands;
    const obstacle = this.obstacleOn(isCluster ? CLUSTER : SINGLE, {});
    if (obstacle) return obstacle;
    const node = this.#nodes.map((one) => firstReplaced(one, SINGLE)).find(Boolean);
    if (node) return `of one of its nodes, ${replaced(node)}`;
    this.#command ??= commandOf(this.client);
    if (this.#hasTransformer) return 'its commands have a transformer of their arguments or replies';
    const bytes = firstReplaced(this.#command, COMMAND);
    if (bytes) return `of its commands, ${replaced(bytes)}`;
    const connector = read(this.client, 'connector');
    return isCluster || !firstReplaced(connector, CONNECTOR) ? undefined : 'it has a Connector of its own';
  }

  get #hasTransformer() {
    try {
      return this.#transformer !== undefined;
    } catch {
      return true;
    }
  }

  /** A cluster's connections to its nodes, as far as it has any. @returns {unknown[]} */
  get #nodes() {
    if (this.topology !== 'cluster') return NONE;
    const pool = read(this.client, 'connectionPool');
    const all = read(read(pool, 'nodes') ?? read(pool, 'nodeRecords'), 'all');
    return Object.values(all ?? {}).map((node) => read(node, 'redis') ?? node);
  }

  /** What somebody has had done to the arguments or replies of scripts, for all clients of this copy of the library. */
  get #transformer() {
    const kinds = this.#command?.constructor._transformer;
    if (!kinds) return undefined;
    const { argument, reply } = kinds;
    return argument.eval ?? argument.evalsha ?? reply.eval ?? reply.evalsha;
  }

  /**
   * What is on the way now, each to be compared with what was there before. As it is looked at before each request, each
   * is read at once: where one throws, all are another.
   *
   * @param {unknown[]} found where they are put, from its beginning on
   * @returns {number} how many they are
   */
  #findMethods(found) {
    let at = 0;
    try {
      const { client } = this;
      const { connector } = client;
      const command = this.#command;
      found[at++] = client.eval;
      found[at++] = client.evalsha;
      found[at++] = client.call;
      found[at++] = client.sendCommand;
      found[at++] = connector;
      found[at++] = connector?.connect;
      found[at++] = command?.initPromise;
      found[at++] = command?._iterateKeys;
      found[at++] = command?.stringifyArguments;
      found[at++] = command?.toWritable;
      found[at++] = this.#transformer;
      found[at++] = this.topology === 'cluster' ? commonOf(this.#nodes, 'sendCommand') : undefined;
    } catch {
      found.fill(undefined, 0, METHODS);
    }
    return METHODS;
  }

  /** The library writes each command by itself, which costs a call of the system for each. */
  gather() {
    // Who has replaced the way to the socket may look at it.
    if (!this.#isOwn(this.client, 'sendCommand') || !this.supportsEvalsha()) return false;
    // A cluster has several.
    const stream = this.topology === 'cluster' ? undefined : read(this.client, 'stream');
    if (stream instanceof net().Socket) this.#cork(stream);
    // One that waits to be connected is, when it is asked: with its owner's Connector, or password's function.
    return read(this.client, 'status') !== 'wait';
  }

  sendAll() {
    const stream = this.#corked;
    this.#corked = undefined;
    if (stream) net().uncork.call(stream);
  }

  /** @param {import('node:net').Socket} stream */
  #cork(stream) {
    net().cork.call(stream);
    this.#corked = stream;
    this.#waiting = 0;
  }

  /** One more will wait. The server carries those before it out while others are put to the client. */
  #makeRoom() {
    const stream = this.#corked;
    if (stream === undefined) return;
    if (this.#waiting === MOST_WAITING) {
      this.sendAll();
      this.#cork(stream);
    }
    this.#waiting += 1;
  }

  supportsEvalsha() {
    return this.#isRunByDigest(this.client);
  }

  /** @type {import('./client').RunScript} */
  eval(text, keys, args) {
    return this.#runScript('eval', text, keys, args);
  }

  /** @type {import('./client').RunScript} */
  evalsha(digest, keys, args) {
    return this.#runScript('evalsha', digest, keys, args);
  }

  /**
   * @param {'eval' | 'evalsha'} method
   * @param {string} script its text or its digest
   * @param {readonly string[]} keys
   * @param {readonly string[]} args
   */
  #runScript(method, script, keys, args) {
    const { client } = this;
    const count = keys.length;
    this.#makeRoom();
    if (!this.#isOwn(client, method)) return this.inDialect(method, script, keys, args);
    // Nearly all are such, and need no array of their words.
    if (count === 1 && args.length === 1) return client[method](script, 1, keys[0], args[0]);
    if (count === 1 && args.length === 2) return client[method](script, 1, keys[0], args[0], args[1]);
    // Flattened there: JavaScript can't pass any number of arguments.
    if (count > MOST_ARGUMENTS) return client[method](script, count, [...keys, ...args]);
    return client[method](script, count, ...keys, ...args);
  }
}

/** @type {{Socket: typeof import('node:net').Socket, cork: () => void, uncork: () => void} | undefined} */
let loadedNet;

/** What has to be there where there is such a client. Others need not wait for it. */
function net() {
  if (loadedNet === undefined) {
    const { Socket } = require('node:net');
    const { cork, uncork } = Socket.prototype;
    loadedNet = { Socket, cork, uncork };
  }
  return loadedNet;
}

const MOST_ARGUMENTS = 1000;
/** So many commands go out in one write. */
const MOST_WAITING = 64;
/** The way from `eval` to the socket. @type {import('./pristine').Step[]} */
const COMMANDS = ['eval', 'evalsha', 'call'].map((name) => ({
  name,
  beside: 'getBuiltinCommands',
  text: /showFriendlyErrorStack[\s\S]*replyEncoding/,
}));
const SINGLE = [
  { name: 'sendCommand', beside: 'resetOfflineQueue', text: /VALID_IN_SUBSCRIBER_MODE[\s\S]*offlineQueue/ },
];
const CLUSTER = [{ name: 'sendCommand', beside: 'resetOfflineQueue', text: /scaleReads[\s\S]*offlineQueue/ }];
/** What a command does with its arguments. @type {import('./pristine').Step[]} */
const COMMAND = [
  { name: 'initPromise', beside: 'getKeys', text: /\._transformer/ },
  { name: '_iterateKeys', beside: 'getKeys', text: /\.keys\.push\(/ },
  { name: 'stringifyArguments', beside: 'getKeys', text: /\.args\.length/ },
  // Carriage returns are written like that in whatever text.
  { name: 'toWritable', beside: 'getKeys', text: /\\r/ },
];
const CONNECTOR = [{ name: 'connect', beside: 'constructor', text: /createConnection/ }];

/** What is read of it, by where. */
const FIELDS = {
  '': ['options', 'condition', 'connector', 'connectionPool'],
  options: ['keyPrefix', 'host', 'port', 'path', 'db', 'username', 'password'],
};

/** @type {unknown[]} */
const NONE = [];

/** How many methods are looked at, whether they can be read or not. */
const METHODS = 12;

const STARTING = ['wait', 'connecting', 'connect', 'reconnecting'];

/** What a connection of our own has to know of a client's options. */
const USED = [
  ...['username', 'password', 'connectTimeout', 'connectionName', 'tls', 'sentinels', 'name', 'role'],
  ...['sentinelUsername', 'sentinelPassword', 'sentinelTLS', 'enableTLSForSentinelMode'],
  ...['Connector', 'natMap', 'dnsLookup'],
];

/**
 * A command of its library's own, which nobody else gives out: its `eval`, which is known to be the library's, makes
 * one for a client that sends none.
 *
 * @param {any} client
 */
function commandOf(client) {
  try {
    return client.eval.call({ options: {}, isPipeline: true, sendCommand: echo }, 'return 1', 0);
  } catch {
    return undefined;
  }
}

/** @param {unknown} command */
function echo(command) {
  return command;
}

/**
 * A cluster's options, and those of its nodes where it has none of its own.
 *
 * @param {any} inner
 * @param {any} options
 */
function withInner(inner, options) {
  return inner === undefined ? options : { ...inner, ...options };
}

/** What a connection of our own can't do as the client does it. */
const UNREPRESENTABLE = [
  { reason: 'it has a Connector of its own', is: (/** @type {any} */ { Connector }) => Boolean(Connector) },
  {
    reason: 'its natMap is a function',
    is: (/** @type {any} */ { natMap }) => typeof natMap === 'function',
  },
  {
    reason: 'it has a dnsLookup of its own',
    is: (/** @type {any} */ { dnsLookup }) => dnsLookup && dnsLookup !== require('node:dns').lookup,
  },
  { reason: 'its role is "slave"', is: (/** @type {any} */ { role }) => role === 'slave' },
  {
    reason: 'its credentials are made anew for each connection',
    is: (/** @type {any} */ { password, username }) =>
      [password, username].some((one) => one !== undefined && one !== null && typeof one !== 'string'),
  },
];

/** @param {any} options */
function tlsOf({ tls }) {
  return tls ? withoutHost(tls) : undefined;
}

class MockClient extends IoredisClient {
  get state() {
    return /** @type {const} */ ('ready');
  }

  connectionOptions() {
    return { reason: 'it has no server: it is a mock' };
  }

  endpoints() {
    return undefined;
  }

  // Each of its methods is its instances' own: a stub of `eval` can't be told from its own.
  supportsEvalsha() {
    return false;
  }
}

/** @param {unknown} node */
function endpointOfNode(node) {
  if (typeof node === 'object') return { ...endpointOf(node), path: undefined };
  if (/^\d+$/.test(String(node))) return { host: 'localhost', port: node };
  const url = String(node);
  return endpointOfUrl(url.includes('://') ? url : `redis://${url}`, 6379);
}

/** @param {unknown} value */
function numberOf(value) {
  const number = Number(value);
  return Number.isInteger(number) ? number : undefined;
}

module.exports = { recognise };
