'use strict';

/**
 * Several servers that are one member of the quorum: a master that sentinels name, and a cluster, in
 * the words of ioredis and node-redis.
 *
 * @typedef {import('./instances').Server} Server
 * @typedef {{host: string, port: number}} Address
 * @typedef {object} NativeSentinel
 * @property {Address[]} sentinels
 * @property {string} service
 * @property {string} [username]
 * @property {string} [password]
 * @property {import('./tls').NativeTls} [tls]
 *
 * @typedef {Record<string, unknown>} Given
 * @typedef {(object: object, name: string) => {config: Given, unknown: string[]}} Gather what an object
 *   says of a server, under our names
 */

const { wrongType, outOfRange, show, showSetting } = require('./errors');
const { bare, copyOf, elementsOf, isArray, isUrl } = require('./foreign');
const { QUERY_KEYS, addQuery, decode } = require('./query');
const { readHost, readNumber, readServer, readText, unreadable, judgeUnknown } = require('./server');
const { readTls } = require('./tls');

const SENTINEL_PORT = 26_379;
const SERVER_PORT = 6379;

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
    throw outOfRange(
      'INSTANCE',
      `${name} has both "${kinds[0]}" and "${kinds[1]}"; it can only be one of them`,
    );
  }
  return kinds.length ? TOPOLOGIES[kinds[0]](given, name, gather) : undefined;
}

// ---- sentinels

/**
 * @param {Given} object
 * @param {string} name
 * @param {Gather} gather
 * @returns {Server}
 */
function readSentinels(object, name, gather) {
  const {
    sentinels,
    name: service,
    role,
    natMap,
    enableTLSForSentinelMode,
    sentinelUsername,
    ...others
  } = object;
  const { sentinelPassword, sentinelTLS, sentinelTls, ...rest } = bare(others);
  if (isThere(role) && role !== 'master') {
    throw outOfRange(
      'INSTANCE',
      `${name}.role must be "master", since locks are written, not ${showSetting(role)}`,
    );
  }
  const { config, unknown } = gather(rest, name);
  // A copy of ioredis' options may have them still; ioredis has no use for them either.
  for (const key of ['host', 'port', 'path']) {
    if (config[key] !== undefined) unknown.push(key);
    delete config[key];
  }
  if (enableTLSForSentinelMode === false) delete config.tls;
  const server = readServer(config, name);
  const places = readList(sentinels, `${name}.sentinels`, (one, key) =>
    readNode(one, key, SENTINEL_PORT, gather),
  );
  server.sentinel = {
    sentinels: places.map(({ address }) => address),
    service: readService(service, `${name}.name`),
    username: isThere(sentinelUsername) ? readText(sentinelUsername, `${name}.sentinelUsername`) : undefined,
    password: isThere(sentinelPassword) ? readText(sentinelPassword, `${name}.sentinelPassword`) : undefined,
    tls: readTls(sentinelTLS ?? sentinelTls, `${name}.sentinelTLS`),
  };
  server.natMap = readNatMap(natMap, `${name}.natMap`);
  judgeUnknown(unknown, name);
  return server;
}

/**
 * @param {unknown} value
 * @param {string} key
 */
function readService(value, key) {
  if (!isThere(value)) {
    throw wrongType(
      'INSTANCE',
      `${key} must say which master the sentinels are to be asked for, as "mymaster"`,
    );
  }
  const text = readText(value, key);
  // What sentinels accept as a name.
  if (/^[\w.-]+$/.test(text)) return text;
  throw outOfRange('INSTANCE', `${key} must be letters, digits and any of . - _, not ${showSetting(text)}`);
}

const SENTINEL_QUERY = { sentinel_username: 'sentinelUsername', sentinel_password: 'sentinelPassword' };

/**
 * @param {string} text `redis+sentinel://user:password@host:port,host/service/db?query`
 * @param {string} scheme
 * @param {string} name
 * @returns {Server}
 */
function readSentinelUrl(text, scheme, name) {
  const wanted = `it must look like ${scheme}://user:password@host:port,host:port/service/db`;
  const [place, ...query] = text.slice(scheme.length + 3).split('?');
  const [authority, ...path] = place.split('/');
  if (/@/.test(path.join('/') + query.join('?'))) {
    throw outOfRange(
      'INSTANCE',
      `${name} has an "@" after its hosts: in a username, a password or a query, ` +
        'write "@" as %40, "/" as %2F, "?" as %3F, "#" as %23 and ":" as %3A',
    );
  }
  if (text.includes('#')) throw outOfRange('INSTANCE', `${name} has a "#"; write it as %23`);
  const [service, db, ...beyond] = path;
  const at = authority.lastIndexOf('@');
  const hosts = authority.slice(at + 1);
  if (!service || beyond.length || !hosts || /\s/.test(text)) {
    throw outOfRange('INSTANCE', `${name} is a "${scheme}:" URL that can't be read; ${wanted}`);
  }
  const [username, ...password] = at < 0 ? [''] : authority.slice(0, at).split(':');
  const isSecure = scheme.startsWith('rediss');
  /** @type {Given} */
  const config = {
    __proto__: null,
    username: decode(username, 'username', name) || undefined,
    password: decode(password.join(':'), 'password', name) || undefined,
    db: db || undefined,
    tls: isSecure || undefined,
  };
  addQuery(config, `?${query.join('?')}`, [...QUERY_KEYS, ...Object.keys(SENTINEL_QUERY)], name);
  const { sentinel_username: sentinelUsername, sentinel_password: sentinelPassword, ...rest } = config;
  const sentinels = hosts.split(',').map((host) => decode(host, 'host', name));
  const whole = { sentinels, name: decode(service, 'path', name), sentinelUsername, sentinelPassword };
  const gather = (/** @type {object} */ own) => ({ config: bare(/** @type {Given} */ (own)), unknown: [] });
  return readSentinels(bare({ ...whole, sentinelTLS: isSecure, ...rest }), name, gather);
}

