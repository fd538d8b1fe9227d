'use strict';

/**
 * From a URL or a configuration to what native opens. Whatever is wrong is said here, and never with a
 * password in it.
 */

const { wrongType, outOfRange, showSetting } = require('./errors');
const { copyOf, get, isArray, isUrl } = require('./foreign');
const { QUERY_KEYS, addQuery, decode } = require('./query');
const { KEYS, isOption, judgeUnknown, readServer, readText, unreadable } = require('./server');
const { readSentinelUrl, readTopology } = require('./topologies');

/**
 * @typedef {{kind: 'memory', name: string}} Memory
 * @typedef {object} Server
 * @property {'redis'} kind
 * @property {string} [host]
 * @property {number} [port]
 * @property {string} [path] of a unix socket
 * @property {import('./topologies').NativeSentinel} [sentinel] in place of a host and a path
 * @property {{nodes: import('./topologies').Address[]}} [cluster] in place of a host and a path
 * @property {[import('./topologies').Address, import('./topologies').Address][]} [natMap]
 * @property {import('./tls').NativeTls} [tls]
 * @property {string} [username]
 * @property {string} [password]
 * @property {number} [db]
 * @property {string} [keyPrefix]
 * @property {string} [clientName]
 * @property {number} [connectTimeout]
 */

/**
 * @param {unknown} instance
 * @param {string} name what to call it in an error
 */
function readInstance(instance, name) {
  if (typeof instance === 'string') return readUrl(instance, name);
  if (isUrl(instance)) return readUrl(instance.href, name);
  if (typeof instance === 'object' && instance !== null && !isArray(instance)) {
    if (isThenable(instance)) throw wrongType('INSTANCE', `${name} is a promise: await it first`);
    return readConfig(instance, name);
  }
  throw wrongType('INSTANCE', `${name} must be a URL or an object with a host, not ${showSetting(instance)}`);
}

/** @param {object} instance */
function isThenable(instance) {
  try {
    return typeof get(instance, 'then') === 'function';
  } catch {
    return false;
  }
}

// ---- URLs

/**
 * How a URL of each scheme is read.
 *
 * @type {Record<string, (text: string, scheme: string, name: string) => Memory | Server>}
 */
const SCHEMES = {
  redis: readServerUrl,
  valkey: readServerUrl,
  rediss: readServerUrl,
  valkeys: readServerUrl,
  unix: (text, _scheme, name) => readSocket(text.slice('unix://'.length), name),
  memory: (text, _scheme, name) => readMemory(text.slice('memory://'.length), name),
  'redis+sentinel': readSentinelUrl,
  'rediss+sentinel': readSentinelUrl,
};

/**
 * @param {string} text
 * @param {string} name
 */
function readUrl(text, name) {
  if (text.startsWith('/')) return readSocket(text, name);
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1].toLowerCase();
  // What else it says isn't shown: where a URL can't be read, its password can't be found.
  if (scheme === undefined) {
    throw outOfRange('INSTANCE', `${name} is a string but not a URL, as "redis://host:port" is`);
  }
  if (!Object.hasOwn(SCHEMES, scheme)) {
    const known = Object.keys(SCHEMES).map((one) => `"${one}:"`);
    throw outOfRange(
      'INSTANCE',
      `${name} has the unknown scheme "${scheme}:"; known are ${known.join(', ')}`,
    );
  }
  return SCHEMES[scheme](text, scheme, name);
}

/**
 * @param {string} text
 * @param {string} scheme
 * @param {string} name
 */
