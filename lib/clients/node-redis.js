'use strict';

/**
 * node-redis 4, 5 and 6: an object of options, string arguments and promises. A wrong shape isn't
 * refused there: callbacks are dropped silently, and keys in a row run the script without any.
 */

const { types } = require('node:util');

const { endpointOf, endpointOfUrl } = require('./address');
const { Client, replaced } = require('./client');
const { can, has, isReplaced, read, readAll, readAt, withoutHost } = require('./inspect-object');
const { commonOf, firstReplaced, rememberRunByDigest } = require('./pristine');
const { promiseOrCallback } = require('./reply');

/**
 * @param {any} client
 * @returns {Client | undefined}
 */
function recognise(client) {
  if (!can(client, 'evalSha') || !can(client, 'eval')) return undefined;
  // A fake has what its author needed; `evalSha`, spelled like that, is of this library alone.
  if (!has(client, 'isOpen')) {
    if (can(client, 'EVALSHA')) return new CallbackClient(client, legacyOf(client), 'single');
    if (can(client, 'evalsha')) return undefined;
    return new NodeRedisClient(client, 'node-redis', 'unknown');
  }
  if (can(read(client, 'v4'), 'evalSha')) return new LegacyModeClient(client, 'node-redis 4', 'single');
  const library = libraryOf(client);
  const topology = topologyOf(client);
  const isUnrouted = library === 'node-redis 4' && topology === 'cluster' && can(client, 'sendCommand');
  return new (isUnrouted ? UnroutedClient : NodeRedisClient)(client, library, topology);
}

/** @param {any} client */
function libraryOf(client) {
  if (!has(client, 'withTypeMapping')) return 'node-redis 4';
  return isSix(client) ? 'node-redis 6' : 'node-redis 5';
}

/** @param {any} client */
function legacyOf(client) {
  return isSix(client) ? 'node-redis 6' : 'node-redis 5';
}

/** @param {any} client */
function isSix(client) {
  return has(client, '_keyPrefix') || has(client, 'arCount');
}

/** @param {any} client */
function topologyOf(client) {
  if (has(client, 'nodeClient') || has(client, 'getSlotMaster')) return 'cluster';
  if (has(client, 'getMasterNode') && has(client, 'use')) return 'sentinel';
  if (has(client, 'execute') && has(client, 'totalClients')) return 'pool';
  return 'single';
}

class NodeRedisClient extends Client {
  #isRunByDigest = rememberRunByDigest('evalSha');

  /** As given: what `select()` changed later can't be seen. */
  get db() {
    if (this.topology === 'cluster') return 0;
    const options = read(this.client, 'options');
    return options ? Number(read(options, 'database') ?? 0) : undefined;
  }

  get keyPrefix() {
    // Versions 4 and 5 ignore such an option.
    if (this.library === 'node-redis 4' || this.library === 'node-redis 5') return undefined;
    const prefix =
      readAt(this.client, 'options', 'keyPrefix') ?? readAt(this.client, '_options', 'keyPrefix');
    const known = prefix ?? read(this.client, '_keyPrefix');
    return typeof known === 'string' && known ? known : undefined;
  }

  endpoints() {
    if (this.topology === 'cluster') {
      const options = read(this.client, '_options');
      const nodes = read(options, 'rootNodes');
      if (!Array.isArray(nodes)) return undefined;
      const tls = Boolean(readAt(options, 'defaults', 'socket', 'tls') ?? readAt(nodes[0], 'socket', 'tls'));
      return {
        endpoints: nodes.map(endpointOfNode),
        tls: tls || String(read(nodes[0], 'url')).startsWith('rediss'),
      };
    }
    if (this.topology !== 'single') return undefined;
    const options = read(this.client, 'options');
    if (!options) return undefined;
    const socket = read(options, 'socket');
    return { endpoints: [endpointOf(socket)], tls: Boolean(read(socket, 'tls')) };
  }

  get state() {
    if (this.isClosed) return 'down';
    // Pools, and clusters of versions 4 and 5, only say whether they are open.
    const isReady = read(this.client, 'isReady') ?? true;
    return isReady ? 'ready' : 'connecting';
  }

  get isClosed() {
    return read(this.client, 'isOpen') === false;
  }

  details() {
    const { client } = this;
    const options = read(client, 'options');
    const socket = read(options, 'socket');
    return [
      ...this.methods,
      this.isClosed,
      this.keyPrefix,
      read(options, 'database'),
      read(options, 'username'),
      read(options, 'password'),
      read(socket, 'host'),
      read(socket, 'port'),
      read(socket, 'path'),
    ];
  }

  connectionOptions() {
    if (this.topology === 'cluster') return this.clusterConnectionOptions();
    const options = read(this.client, 'options');
    if (this.topology !== 'single' || !options) return super.connectionOptions();
    const obstacle = this.obstacle;
    if (obstacle) return { reason: obstacle };
    const reason = unrepresentable(options);
    if (reason) return { reason };
    const { socket, username, password, name } = readAll(options, 'socket', 'username', 'password', 'name');
    const { host, port, path } = endpointOf(socket);
    return {
      config: {
        ...(path ? { path } : { host, port, tls: read(socket, 'tls') ? withoutHost(socket) : undefined }),
        username,
        password,
        db: this.db,
        keyPrefix: this.keyPrefix,
        connectTimeout: read(socket, 'connectTimeout'),
        clientName: name,
      },
    };
  }

