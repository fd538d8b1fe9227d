'use strict';

/**
 * From a URL or a configuration to what native opens. Whatever is wrong is said here, and never with a
 * password in it.
 */

const { wrongType, outOfRange, show } = require('./errors');
const { readTls } = require('./tls');

/**
 * @typedef {{kind: 'memory', name: string}} Memory
 * @typedef {object} Server
 * @property {'redis'} kind
 * @property {string} [host]
 * @property {number} [port]
 * @property {string} [path] of a unix socket
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
  if (instance instanceof URL) return readUrl(instance.href, name);
  if (typeof instance === 'object' && instance !== null && !Array.isArray(instance)) {
    return readConfig(instance, name);
  }
  throw wrongType('INSTANCE', `${name} must be a URL or an object with a host, not ${show(instance)}`);
}

// ---- URLs

/**
 * What a scheme stands for: a way to read it, or what can't be done yet.
 *
 * @type {Record<string, ((text: string, scheme: string, name: string) => Memory | Server) | string>}
 */
const SCHEMES = {
  redis: readServerUrl,
  valkey: readServerUrl,
  rediss: readServerUrl,
  valkeys: readServerUrl,
  unix: (text, _scheme, name) => readSocket(text.slice('unix://'.length), name),
  memory: (text, _scheme, name) => readMemory(text.slice('memory://'.length), name),
  'redis+sentinel': 'sentinels',
  'rediss+sentinel': 'sentinels',
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
  const read = SCHEMES[scheme];
  if (typeof read === 'string') throw later(name, `is a "${scheme}:" URL`, read);
  return read(text, scheme, name);
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

/** What a URL's query may say. */
const QUERY_KEYS = ['keyPrefix', 'connectTimeout', 'clientName', 'protocol'];

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
      `${name} has the path ${show(path)}; it must be a database's number, as "/0"`,
    );
  }
  /** @type {Record<string, unknown>} */
  const config = {
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
  const config = { path: decode(path, 'path', name) };
  addQuery(config, `?${query.join('?')}`, [...QUERY_KEYS, 'db'], name);
  return readServer(config, name);
}

/**
 * @param {Record<string, unknown>} config
 * @param {string} search
 * @param {string[]} known
 * @param {string} name
 */
function addQuery(config, search, known, name) {
  for (const [key, value] of readQuery(search, name)) {
    if (!known.includes(key)) {
      throw outOfRange(
        'INSTANCE',
        `${name} has the unknown query key ${show(key)}; known are ${known.join(', ')}`,
      );
    }
    if (config[key] !== undefined) throw outOfRange('INSTANCE', `${name} has the query key "${key}" twice`);
    config[key] = value;
  }
}

/**
 * Not URLSearchParams: it would make a space of a "+", in a prefix too.
 *
 * @param {string} search
 * @param {string} name
 */
function readQuery(search, name) {
  const pairs = search.slice(1).split('&').filter(Boolean);
  return pairs.map((pair) => {
    const [key, ...value] = pair.split('=');
    return [decode(key, 'query', name), decode(value.join('='), 'query', name)];
  });
}

/**
 * @param {string} text
 * @param {string} part
 * @param {string} name
 */