function parseUrl(text, scheme, name) {
  // An unescaped /, ? or # in a password ends what a parser takes for the host; the @ comes after it.
  const [authority] = text.slice(scheme.length + 3).split(/[/?#]/, 1);
  if (text.lastIndexOf('@') >= scheme.length + 3 + authority.length) {
    throw outOfRange(
      'INSTANCE',
      `${name} has an "@" after its host: in a username, a password or a query, ` +
        'write "@" as %40, "/" as %2F, "?" as %3F, "#" as %23 and ":" as %3A',
    );
  }
  let url;
  try {
    url = new URL(text);
  } catch {
    url = null;
  }
  if (!url?.hostname || /\s/.test(text)) {
    throw outOfRange(
      'INSTANCE',
      `${name} is a "${scheme}:" URL that can't be read; it must look like ${scheme}://user:password@host:port/db, ` +
        'with special characters in the username and the password written as %40 and a port from 1 to 65535',
    );
  }
  if (url.hash) throw outOfRange('INSTANCE', `${name} has a "#" after its host; write it as %23`);
  return url;
}

/**
 * @param {string} text
 * @param {string} scheme
 * @param {string} name
 * @returns {Server}
 */
function readServerUrl(text, scheme, name) {
  const url = parseUrl(text, scheme, name);
  const path = decode(url.pathname.replace(/^\/$/, ''), 'path', name);
  if (path && !/^\/\d+$/.test(path)) {
    throw outOfRange(
      'INSTANCE',
      `${name} has the path ${showSetting(path)}; it must be a database's number, as "/0"`,
    );
  }
  /** @type {Record<string, unknown>} */
  const config = {
    __proto__: null,
    host: decode(url.hostname.replace(/^\[(.*)\]$/, '$1'), 'host', name),
    port: url.port || undefined,
    username: decode(url.username, 'username', name) || undefined,
    password: decode(url.password, 'password', name) || undefined,
    db: path ? path.slice(1) : undefined,
    tls: scheme === 'rediss' || scheme === 'valkeys' ? true : undefined,
  };
  addQuery(config, url.search, QUERY_KEYS, name);
  return readServer(config, name);
}

/**
 * @param {string} text a path and perhaps a query, as `/run/redis.sock?db=2`
 * @param {string} name
 * @returns {Server}
 */
function readSocket(text, name) {
  const [path, ...query] = text.split('?');
  /** @type {Record<string, unknown>} */
  const config = { __proto__: null, path: decode(path, 'path', name) };
  addQuery(config, `?${query.join('?')}`, [...QUERY_KEYS, 'db'], name);
  return readServer(config, name);
}

/**
 * @param {string} memory
 * @param {string} name
 * @returns {Memory}
 */
function readMemory(memory, name) {
  if (!/^[\w.:~+-]+$/.test(memory)) {
    throw outOfRange(
      'INSTANCE',
      `${name} must be memory:// and a name of letters, digits and any of . : ~ + - _`,
    );
  }
  return { kind: 'memory', name: memory };
}

// ---- objects

/** What says where a server is, so that an object which has it is a configuration. */
const PLACES = ['host', 'port', 'path', 'url', 'socket', 'sentinels', 'cluster', 'rootNodes'];

/** The names that other libraries have for our keys. @type {Record<string, string>} */
const ALIASES = {
  connectionName: 'clientName',
  database: 'db',
  prefix: 'keyPrefix',
  user: 'username',
  auth_pass: 'password',
  connect_timeout: 'connectTimeout',
};

/** What clients' options are led elsewhere by, in ways that a connection of our own can't follow. */
const UNFOLLOWED = [
  'Connector',
  'dnsLookup',
  'lookup',
  'credentialsProvider',
  'rename_commands',
  'useSRVRecords',
];

/**
 * Whether an object is one that says where a server is, or is meant to. Never throws.
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
      return PLACES.includes(key) || (isOption(key) && /[A-Z_]/.test(key));
    });
  } catch {
    return false;
  }
}

/** What node-redis' `socket` says beside TLS's own options. */
const SOCKET_KEYS = ['host', 'port', 'path', 'connectTimeout'];

/** What would lead elsewhere if a socket knew it. */
const ASTRAY = ['hostname', 'url', 'lookup', 'username', 'password', 'db', 'database', 'keyPrefix'];

/**
 * @param {object} object
 * @param {string} name
 */
function readConfig(object, name) {
  const own = copyOf(object, unreadable(name));
  const topology = readTopology(own, name, gather);
  if (topology) return topology;
  const { config, unknown } = gather(own, name);
  judgeUnknown(unknown, name);
  if (!PLACES.some((key) => isThere(own[key]))) {
    const places = PLACES.map((key) => `"${key}"`).join(', ');
    throw wrongType(
      'INSTANCE',
      `${name} must be a URL or an object with a host, not one without any of ${places}`,
    );
  }
  return readServer(config, name);
}

/**
 * What an object says of a server, under our names, and its keys that say nothing.
 *
 * @param {object} object
 * @param {string} name
 */
function gather(object, name) {
  const { url, socket, ...rest } = copyOf(object, unreadable(name));
  const hasUrl = isThere(url);
  const hasSocket = isThere(socket);
  /** @type {Record<string, unknown>} */
  const config = Object.create(null);
  const unknown = [];
  // A URL first: what stands beside it is more particular.
  if (hasUrl) Object.assign(config, readOwnUrl(url, `${name}.url`));
  if (hasSocket) Object.assign(config, flattenSocket(socket, config.tls, `${name}.socket`));
  const unfollowed = UNFOLLOWED.find(
    (key) => Object.hasOwn(rest, key) && /** @type {Record<string, unknown>} */ (rest)[key],
  );
  if (unfollowed) {
    throw outOfRange(
      'INSTANCE',
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
      throw outOfRange(
        'INSTANCE',
        `${name} has both "${before.key}" and "${key}", which say different things`,
      );
    }
    said.set(known, { key, value });
    config[known] = value;
  }
  return { config, unknown };
}

/** @param {unknown} value */
function isThere(value) {
  return value !== undefined && value !== null;
}

/**
 * @param {unknown} url
 * @param {string} name
 */
function readOwnUrl(url, name) {
  const text = isUrl(url) ? url.href : readText(url, name);
  const { kind, ...server } = /** @type {Server} */ (readUrl(text, name));
  // What was read of TLS is native's form already; it is read anew from what was asked for.
  if (kind === 'redis' && !Object.hasOwn(server, 'sentinel')) {
    return { ...server, ...(Object.hasOwn(server, 'tls') && { tls: true }) };
  }
  throw outOfRange(
    'INSTANCE',
    `${name} must lead to a server; pass "memory:" and "redis+sentinel:" URLs by themselves`,
  );
}

/**
 * node-redis has TLS's options beside the host's.
 *
 * @param {unknown} socket
 * @param {unknown} secure whether its URL has asked for TLS
 * @param {string} name
 */
function flattenSocket(socket, secure, name) {
  if (typeof socket !== 'object' || socket === null || isArray(socket)) {
    throw wrongType('INSTANCE', `${name} must be an object, not ${showSetting(socket)}`);
  }
  const own = copyOf(socket, unreadable(name));
  const astray = ASTRAY.find((key) => isThere(own[key]));
  if (astray) {
    throw outOfRange(
      'INSTANCE',
      `${name}.${astray} is unknown there: a socket has host, port or path, and "lookup" can't be followed`,
    );
  }
  const flat = Object.fromEntries(Object.entries(own).filter(([key]) => SOCKET_KEYS.includes(key)));
  const { tls, ...secured } = own;
  for (const key of SOCKET_KEYS) delete secured[key];
  return tls || (secure && tls !== false) ? { ...flat, tls: secured } : flat;
}

module.exports = { isConfig, readInstance, readConfig };