  /** @private @returns {import('./client').ConnectionOptions} */
  clusterConnectionOptions() {
    const options = read(this.client, '_options');
    const nodes = read(options, 'rootNodes');
    if (!Array.isArray(nodes)) return super.connectionOptions();
    const obstacle = this.obstacle;
    if (obstacle) return { reason: obstacle };
    if (read(options, 'nodeAddressMap') !== undefined) return { reason: 'it has a nodeAddressMap' };
    const defaults = read(options, 'defaults');
    const reason = [defaults, ...nodes].map(unrepresentable).find(Boolean);
    if (reason) return { reason };
    return {
      config: {
        rootNodes: nodes.map(connectionOf),
        defaults: defaults && connectionOf(defaults),
        keyPrefix: this.keyPrefix,
      },
    };
  }

  /** Who stands between it and the wire. @private */
  get obstacle() {
    const version = /** @type {keyof STEPS} */ (this.library);
    const [single, cluster] = STEPS[version] ?? [[], []];
    const obstacle = this.obstacleOn(this.topology === 'cluster' ? cluster : single, FIELDS);
    if (obstacle) return obstacle;
    const node = this.nodes.map((one) => firstReplaced(one, single)).find(Boolean);
    return node && `of one of its nodes, ${replaced(node)}`;
  }

  /** What is on the way now, to be compared: looked at before each request, hence at once. @private @returns {unknown[]} */
  get methods() {
    try {
      const { client } = this;
      const { eval: run, evalSha, sendCommand, _executeCommand: execute } = client;
      if (this.topology !== 'cluster') return [run, evalSha, sendCommand, execute];
      const { nodes } = this;
      const common = [commonOf(nodes, 'sendCommand'), commonOf(nodes, '_executeCommand')];
      return [run, evalSha, sendCommand, client._execute, client._executeWithPolicies, ...common];
    } catch {
      return UNREADABLE;
    }
  }

  /** A cluster's connections to its nodes, as far as they can be seen. @private @returns {unknown[]} */
  get nodes() {
    if (this.topology !== 'cluster') return NONE;
    const masters = readAt(this.client, '_slots', 'masters');
    if (!Array.isArray(masters)) return NONE;
    return masters.map((node) => read(node, 'client')).filter((client) => can(client, 'sendCommand'));
  }

  supportsEvalsha() {
    return this.#isRunByDigest(this.client);
  }

  /** @type {import('./client').RunScript} */
  eval(text, keys, args) {
    return this.client.eval(text, { keys: [...keys], arguments: [...args] });
  }

  /** @type {import('./client').RunScript} */
  evalsha(digest, keys, args) {
    return this.client.evalSha(digest, { keys: [...keys], arguments: [...args] });
  }

  /** Pools and sentinels, and version 5's and 6's own recommendation, know `close` only, which answers nothing. */
  async quit() {
    if (can(this.client, 'quit')) return this.client.quit();
    return (await this.client.close()) ?? 'OK';
  }
}

/**
 * A cluster of version 4: it looks for the first key of an `eval` in the wrong place, asks any server and
 * gives up after some MOVED. `sendCommand` is told the key.
 */
class UnroutedClient extends NodeRedisClient {
  /** @type {import('./client').RunScript} */
  eval(text, keys, args) {
    // Whoever replaced it wants to see the call; a Proxy sees either.
    const isReplacedHere = !types.isProxy(this.client) && isReplaced(this.client, 'eval', 'evalSha');
    if (!keys.length || isReplacedHere) return super.eval(text, keys, args);
    return this.client.sendCommand(keys[0], false, ['EVAL', text, String(keys.length), ...keys, ...args]);
  }

  /** @type {import('./client').RunScript} */
  evalsha(digest, keys, args) {
    if (!keys.length) return super.evalsha(digest, keys, args);
    return this.client.sendCommand(keys[0], false, [
      'EVALSHA',
      digest,
      String(keys.length),
      ...keys,
      ...args,
    ]);
  }
}

/** Version 4 with `legacyMode`: its own shape is found in `v4`. */
class LegacyModeClient extends NodeRedisClient {
  connectionOptions() {
    return { reason: 'in legacyMode it can\'t be told whether its "eval" was replaced' };
  }

  // Its methods are its instances' own: a stub of `eval` can't be told from its own.
  supportsEvalsha() {
    return can(this.client.v4, 'evalSha');
  }

  /** @type {import('./client').RunScript} */
  eval(text, keys, args) {
    return this.client.v4.eval(text, { keys: [...keys], arguments: [...args] });
  }

  /** @type {import('./client').RunScript} */
  evalsha(digest, keys, args) {
    return this.client.v4.evalSha(digest, { keys: [...keys], arguments: [...args] });
  }

