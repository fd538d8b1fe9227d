'use strict';

/**
 * URLs of members. An error never shows a password; where a URL can't be read, and its password therefore can't be
 * found, it shows nothing of the URL.
 *
 * @typedef {import('./server').Memory} Memory
 * @typedef {import('./server').Server} Server
 */

const { showSetting, unusableInstance } = require('../errors');
const { QUERY_KEYS, addQuery, decode, misplacedAt } = require('./query');
const { readSentinelUrl } = require('./sentinels');
const { readServer } = require('./server');

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
  if (/,\s*[a-z][a-z0-9+.-]*:\/\//i.test(text.split('?', 1)[0])) {
    throw unusableInstance(`${name} has several URLs in one text: give an array with one address each`);
  }
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1].toLowerCase();
  // What else it says isn't shown: where a URL can't be read, its password can't be found.
  if (scheme === undefined) {
    throw unusableInstance(`${name} is a string but not a URL, as "redis://host:port" is`);
  }
  if (!Object.hasOwn(SCHEMES, scheme)) {
    const known = Object.keys(SCHEMES).map((one) => `"${one}:"`);
    throw unusableInstance(`${name} has the unknown scheme "${scheme}:"; known are ${known.join(', ')}`);
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
    throw misplacedAt(name, 'host');
  }
  let url;
  try {
    url = new URL(text);
  } catch {
    url = null;
  }
  if (!url?.hostname || /\s/.test(text)) {
    throw unusableInstance(
      `${name} is a "${scheme}:" URL that can't be read; it must look like ${scheme}://user:password@host:port/db, ` +
        'with special characters in the username and the password written as %40 and a port from 1 to 65535',
    );
  }
  if (url.hash) throw unusableInstance(`${name} has a "#" after its host; write it as %23`);
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
    throw unusableInstance(
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
    throw unusableInstance(`${name} must be memory:// and a name of letters, digits and any of . : ~ + - _`);
  }
  return { kind: 'memory', name: memory };
}

module.exports = { readUrl };
