'use strict';

/**
 * A cluster, which is one member of the quorum, in the words of ioredis and node-redis.
 *
 * @typedef {import('./server').Server} Server
 * @typedef {import('./addresses').Given} Given
 * @typedef {import('./addresses').Gather} Gather
 */

const { showSetting, mistypedInstance, unusableInstance } = require('../errors');
const { isArray, isThere } = require('../foreign');
const { SERVER_PORT, functionFor, kindOf, readList, readNatMap, readNode } = require('./addresses');
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
 * @param {{address: import('./server').Address, config: Given}[]} nodes
 * @param {Server['natMap']} natMap
 * @param {Given} shared what holds for every node
 * @param {object} rest what else the cluster's object says
 * @param {string} name
 * @param {Gather} gather
 * @returns {Server}
 */
function makeCluster(nodes, natMap, shared, rest, name, gather) {
  const own = gather(rest, name);
  /** @type {Given} */
  const config = Object.create(null);
  // Nodes that are discovered later are connected to with the credentials of the first node that has some.
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