  async quit() {
    return this.client.v4.quit();
  }
}

/** What `.legacy()` of versions 5 and 6 makes: callbacks, and no way to see what is behind. */
class CallbackClient extends Client {
  /** @type {import('./client').RunScript} */
  eval(text, keys, args) {
    const flat = [text, String(keys.length), ...keys, ...args];
    return promiseOrCallback((callback) => this.client.eval(flat, callback));
  }

  /** Version 5 gives it no `quit`: whoever has the client it was made of ends it. */
  async quit() {
    if (!can(this.client, 'quit')) return undefined;
    try {
      return await promiseOrCallback((callback) => this.client.quit(callback));
    } catch (error) {
      // Whether it is closed can't be read off it.
      if (read(error, 'message') === 'The client is closed') return 'OK';
      throw error;
    }
  }
}

/**
 * What a connection of our own can't do as the client does it.
 *
 * @param {any} options
 */
function unrepresentable(options) {
  const { credentialsProvider, username, password, socket } = readAll(
    options,
    ...['credentialsProvider', 'username', 'password', 'socket'],
  );
  // Versions 5 and 6 make a provider of a username and a password.
  const isOwn = username === undefined && password === undefined;
  if (credentialsProvider && (isOwn || read(credentialsProvider, 'type') !== 'async-credentials-provider')) {
    return 'its credentials come from a provider of its own';
  }
  return read(socket, 'lookup') ? 'its socket has a lookup of its own' : undefined;
}

/**
 * What a connection of our own takes of a node's options; the rest is the library's own business.
 *
 * @param {any} options
 */
function connectionOf(options) {
  const { url, socket, username, password } = readAll(options, 'url', 'socket', 'username', 'password');
  const own = socket && withoutHost(socket);
  const { host, port, path, tls, connectTimeout } = readAll(
    socket,
    ...['host', 'port', 'path', 'tls', 'connectTimeout'],
  );
  return { url, username, password, socket: socket && { ...own, host, port, path, tls, connectTimeout } };
}

/** What is read of it, by where. */
const FIELDS = {
  '': ['_options', '_slots', '_self'],
  options: ['socket', 'database', 'keyPrefix', 'username', 'password'],
  _options: ['rootNodes', 'defaults', 'keyPrefix'],
};

/** @type {unknown[]} */
const NONE = [];

/** As many as there are of a cluster's. @type {unknown[]} */
const UNREADABLE = Array(7).fill(undefined);

/** @param {unknown} node */
function endpointOfNode(node) {
  const url = read(node, 'url');
  return url === undefined ? endpointOf(read(node, 'socket')) : endpointOfUrl(url, 6379);
}

/** Commands that one function has made, of a parser's; and the way on. */
const PARSED = /\.parseCommand\([\s\S]*_execute/;
/** @type {import('./pristine').Step[]} */
const SINGLE = [
  { name: 'eval', beside: 'incrByFloat', text: PARSED },
  { name: 'evalSha', beside: 'incrByFloat', text: PARSED },
  { name: '_executeCommand', beside: 'withTypeMapping', text: /\.redisArgs/ },
  { name: 'sendCommand', beside: 'withTypeMapping', text: /\.addCommand\(/ },
  { name: 'options', beside: 'withTypeMapping', isAccessor: true },
];
/** @type {import('./pristine').Step[]} */
const CLUSTER = [
  { name: 'eval', beside: 'incrByFloat', text: PARSED },
  { name: 'evalSha', beside: 'incrByFloat', text: PARSED },
  { name: '_execute', beside: 'withTypeMapping', text: /maxCommandRedirections/ },
  { name: 'sendCommand', beside: 'withTypeMapping', text: /\._execute/ },
];
/** Whole, as all commands of version 4 are. */
const CALLED =
  /^(async )?function ?\w* ?\(\.\.\.(\w+)\) ?\{\s*return \w+\.call\(this, ?\w+, ?\2, ?\w+\);?\s*\}$/;

/**
 * The way from `eval` to the socket, of a client and of a cluster; behind these, all is out of sight.
 *
 * @type {Record<string, [import('./pristine').Step[], import('./pristine').Step[]]>}
 */
const STEPS = {
  'node-redis 4': [
    [
      { name: 'eval', beside: 'executeIsolated', text: CALLED },
      { name: 'evalSha', beside: 'executeIsolated', text: CALLED },
      { name: 'sendCommand', beside: 'executeIsolated', text: /["'`]m["'`]|#/ },
      { name: 'options', beside: 'executeIsolated', isAccessor: true },
    ],
    [],
  ],
  'node-redis 5': [SINGLE, CLUSTER],
  'node-redis 6': [
    [...SINGLE, { name: '_keyPrefix', beside: 'withTypeMapping', isAccessor: true }],
    [
      ...CLUSTER,
      { name: '_executeWithPolicies', beside: 'withTypeMapping', text: /resolvePolicy/ },
      { name: '_keyPrefix', beside: 'withTypeMapping', isAccessor: true },
    ],
  ],
};

module.exports = { recognise };
