'use strict';

/** Every client that an app may pass: how it is made, asked and ended, and what can be expected of it. */

const assert = require('node:assert/strict');
const { once } = require('node:events');

const { InstanceError } = require('../..');
const { makeTable } = require('./stubs');
const { until } = require('./until');

/** Why some stay with the client. */
const UNREADABLE = /leads to can't be read off it/;

/**
 * @typedef {import('./server-kinds').Place} Place
 * @typedef {{db?: number, prefix?: string}} Own
 * @typedef {object} Made
 * @property {any} client
 * @property {() => unknown} [close] as its owner ends it, if `closers` of the row can't
 * @property {() => unknown} [end] what `quit` doesn't end
 * @property {(command: string, name: string, ...args: unknown[]) => unknown} [command] past the client, where
 *   there is no server
 *
 * @typedef {object} Row
 * @property {string} title
 * @property {string} library as `redlock.connections` has it
 * @property {string} [topology] elsewhere than at clusters and sentinels; 'single' if left out
 * @property {(options: Record<string, any>) => Promise<any>} [open] a client of a server, ready, from `host`, `port`, `db`,
 *   `keyPrefix` and other options of the library's own
 * @property {(client: any, ...words: string[]) => Promise<any>} [call] any command
 * @property {Record<string, (place: Place, own: Own) => Made | Promise<Made>>} at by kind of server
 * @property {string[]} [prefixAt] where it has prefixes of keys
 * @property {string[]} [dbAt] where it has databases
 * @property {boolean} [isOpaque] whether its database can't be read off it
 * @property {Record<string, RegExp>} [stays] why it is never promoted, by kind of server
 * @property {(made: Made) => unknown} close as its owner does it
 * @property {Record<string, object>} closed what its error then is like, by kind of server or for all; undefined
 *   if it goes on as before
 * @property {Record<string, unknown>} [quits] what its `quit` answers, by kind of server or for all; 'OK' if left out
 * @property {boolean} [isLeftOpen] whether `quit` can't end it
 * @property {'failed' | 'held'} [refusal] how a release is refused where the key is no text; 'failed' if left out
 */

const EVERYWHERE = ['plain', 'tls', 'unix', 'cluster', 'sentinel'];
const SINGLE = ['plain', 'tls', 'unix'];

/** @param {string[]} kinds */
function all(kinds, value) {
  return Object.fromEntries(kinds.map((kind) => [kind, value]));
}

/** Whatever happens to its connection is looked at by what is asked of it. */
function quiet(client) {
  client.on?.('error', () => {});
  return client;
}

// ---- ioredis and iovalkey

/** In version 4 a refresh that is under way when a cluster quits begins the next round, for good. */
const ONCE = { 'ioredis-4': { slotsRefreshInterval: -1 } };

function ioredisRow([name, library]) {
  const Redis = require(name);
  const make = (options, { db, prefix }) => {
    const client = quiet(new Redis({ ...options, db, keyPrefix: prefix }));
    return { client };
  };
  const closed = { name: 'Error', message: /^Connection is closed\.$/ };
  return {
    title: library,
    library,
    async open(options) {
      const client = quiet(new Redis(options));
      await until(() => client.status === 'ready', { what: `${library} is ready` });
      return client;
    },
    call: (client, command, ...args) => client.call(command, ...args),
    at: {
      plain: ({ host, port, user }, own) => make({ host, port, ...user }, own),
      tls: ({ host, port, user, ca }, own) => make({ host, port, ...user, tls: { ca } }, own),
      unix: ({ socket, user }, own) => make({ path: socket, ...user }, own),
      cluster: ({ nodes }, { prefix }) => ({
        client: quiet(new Redis.Cluster(nodes, { keyPrefix: prefix, ...ONCE[name] })),
      }),
      sentinel: ({ sentinel: { host, port, name: master } }, own) =>
        make({ sentinels: [{ host, port }], name: master, sentinelRetryStrategy: () => 50 }, own),
    },
    prefixAt: EVERYWHERE,
    dbAt: [...SINGLE, 'sentinel'],
    // The socket may be closed before the answer is read.
    close: ({ client }) => client.quit().catch(() => {}),
    closed: {
      all: closed,
      cluster: { name: /Error$/, message: /^(Connection is closed\.|None of startup nodes is available)$/ },
    },
  };
}