function decode(text, part, name) {
  try {
    return decodeURIComponent(text);
  } catch {
    throw outOfRange('INSTANCE', `${name} has a "%" in its ${part} that begins no escape; write it as %25`);
  }
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

/** Keys that say where and how to connect, so that it would be wrong to go on without them. @type {Record<string, string>} */
const LATER_KEYS = {
  sentinels: 'sentinels',
  cluster: 'clusters',
  rootNodes: 'clusters',
};

/** The names that other libraries have for our keys. @type {Record<string, string>} */
const ALIASES = { connectionName: 'clientName', database: 'db' };

/** What node-redis' `socket` says beside TLS's own options. */
const SOCKET_KEYS = ['host', 'port', 'path', 'connectTimeout'];

/**
 * @param {object} object
 * @param {string} name
 */
function readConfig(object, name) {
  const given = Object.entries(object).filter(([, value]) => value !== undefined && value !== null);
  const ahead = given.find(([key]) => Object.hasOwn(LATER_KEYS, key));
  if (ahead) throw later(name, `has "${ahead[0]}"`, LATER_KEYS[ahead[0]]);
  /** @type {Record<string, unknown>} */
  const config = {};
  const unknown = [];
  // A URL first: what stands beside it is more particular.
  const { url, socket, ...rest } = /** @type {Record<string, unknown>} */ (Object.fromEntries(given));
  if (url !== undefined) Object.assign(config, readOwnUrl(url, `${name}.url`));
  if (socket !== undefined) Object.assign(config, flattenSocket(socket, config.tls, `${name}.socket`));
  for (const [key, value] of Object.entries(rest)) {
    const isName = key === 'name' && (url !== undefined || socket !== undefined);
    const own = isName ? 'clientName' : (ALIASES[key] ?? key);
    if (Object.hasOwn(KEYS, own)) config[own] = value;
    else unknown.push(key);
  }
  const isConfig = Object.keys(config).length > 0;
  if (!isConfig) {
    throw wrongType(
      'INSTANCE',
      `${name} must be a URL or an object with a host, not an object without any of its keys`,
    );
  }
  const server = readServer(config, name);
  if (unknown.length) {
    const keys = unknown.map((key) => `"${key}"`).join(', ');
    process.emitWarning(
      `redlock-native: ${name} has unknown keys: ${keys} (ignored)`,
      'RedlockWarning',
      'REDLOCK_OPTIONS',
    );
  }
  return server;
}

/**
 * @param {unknown} url
 * @param {string} name
 */
function readOwnUrl(url, name) {
  const { kind, ...server } = /** @type {Server} */ (readUrl(readText(url, name), name));
  // What was read of TLS is native's form already; it is read anew from what was asked for.
  if (kind === 'redis') return { ...server, ...(server.tls && { tls: true }) };
  throw outOfRange('INSTANCE', `${name} must lead to a server; pass "memory:" URLs by themselves`);
}

/**
 * node-redis has TLS's options beside the host's.
 *
 * @param {unknown} socket
 * @param {unknown} secure whether its URL has asked for TLS
 * @param {string} name
 */
function flattenSocket(socket, secure, name) {
  if (typeof socket !== 'object' || socket === null || Array.isArray(socket)) {
    throw wrongType('INSTANCE', `${name} must be an object, not ${show(socket)}`);
  }
  const entries = Object.entries(socket);
  const flat = Object.fromEntries(entries.filter(([key]) => SOCKET_KEYS.includes(key)));
  const { tls, ...secured } = /** @type {Record<string, unknown>} */ (socket);
  for (const key of SOCKET_KEYS) delete secured[key];
  return tls || (secure && tls !== false) ? { ...flat, tls: secured } : flat;
}

/**
 * How each key of a server is read; numbers may come as text, as they do from URLs and environments.
 *
 * @type {Record<string, (value: unknown, key: string) => unknown>}
 */
const KEYS = {
  host: readHost,
  path: readPath,
  tls: readTls,
  port: (value, key) => readNumber(value, key, 1, 65_535),
  username: readText,
  password: readText,
  db: (value, key) => readNumber(value, key, 0, 2 ** 31 - 1),
  keyPrefix: readText,
  clientName: readClientName,
  connectTimeout: (value, key) => readNumber(value, key, 1, 2 ** 31 - 1),
  protocol: readProtocol,
};

/**
 * @param {Record<string, unknown>} given
 * @param {string} name
 * @returns {Server}
 */
function readServer(given, name) {
  /** @type {Record<string, unknown>} */
  const server = { kind: 'redis' };
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined || value === null) continue;
    const read = KEYS[key](value, `${name}.${key}`);
    if (read !== undefined) server[key] = read;
  }
  // As in ioredis, a path beats a host; there is nobody on a unix socket to be certified.
  if (server.path !== undefined) delete server.tls;
  return /** @type {any} */ (server);
}

/**
 * @param {unknown} value
 * @param {string} key
 */
function readPath(value, key) {
  const text = readText(value, key);
  if (text.startsWith('/')) return text;
  throw outOfRange('INSTANCE', `${key} must be the absolute path of a unix socket, not ${show(value)}`);
}

/**
 * Both versions say the same of a lock, so that there is nothing to choose.
 *
 * @param {unknown} value
 * @param {string} key
 */
function readProtocol(value, key) {
  readNumber(value, key, 2, 3);
}

/**
 * @param {unknown} value
 * @param {string} key
 */
function readHost(value, key) {
  const text = readText(value, key);
  // A whole URL may have come here, so it isn't shown.
  if (/^[^\s/@?#[\]]+$/.test(text)) return text;
  throw outOfRange('INSTANCE', `${key} must be the name or the address of a host`);
}

/**
 * @param {unknown} value
 * @param {string} key
 */
function readText(value, key) {
  if (typeof value === 'string') return value;
  // It may be a secret of the wrong type, so it isn't shown.
  throw wrongType('INSTANCE', `${key} must be a string, not of the type ${typeof value}`);
}

/**
 * @param {unknown} value
 * @param {string} key
 */
function readClientName(value, key) {
  const text = readText(value, key);
  if (!/^[!-~]+$/.test(text)) {
    throw outOfRange(
      'INSTANCE',
      `${key} must be letters, digits and signs without spaces, not ${show(text)}`,
    );
  }
  return text;
}

/**
 * @param {unknown} value
 * @param {string} key
 * @param {number} least
 * @param {number} most
 */
function readNumber(value, key, least, most) {
  const number = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
  const message = `${key} must be a whole number from ${least} to ${most}, not ${show(value)}`;
  if (typeof number !== 'number') throw wrongType('INSTANCE', message);
  if (!Number.isInteger(number) || number < least || number > most) throw outOfRange('INSTANCE', message);
  return number;
}

/**
 * @param {string} name
 * @param {string} what
 * @param {string} missing
 */
function later(name, what, missing) {
  return outOfRange('INSTANCE', `${name} ${what}, which needs ${missing}; that comes with a later version`);
}

module.exports = { readInstance, readConfig };
