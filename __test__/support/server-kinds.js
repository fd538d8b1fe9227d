'use strict';

/** Where the clients of support/clients.js lead to: servers of each kind, and a way past the clients to their keys. */

const { makeCertificates } = require('./certificates');
const { hasTls, startServers } = require('./servers');
const { startCluster, startReplica, startSentinels } = require('./topologies');

const USER = { username: 'locker', password: 'p@ss:w/ord#1' };

/**
 * @typedef {object} Place
 * @property {string} [host]
 * @property {number} [port]
 * @property {string} [socket] path of the unix socket
 * @property {{username: string, password: string}} [user]
 * @property {string} [ca] PEM: who signed its certificate
 * @property {{host: string, port: number}[]} [nodes] a cluster's
 * @property {{host: string, port: number, name: string}} [sentinel]
 * @property {import('../../scripts/servers').RedisServer[]} servers
 */

/** By the names that the table has in its head. */
const PLACES = {
  plain: 'plain server',
  tls: 'TLS and an ACL user',
  unix: 'unix socket',
  cluster: 'cluster',
  sentinel: 'sentinels',
  process: 'no server',
};

/**
 * All of them, and what else is in the quorums of three.
 *
 * @returns {Promise<{places: Record<string, Place>, others: import('../../scripts/servers').RedisServer[]}>}
 */
async function startPlaces(suite) {
  const [[server, ...others], tls, cluster, sentinel] = await Promise.all([
    startServers(suite, 3),
    hasTls() ? startTls(suite) : undefined,
    startCluster(suite),
    startGroup(suite, 0),
  ]);
  const { host, port, socket } = server;
  const plain = { host, port, servers: [server] };
  const places = {
    plain,
    ...(tls && { tls }),
    ...(process.platform !== 'win32' && { unix: { socket, servers: [server] } }),
    cluster: { nodes: cluster.map((node) => ({ host: node.host, port: node.port })), servers: cluster },
    sentinel,
    process: { ...plain },
  };
  return { places, others };
}

async function startTls(suite) {
  const { server, ca } = await makeCertificates();
  const servers = await startServers(suite, 1, {
    tls: { ...server, ca },
    // The older libraries know no names of users.
    users: [`${USER.username} on >${USER.password} ~* &* +@all`, `default on >${USER.password} ~* &* +@all`],
  });
  const [{ host, port }] = servers;
  return { host, port, ca, user: USER, servers };
}

/**
 * A master, its replicas, and a sentinel that watches them.
 *
 * @param {number} replicas
 */
async function startGroup(suite, replicas) {
  const [master] = await startServers(suite, 1);
  const followers = [];
  for (let count = 0; count < replicas; count += 1) followers.push(await startReplica(suite, master));
  const [{ host, port, name }] = await startSentinels(suite, master, { count: 1, replicas });
  return { sentinel: { host, port, name }, servers: [master, ...followers] };
}

/**
 * A command for one key, past all clients.
 *
 * @param {Place} place
 * @param {{db?: number, prefix?: string}} own of the client
 * @param {string} command
 * @param {string} name
 */
async function commandAt({ servers }, { db = 0, prefix = '' }, command, name, ...args) {
  const script = "redis.call('SELECT', ARGV[1]) return redis.call(ARGV[2], KEYS[1], unpack(ARGV, 3))";
  const key = prefix + name;
  const errors = [];
  for (const server of servers) {
    try {
      if (!db) return await server.command(command, key, ...args);
      return await server.command('EVAL', script, 1, key, db, command, ...args);
    } catch (error) {
      // Of a cluster's servers one has the key.
      if (!error.message.includes('MOVED')) throw error;
      errors.push(error);
    }
  }
  throw new AggregateError(errors, 'no server has the key');
}

module.exports = { PLACES, startPlaces, startGroup, commandAt };
