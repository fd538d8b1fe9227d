'use strict';

/** The clients that apps have, one way to make, ask and end each; and who talks to a server. */

const { once } = require('node:events');
const net = require('node:net');

const { until } = require('./until');

/**
 * @typedef {object} Library
 * @property {string} title
 * @property {(place: {host: string, port: number, [option: string]: any}) => Promise<any>} make connected
 * @property {(client: any, ...words: string[]) => Promise<any>} call any command
 * @property {(client: any) => Promise<unknown>} end orderly, as its owner would
 * @property {RegExp} closed what it says from then on
 */

/** @type {Library} */
const IOREDIS = {
  title: 'ioredis',
  async make(place) {
    const Redis = require('ioredis');
    const client = new Redis(/** @type {any} */ (place));
    client.on('error', () => {});
    await until(() => client.status === 'ready', { what: 'ioredis is ready' });
    return client;
  },
  call: (client, name, ...args) => client.call(name, ...args),
  end: (client) => client.quit(),
  closed: /^Connection is closed\.$/,
};

/**
 * @param {string} name
 * @returns {Library}
 */
function nodeRedis(name) {
  return {
    title: `node-${name.replace('-', ' ')}`,
    async make({ host, port, db, keyPrefix, ...rest }) {
      const client = require(name).createClient({ socket: { host, port }, database: db, keyPrefix, ...rest });
      client.on('error', () => {});
      await client.connect();
      return client;
    },
    call: (client, ...words) => client.sendCommand(words),
    end: (client) => client.quit(),
    closed: /^The client is closed$/,
  };
}

/** @type {Library} */
const NODE_REDIS = nodeRedis('redis-5');

/** @type {Library} */
const REDIS_3 = {
  title: 'redis 3',
  async make({ keyPrefix, ...place }) {
    const client = require('redis-3').createClient({ ...place, prefix: keyPrefix });
    client.on('error', () => {});
    await once(client, 'ready');
    return client;
  },
  call: (client, name, ...args) =>
    new Promise((resolve, reject) => {
      client.send_command(name, args, (error, reply) => (error ? reject(error) : resolve(reply)));
    }),
  end: (client) => new Promise((resolve) => client.quit(resolve)),
  closed: /The connection is already closed/,
};

/** @type {Library & {skip: string | false}} it brings no binary for some systems */
const GLIDE = {
  title: 'valkey-glide',
  skip: reasonToSkip('@valkey/valkey-glide'),
  async make({ host, port, db }) {
    const { GlideClient } = require('@valkey/valkey-glide');
    return GlideClient.createClient({ addresses: [{ host, port }], databaseId: db });
  },
  call: (client, ...words) => client.customCommand(words),
  end: async (client) => client.close(),
  closed: /the client is closed/,
};

/** @param {string} name */
function reasonToSkip(name) {
  try {
    require(name);
    return false;
  } catch (error) {
    return error.message;
  }
}

/**
 * A client that is ended with the test, in whatever state it is then.
 *
 * @param {{after: (callback: () => Promise<unknown>) => void}} t
 * @param {Library} library
 * @param {{host: string, port: number}} place a server, perhaps
 * @param {Record<string, any>} [options]
 */
async function makeClient(t, library, { host, port }, options = {}) {
  const client = await library.make({ host, port, ...options });
  t.after(async () => endNow(client));
  return client;
}

/** Whatever way it knows to go without waiting for anybody. @param {any} client */
function endNow(client) {
  const end = ['disconnect', 'destroy', 'end', 'close'].find((name) => typeof client[name] === 'function');
  if (client.isOpen === false || client.isClosed === true || !end) return;
  if (end === 'end') client.end(false);
  // Version 4 of node-redis has both, and they answer with promises.
  else Promise.resolve(client[client.destroy ? 'destroy' : end]()).catch(() => {});
}

/**
 * The connections over TCP that a server has; our own commands come over its unix socket.
 *
 * @param {any} server
 * @returns {Promise<{id: string, addr: string, db: string, name: string}[]>}
 */
async function connectionsTo(server) {
  const list = await server.command('CLIENT', 'LIST');
  const rows = list.trim().split('\n');
  const parsed = rows.map((row) => Object.fromEntries(row.split(' ').map((pair) => pair.split(/=(.*)/s))));
  return parsed.filter(({ addr }) => !addr.startsWith('/'));
}

/**
 * Those of them that aren't these clients', so that they are connections of our own.
 *
 * @param {any} server
 * @param {Library} library
 * @param {...any} clients
 */
async function nativeOf(server, library, ...clients) {
  const ids = await Promise.all(clients.map((client) => library.call(client, 'CLIENT', 'ID')));
  const known = ids.map(String);
  return (await connectionsTo(server)).filter(({ id }) => !known.includes(id));
}

/**
 * All that a server without a password is asked, by whom.
 *
 * @param {{after: (callback: () => Promise<unknown>) => void}} t
 * @param {any} server
 */
async function watch(t, server) {
  const socket = net.connect(server.socket);
  socket.on('error', () => {});
  t.after(async () => socket.destroy());
  let heard = '';
  socket.setEncoding('latin1').on('data', (chunk) => {
    heard += chunk;
  });
  socket.write('MONITOR\r\n');
  await until(() => heard.includes('+OK'), { what: 'the server is watched' });
  let marks = 0;
  /** @returns {Promise<{db: string, addr: string, words: string}[]>} what clients asked, not their scripts */
  const seen = async () => {
    marks += 1;
    const mark = `mark-${marks}`;
    await server.command('ECHO', mark);
    await until(() => heard.includes(mark), { what: 'the mark was seen' });
    const lines = heard.split('\r\n').map((line) => /^\+[\d.]+ \[(\d+) (\S+)\] (.*)$/.exec(line));
    return lines
      .filter((line) => line !== null)
      .map(([, db, addr, words]) => ({ db, addr, words }))
      .filter(({ addr }) => addr !== 'lua' && !addr.startsWith('unix'));
  };
  return {
    seen,
    /** How often a key was looked for that is a proof's: its name ends like no other. */
    reads: async () => (await seen()).filter(({ words }) => PROOF.test(words)).length,
    forget() {
      heard = '';
    },
  };
}

const PROOF = /^"EVALSHA" "[0-9a-f]+" "1" "[^"]*:[0-9a-f]{32}" "[0-9a-f]{32}"$/i;

module.exports = {
  IOREDIS,
  NODE_REDIS,
  REDIS_3,
  GLIDE,
  nodeRedis,
  makeClient,
  endNow,
  connectionsTo,
  nativeOf,
  watch,
};
