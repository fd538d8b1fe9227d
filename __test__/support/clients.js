'use strict';

/** The clients that most tests use, out of the table of all; and who talks to a server. */

const net = require('node:net');

const { missing, rowOf } = require('./client-table');
const { until } = require('./until');

/**
 * @typedef {object} Library
 * @property {string} title
 * @property {(place: {host: string, port: number, [option: string]: any}) => Promise<any>} make connected
 * @property {(client: any, ...words: string[]) => Promise<any>} call any command
 * @property {(client: any) => Promise<unknown>} end orderly, as its owner would
 * @property {RegExp} closed what it says from then on
 * @property {string | false} skip it brings no binary for some systems
 */

/**
 * @param {string} title of the row in the table of clients
 * @returns {Library}
 */
function libraryOf(title) {
  const row = rowOf(title);
  return {
    title,
    make: row.open,
    call: row.call,
    end: async (client) => row.close({ client }),
    closed: row.closed.all.message,
    skip: missing(row) ?? false,
  };
}

const IOREDIS = libraryOf('ioredis 5');
const NODE_REDIS = libraryOf('node-redis 5');
const REDIS_3 = libraryOf('redis 3');
const GLIDE = libraryOf('valkey-glide');

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
  libraryOf,
  makeClient,
  endNow,
  connectionsTo,
  nativeOf,
  watch,
};
