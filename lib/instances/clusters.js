'use strict';

/**
 * A cluster, which is one member of the quorum, in the words of ioredis and node-redis.
 *
 * @typedef {import('./server').Server} Server
 * @typedef {import('./addresses').Given} Given
 * @typedef {import('./addresses').Gather} Gather
 * @typedef {import('./addresses').Node} Node
 */

const { showSetting, mistypedInstance, unusableInstance } = require('../errors');
const { isArray, isThere } = require('../foreign');
const {
  SERVER_PORT,
  functionFor,
  kindOf,
  readComparable,
  readList,
  readNatMap,
  readNode,
} = require('./addresses');
const { readServer, judgeUnknown } = require('./server');

/**
 * As ioredis has it.
 *
 * @param {Given} object
 * @param {string} name
 * @param {Gather} gather
 */
function readCluster(object, name, gather) {
  const { cluster, redisOptions, natMap, dnsLookup, ...rest } = object;
  if (typeof dnsLookup === 'function') throw functionFor(`${name}.dnsLookup`);
  const defaults = `${name}.redisOptions`;
  const shared = gatherOptions(redisOptions, defaults, gather);
  if (shared.keyPrefix !== undefined) {
    throw unusableInstance(`${defaults}.keyPrefix does nothing in ioredis; give keyPrefix beside "cluster"`);
  }
  const nodes = readNodes(cluster, `${name}.cluster`, gather);
  return makeCluster(nodes, readNatMap(natMap, `${name}.natMap`), shared, rest, name, gather);
}

/**
 * As node-redis has it.
 *
 * @param {Given} object
 * @param {string} name
 * @param {Gather} gather
 */
function readRootNodes(object, name, gather) {
  const { rootNodes, defaults, nodeAddressMap, ...rest } = object;
  const shared = gatherOptions(defaults, `${name}.defaults`, gather);
  const nodes = readNodes(rootNodes, `${name}.rootNodes`, gather);
  const natMap = readNatMap(nodeAddressMap, `${name}.nodeAddressMap`);
  return makeCluster(nodes, natMap, shared, rest, name, gather);
}

/**
 * @param {Node[]} nodes
 * @param {Server['natMap']} natMap
 * @param {Given} shared what holds for every node
 * @param {object} rest what else the cluster's object says
 * @param {string} name
 * @param {Gather} gather
 * @returns {Server}
 */
function makeCluster(nodes, natMap, shared, rest, name, gather) {
  judgeLogins(nodes);
  const own = gather(rest, name);
  /** @type {Given} */
  const config = Object.create(null);
  // What one node says counts for all, those that are discovered later included.
  for (const given of [...nodes.map((node) => node.config).reverse(), shared, own.config]) {
    Object.assign(config, given);
  }
  for (const key of ['host', 'port', 'path']) {
    if (own.config[key] !== undefined) own.unknown.push(key);
    delete config[key];
  }
  const server = readServer(config, name);
  if (server.db) {
    throw unusableInstance(
      `${name} is a cluster, which has no database but 0, not ${showSetting(config.db)}`,
    );
  }
  delete server.db;
  server.cluster = { nodes: nodes.map(({ address }) => address) };
  server.natMap = natMap;
  judgeUnknown(own.unknown, name);
  return server;
}

/** What must not differ between nodes, since it is the same for all: a user's name and password belong together. */
const LOGIN = [['username', 'password'], ['tls']];

/**
 * Refuses nodes that say different things of how to log in: one's password would go to another.
 *
 * @param {Node[]} nodes
 */
function judgeLogins(nodes) {
  for (const keys of LOGIN) {
    const [first, ...others] = nodes.filter(({ config }) => keys.some((key) => isThere(config[key])));
    const odd = others.find((node) => keys.some((key) => !isSame(node, first, key)));
    if (!odd) continue;
    const what = keys.join(' and ');
    throw unusableInstance(
      `${odd.key} and ${first.key} differ in ${what}: all nodes of a cluster are connected to in one way, as are ` +
        `those that are learnt from them; give ${what} once, beside the list of nodes`,
    );
  }
}

/**
 * @param {Node} one
 * @param {Node} other
 * @param {string} key
 */
function isSame(one, other, key) {
  const [text, expected] = [one, other].map(
    (node) => readComparable(node.config[key], key, `${node.key}.${key}`).text,
  );
  return text === expected;
}

/**
 * @param {unknown} given
 * @param {string} name
 * @param {Gather} gather
 */
function gatherOptions(given, name, gather) {
  if (!isThere(given)) return Object.create(null);
  if (typeof given !== 'object' || given === null || isArray(given)) {
    throw mistypedInstance(`${name} must be an object, not ${kindOf(given)}`);
  }
  const { config, unknown } = gather(given, name);
  judgeUnknown(unknown, name);
  return config;
}

/**
 * @param {unknown} given
 * @param {string} name
 * @param {Gather} gather
 */
function readNodes(given, name, gather) {
  return readList(given, name, (one, key) => readNode(one, key, SERVER_PORT, gather));
}

module.exports = { readCluster, readRootNodes };