// ---- redis 2 and 3

function redisRow([name, library]) {
  const open = async ({ keyPrefix, ...options }) => {
    const client = quiet(require(name).createClient({ ...options, prefix: keyPrefix }));
    await once(client, 'ready');
    return client;
  };
  const make = async ({ user, ...options }, { db, prefix }) => {
    const login = name === 'redis-3' ? { user: user?.username, password: user?.password } : user;
    return { client: await open({ ...options, ...(user && login), db, keyPrefix: prefix }) };
  };
  return {
    title: library,
    library,
    open,
    call: (client, command, ...args) =>
      new Promise((resolve, reject) => {
        client.send_command(command, args, (error, reply) => (error ? reject(error) : resolve(reply)));
      }),
    at: {
      plain: ({ host, port, user }, own) => make({ host, port, user }, own),
      tls: ({ host, port, user, ca }, own) => make({ host, port, user, tls: { ca } }, own),
      unix: ({ socket, user }, own) => make({ path: socket, user }, own),
    },
    prefixAt: SINGLE,
    dbAt: SINGLE,
    close: ({ client }) => new Promise((resolve) => client.quit(resolve)),
    closed: {
      all: { name: 'AbortError', code: 'NR_CLOSED', message: /The connection is already closed/ },
    },
  };
}

// ---- node-redis 4, 5 and 6

function nodeRedisOptions(
  { host, port, socket = undefined, user = undefined, ca = undefined },
  { db, prefix },
) {
  return {
    socket: socket ? { path: socket } : { host, port, ...(ca && { tls: true, ca }) },
    ...user,
    database: db,
    ...(prefix && { keyPrefix: prefix }),
  };
}

async function connected(client) {
  await quiet(client).connect();
  return { client };
}

const CLIENT_CLOSED = { message: /^The client is closed$/, className: 'ClientClosedError' };
/** Where the library has no words of its own for it. */
const NO_NODE = { name: 'TypeError', message: /^Cannot read properties of/ };

function nodeRedisRow(name) {
  const redis = require(name);
  const library = `node-${name.replace('-', ' ')}`;
  const isFour = name === 'redis-4';
  const isSix = name === 'redis-6';
  const single = (place, own) => connected(redis.createClient(nodeRedisOptions(place, own)));
  return {
    title: library,
    library,
    async open({ host, port, db, keyPrefix, ...options }) {
      const place = nodeRedisOptions({ host, port }, { db, prefix: keyPrefix });
      return (await connected(redis.createClient({ ...place, ...options }))).client;
    },
    call: (client, ...words) => client.sendCommand(words),
    at: {
      ...all(SINGLE, single),
      cluster: ({ nodes }, { prefix }) => {
        const rootNodes = nodes.map((node) => ({ socket: node }));
        return connected(redis.createCluster({ rootNodes, ...(prefix && { keyPrefix: prefix }) }));
      },
      ...(!isFour && {
        sentinel: ({ sentinel: { host, port, name: master } }, { prefix, db }) =>
          connected(
            redis.createSentinel({
              name: master,
              sentinelRootNodes: [{ host, port }],
              nodeClientOptions: { database: db },
              // Else it may give up while there is no master.
              maxCommandRediscovers: 100,
              ...(prefix && { keyPrefix: prefix }),
            }),
          ),
      }),
    },
    prefixAt: isSix ? EVERYWHERE : [],
    dbAt: SINGLE,
    stays: { sentinel: UNREADABLE, ...(isFour && { cluster: UNREADABLE }) },
    quits: { cluster: undefined },
    close: ({ client }) => (isFour ? client.quit() : client.close()),
    closed: { all: CLIENT_CLOSED, ...(isSix ? {} : { cluster: NO_NODE }), sentinel: NO_NODE },
  };
}