// ---- clusters

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
    throw outOfRange(
      'INSTANCE',
      `${defaults}.keyPrefix does nothing in ioredis; give keyPrefix beside "cluster"`,
    );
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
 * @param {{address: Address, config: Given}[]} nodes
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
  // The nodes that are learnt later are got into as the first one that says how.
  for (const given of [...nodes.map((node) => node.config).reverse(), shared, own.config]) {
    Object.assign(config, given);
  }
  for (const key of ['host', 'port', 'path']) {
    if (own.config[key] !== undefined) own.unknown.push(key);
    delete config[key];
  }
  const server = readServer(config, name);
  if (server.db) {
    throw outOfRange(
      'INSTANCE',
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
    throw wrongType('INSTANCE', `${name} must be an object, not ${kindOf(given)}`);
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

// ---- places

/**
 * One of several servers: where it is, and what else is said of it.
 *
 * @param {unknown} given a port, "host:port", a URL or {host, port, …}
 * @param {string} name
 * @param {number} usual its port if none is given
 * @param {Gather} gather
 * @returns {{address: Address, config: Given}}
 */
function readNode(given, name, usual, gather) {
  if (typeof given === 'number') return { address: makeAddress(undefined, given, name, usual), config: {} };
  if (typeof given === 'string' && !given.includes('://')) {
    if (/^\d+$/.test(given)) return readNode(Number(given), name, usual, gather);
    return { address: readHostAndPort(given, name, usual), config: {} };
  }
  const isText = typeof given === 'string' || isUrl(given);
  if (!isText && (typeof given !== 'object' || given === null || isArray(given))) {
    throw wrongType(
      'INSTANCE',
      `${name} must be "host:port", a URL or {host, port}, not ${showSetting(given)}`,
    );
  }
  const { config, unknown } = gather(isText ? { url: String(given) } : given, name);
  const { host, port, path, ...rest } = config;
  if (isThere(path) || (!isThere(host) && !isThere(port))) {
    throw outOfRange('INSTANCE', `${name} must have a host and a port`);
  }
  judgeUnknown(unknown, name);
  return { address: makeAddress(host, port, name, usual), config: rest };
}

const PLACE = /^(?:\[([^[\]]+)\]|([^:[\]]+))(?::(\d+))?$/;

/**
 * @param {string} text
 * @param {string} name
 * @param {number} usual
 */
function readHostAndPort(text, name, usual) {
  const parts = PLACE.exec(text);
  // It may be a whole URL without its scheme, so it isn't shown.
  if (!parts) throw outOfRange('INSTANCE', `${name} must look like "host:port" or "[::1]:port"`);
  return makeAddress(parts[1] ?? parts[2], parts[3], name, usual);
}

/**
 * @param {unknown} host
 * @param {unknown} port
 * @param {string} name
 * @param {number} usual
 * @returns {Address}
 */
function makeAddress(host, port, name, usual) {
  return {
    host: isThere(host) ? readHost(host, `${name}.host`) : '127.0.0.1',
    port: isThere(port) ? readNumber(port, `${name}.port`, 1, 65_535) : usual,
  };
}

/**
 * ioredis' `natMap` and node-redis' `nodeAddressMap`: where a server is to be found from here, by the
 * address that it has where it is.
 *
 * @param {unknown} given
 * @param {string} name
 * @returns {[Address, Address][] | undefined}
 */
function readNatMap(given, name) {
  if (!isThere(given)) return undefined;
  if (typeof given === 'function') throw functionFor(name);
  if (typeof given !== 'object' || given === null || isArray(given)) {
    throw wrongType('INSTANCE', `${name} must be an object, not ${kindOf(given)}`);
  }
  return Object.entries(copyOf(given, unreadable(name))).map(([from, to]) => {
    const key = `${name}[${PLACE.test(from) && !from.includes('@') ? show(from) : 'a key that is not shown here'}]`;
    if (typeof to !== 'object' || to === null) {
      throw wrongType('INSTANCE', `${key} must be {host, port}, not ${kindOf(to)}`);
    }
    const { host, port } = copyOf(to, unreadable(key));
    return [readHostAndPort(from, key, SERVER_PORT), makeAddress(host, port, key, SERVER_PORT)];
  });
}

/** @param {string} name */
function functionFor(name) {
  return outOfRange(
    'INSTANCE',
    `${name} is a function, which can't be called from a connection of our own; ` +
      'give an object, as {"10.0.0.1:6379": {host, port}}',
  );
}

/**
 * @template T
 * @param {unknown} given
 * @param {string} name
 * @param {(one: unknown, name: string) => T} read
 */
function readList(given, name, read) {
  if (!isArray(given)) throw wrongType('INSTANCE', `${name} must be an array, not ${kindOf(given)}`);
  const list = elementsOf(given, unreadable(name));
  if (!list.length) throw outOfRange('INSTANCE', `${name} must name at least one server`);
  return list.map((one, index) => read(one, `${name}[${index}]`));
}

/**
 * A text in the wrong place may be a URL with a password.
 *
 * @param {unknown} value
 */
function kindOf(value) {
  return typeof value === 'string' ? 'a string' : show(value);
}

/** @param {unknown} value */
function isThere(value) {
  return value !== undefined && value !== null;
}

module.exports = { readSentinelUrl, readTopology };
