'use strict';

/**
 * Configuration objects of members, in the words of ioredis, node-redis and ours.
 *
 * @typedef {import('./server').Server} Server
 * @typedef {import('./addresses').Given} Given
 * @typedef {import('./addresses').Gather} Gather
 */

const { showSetting, unreadable, mistypedInstance, unusableInstance } = require('../errors');
const { copyOf, get, isArray, isThere, isUrl } = require('../foreign');
const { readCluster, readRootNodes } = require('./clusters');
const { readSentinels } = require('./sentinels');
const { KEYS, isOption, judgeUnknown, readServer, readText } = require('./server');
const { readUrl } = require('./url');

/** Keys that say where a server is: an object that has one is a configuration. */
const LOCATIONS = ['host', 'port', 'path', 'url', 'socket', 'sentinels', 'cluster', 'rootNodes'];

/** The names that other libraries have for our keys. @type {Record<string, string>} */
const ALIASES = {
  connectionName: 'clientName',
  database: 'db',
  prefix: 'keyPrefix',
  user: 'username',
  auth_pass: 'password',
  connect_timeout: 'connectTimeout',
};

/** Options by which a client connects elsewhere, in ways that a connection of our own can't follow. */
const UNFOLLOWED = [
  'Connector',
  'dnsLookup',
  'lookup',
  'credentialsProvider',
  'rename_commands',
  'useSRVRecords',
];

/**
 * Whether an object is a configuration, or is meant to be one. Never throws.
 *
 * @param {unknown} object
 */
function isConfig(object) {
  if (typeof object !== 'object' || object === null || isArray(object)) return false;
  try {
    return Object.keys(object).some((key) => {
      const value = get(object, key);
      if (!isThere(value)) return false;
      // A mock has methods of the names that options have, and fields of words that are anybody's.
      if (typeof value === 'function') return UNFOLLOWED.includes(key) || /strategy|OnError/i.test(key);
      return LOCATIONS.includes(key) || (isOption(key) && /[A-Z_]/.test(key));
    });
  } catch {
    return false;
  }
}

/** The keys of node-redis' `socket` that aren't TLS's. */
const SOCKET_KEYS = ['host', 'port', 'path', 'connectTimeout'];

/** Keys that `socket` doesn't have, and that would lead elsewhere if it had. */
const ELSEWHERE_KEYS = ['hostname', 'url', 'lookup', 'username', 'password', 'db', 'database', 'keyPrefix'];

/**
 * @param {object} object
 * @param {string} name
 */
function readConfig(object, name) {
  const own = copyOf(object, unreadable('INSTANCE', name));
  const topology = readTopology(own, name, gather);
  if (topology) return topology;
  const { config, unknown } = gather(own, name);
  judgeUnknown(unknown, name);
  if (!LOCATIONS.some((key) => isThere(own[key]))) {
    const known = LOCATIONS.map((key) => `"${key}"`).join(', ');
    throw mistypedInstance(`${name} must be a URL or an object with a host, not one without any of ${known}`);
  }
  return readServer(config, name);
}

/**
 * Reads a server's configuration under our names, and lists the keys that are unknown.
 *
 * @param {object} object
 * @param {string} name
 */
function gather(object, name) {
  const { url, socket, ...rest } = copyOf(object, unreadable('INSTANCE', name));
  const hasUrl = isThere(url);
  const hasSocket = isThere(socket);
  /** @type {Record<string, unknown>} */
  const config = Object.create(null);
  const unknown = [];
  // The URL first: what stands beside it overrides it.
  if (hasUrl) Object.assign(config, readOwnUrl(url, `${name}.url`));
  if (hasSocket) Object.assign(config, flattenSocket(socket, config.tls, `${name}.socket`));
  const unfollowed = UNFOLLOWED.find(
    (key) => Object.hasOwn(rest, key) && /** @type {Record<string, unknown>} */ (rest)[key],
  );
  if (unfollowed) {
    throw unusableInstance(
      `${name}.${unfollowed} can't be followed by a connection of our own: pass a client that has it`,
    );
  }
  /** @type {Map<string, {key: string, value: unknown}>} */
  const said = new Map();
  for (const [key, value] of Object.entries(rest)) {
    if (!isThere(value)) continue;
    const isName = key === 'name' && (hasUrl || hasSocket);
    const known = isName ? 'clientName' : Object.hasOwn(ALIASES, key) ? ALIASES[key] : key;
    if (!Object.hasOwn(KEYS, known)) {
      unknown.push(key);
      continue;
    }
    const before = said.get(known);
    if (before && before.value !== value) {
      throw unusableInstance(`${name} has both "${before.key}" and "${key}", which say different things`);
    }
    said.set(known, { key, value });
    config[known] = value;
  }
  return { config, unknown };
}

/**
 * @param {unknown} url
 * @param {string} name
 */
function readOwnUrl(url, name) {
  const text = isUrl(url) ? url.href : readText(url, name);
  const { kind, ...server } = /** @type {Server} */ (readUrl(text, name));
  // TLS was read into native's form already; readServer reads it again, from `true`.
  if (kind === 'redis' && !Object.hasOwn(server, 'sentinel')) {
    return { ...server, ...(Object.hasOwn(server, 'tls') && { tls: true }) };
  }
  throw unusableInstance(
    `${name} must lead to a server; pass "memory:" and "redis+sentinel:" URLs by themselves`,
  );
}

/**
 * Flattens node-redis' `socket`, which has TLS's options beside host and port.
 *
 * @param {unknown} socket
 * @param {unknown} secure whether its URL has asked for TLS
 * @param {string} name
 */
function flattenSocket(socket, secure, name) {
  if (typeof socket !== 'object' || socket === null || isArray(socket)) {
    throw mistypedInstance(`${name} must be an object, not ${showSetting(socket)}`);
  }
  const own = copyOf(socket, unreadable('INSTANCE', name));
  const astray = ELSEWHERE_KEYS.find((key) => isThere(own[key]));
  if (astray) {
    throw unusableInstance(
      `${name}.${astray} is unknown there: a socket has host, port or path, and "lookup" can't be followed`,
    );
  }
  const flat = Object.fromEntries(Object.entries(own).filter(([key]) => SOCKET_KEYS.includes(key)));
  const { tls, ...secured } = own;
  for (const key of SOCKET_KEYS) delete secured[key];
  return tls || (secure && tls !== false) ? { ...flat, tls: secured } : flat;
}

/** By the key that says which it is. @type {Record<string, (object: Given, name: string, gather: Gather) => Server>} */
const TOPOLOGIES = {
  sentinels: readSentinels,
  cluster: readCluster,
  rootNodes: readRootNodes,
};

/**
 * @param {Given} given a copy of what was given, which inherits nothing
 * @param {string} name what to call it in an error
 * @param {Gather} gather
 * @returns {Server | undefined} nothing if it is a single server's
 */
function readTopology(given, name, gather) {
  const kinds = Object.keys(TOPOLOGIES).filter((key) => isThere(given[key]));
  if (kinds.length > 1) {
    throw unusableInstance(`${name} has both "${kinds[0]}" and "${kinds[1]}"; it can only be one of them`);
  }
  return kinds.length ? TOPOLOGIES[kinds[0]](given, name, gather) : undefined;
}

module.exports = { isConfig, readConfig };