function poolRow(name) {
  const library = `node-${name.replace('-', ' ')}`;
  return {
    title: `${library}, pool`,
    library,
    topology: 'pool',
    at: all(SINGLE, (place, own) => connected(require(name).createClientPool(nodeRedisOptions(place, own)))),
    prefixAt: name === 'redis-6' ? SINGLE : [],
    dbAt: SINGLE,
    isOpaque: true,
    stays: all(SINGLE, UNREADABLE),
    close: ({ client }) => client.close(),
    closed: { all: CLIENT_CLOSED },
  };
}

const LEGACY_MODE = {
  title: 'node-redis 4, legacyMode',
  library: 'node-redis 4',
  at: all(SINGLE, (place, own) =>
    connected(require('redis-4').createClient({ ...nodeRedisOptions(place, own), legacyMode: true })),
  ),
  dbAt: SINGLE,
  stays: all(SINGLE, /^in legacyMode it can't be told/),
  close: ({ client }) => client.v4.quit(),
  closed: { all: CLIENT_CLOSED },
};

function legacyRow(name) {
  const library = `node-${name.replace('-', ' ')}`;
  return {
    title: `${library}, .legacy()`,
    library,
    at: all(SINGLE, async (place, own) => {
      const { client } = await connected(require(name).createClient(nodeRedisOptions(place, own)));
      const close = () => client.close();
      return { client: client.legacy(), close, end: () => client.isOpen && client.close() };
    }),
    dbAt: SINGLE,
    isOpaque: true,
    stays: all(SINGLE, UNREADABLE),
    close: ({ close }) => close(),
    closed: { all: CLIENT_CLOSED },
    // Version 5's has none.
    ...(name === 'redis-5' && { quits: { all: undefined }, isLeftOpen: true }),
  };
}

// ---- Valkey's own

function glide() {
  const library = require('@valkey/valkey-glide');
  library.Logger.setLoggerConfig('off');
  return library;
}

const GLIDE = {
  title: 'valkey-glide',
  library: 'valkey-glide',
  open: async ({ host, port, db }) => (await glideAt([{ host, port }], { databaseId: db })).client,
  call: (client, ...words) => client.customCommand(words),
  at: {
    plain: ({ host, port, user }, { db }) =>
      glideAt([{ host, port }], { databaseId: db, ...(user && { credentials: user }) }),
    tls: ({ host, port, user, ca }, { db }) =>
      glideAt([{ host, port }], {
        credentials: user,
        databaseId: db,
        useTLS: true,
        advancedConfiguration: { tlsAdvancedConfiguration: { rootCertificates: ca } },
      }),
    cluster: async ({ nodes }) => ({
      client: await glide().GlideClusterClient.createClient({ addresses: nodes }),
    }),
  },
  dbAt: ['plain', 'tls'],
  close: ({ client }) => client.close(),
  closed: { all: { name: 'ClosingError', message: /the client is closed/ } },
};

async function glideAt(addresses, options) {
  return { client: await glide().GlideClient.createClient({ addresses, ...options }) };
}

// ---- what has no library, or no server

const MOCK = {
  title: 'ioredis-mock',
  library: 'ioredis-mock',
  at: {
    process(_place, { prefix }) {
      const Mock = require('ioredis-mock');
      const client = new Mock({ keyPrefix: prefix });
      const plain = new Mock();
      const command = (name, key, ...args) => plain[name.toLowerCase()](prefix + key, ...args);
      return { client, command, end: () => plain.disconnect() };
    },
  },
  prefixAt: ['process'],
  stays: { process: /^it has no server/ },
  close: ({ client }) => client.quit(),
  closed: {},
  isLeftOpen: true,
  refusal: 'held',
};

const WRAPPER = {
  title: 'an object with `eval`',
  library: 'unknown',
  topology: 'unknown',
  at: {
    plain({ host, port }, { db, prefix }) {
      const client = quiet(new (require('ioredis'))({ host, port, db, keyPrefix: prefix }));
      const close = () => client.quit().catch(() => {});
      return { client: { eval: (...args) => client.eval(...args) }, close, end: () => client.disconnect() };
    },
  },
  prefixAt: ['plain'],
  dbAt: ['plain'],
  isOpaque: true,
  stays: { plain: UNREADABLE },
  close: ({ close }) => close(),
  closed: { all: { message: /^Connection is closed\.$/ } },
  quits: { all: undefined },
  isLeftOpen: true,
};

function stubRow(style) {
  return {
    title: `a stub with ${style}`,
    library: 'unknown',
    topology: 'unknown',
    at: {
      process: (_place, _own) => {
        const table = makeTable(`every ${style}`);
        const client = table.stub(style);
        return { client, command: table.command };
      },
    },
    isOpaque: true,
    stays: { process: UNREADABLE },
    close: ({ client }) => client.quit(),
    closed: { all: { message: /^the stub is closed$/ } },
  };
}

/** @type {Row[]} */
const CLIENTS = [
  ...[
    ['ioredis-4', 'ioredis 4'],
    ['ioredis', 'ioredis 5'],
    ['ioredis-6', 'ioredis 6'],
    ['iovalkey', 'iovalkey'],
  ].map(ioredisRow),
  ...[
    ['redis-2', 'redis 2'],
    ['redis-3', 'redis 3'],
  ].map(redisRow),
  ...['redis-4', 'redis-5', 'redis-6'].map(nodeRedisRow),
  ...['redis-5', 'redis-6'].map(poolRow),
  LEGACY_MODE,
  ...['redis-5', 'redis-6'].map(legacyRow),
  GLIDE,
  MOCK,
  WRAPPER,
  ...['promises', 'callbacks'].map(stubRow),
];

const PREFIX = 'app {ü}:';
const DB = 3;

/**
 * What one kind of client is at one kind of server.
 *
 * @param {Row} row
 * @param {string} kind
 */
function profile(row, kind) {
  const { at, prefixAt = [], dbAt = [], topology = 'single', stays = {}, closed, isOpaque } = row;
  const { quits = {}, refusal = 'failed', isLeftOpen } = row;
  const own = {
    db: dbAt.includes(kind) ? DB : undefined,
    prefix: prefixAt.includes(kind) ? (kind === 'cluster' ? 'app:' : PREFIX) : undefined,
  };
  const special = ['cluster', 'sentinel'].includes(kind) ? kind : topology;
  const reason = stays[kind];
  return {
    title: row.title,
    library: row.library,
    topology: special,
    own,
    /** Whether a connection of our own takes over. */
    isPromotable: reason === undefined,
    /** Why not. */
    reason,
    isOpaque,
    closed: closed[kind] ?? closed.all,
    quits: { all: 'OK', ...quits }[kind in quits ? kind : 'all'],
    isLeftOpen,
    refusal,
    make: async (place) => at[kind](place, own),
    close: row.close,
  };
}

/** Why there is no such client on this machine: one library brings no binary for some systems. */
function missing({ title }) {
  if (title !== GLIDE.title) return undefined;
  try {
    glide();
    return undefined;
  } catch (error) {
    return error.message;
  }
}

/** The row of that title. @param {string} title */
function rowOf(title) {
  const row = CLIENTS.find((one) => one.title === title);
  if (!row) throw new Error(`there is no client "${title}"`);
  return row;
}

/**
 * That an error is the client's own, of one that its owner has closed.
 *
 * @param {any} error
 * @param {{className?: string, [property: string]: unknown}} expected as the row has it
 */
function assertClosed(error, { className, ...expected }) {
  assert.ok(error instanceof Error);
  assert.ok(!(error instanceof InstanceError), error.message);
  for (const [key, value] of Object.entries(expected)) {
    if (value instanceof RegExp) assert.match(error[key], value);
    else assert.equal(error[key], value, String(error));
  }
  if (className) assert.equal(error.constructor.name, className);
}

module.exports = { CLIENTS, rowOf, profile, missing, assertClosed };
