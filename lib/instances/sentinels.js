'use strict';

/**
 * A master that sentinels name, which is one member of the quorum, in the words of ioredis.
 *
 * @typedef {import('./server').Server} Server
 * @typedef {import('./addresses').Given} Given
 */

const { showSetting, mistypedInstance, unusableInstance } = require('../errors');
const { bare, isThere } = require('../foreign');
const { SENTINEL_PORT, readList, readNatMap, readNode } = require('./addresses');
const { QUERY_KEYS, addQuery, decode, misplacedAt } = require('./query');
const { readServer, readText, judgeUnknown } = require('./server');
const { readTls } = require('./tls');

/**
 * @param {Given} object
 * @param {string} name
 * @param {import('./addresses').Gather} gather
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
    throw unusableInstance(
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
  const addressed = readList(sentinels, `${name}.sentinels`, (one, key) =>
    readNode(one, key, SENTINEL_PORT, gather),
  );
  server.sentinel = {
    sentinels: addressed.map(({ address }) => address),
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
    throw mistypedInstance(`${key} must say which master the sentinels are to be asked for, as "mymaster"`);
  }
  const text = readText(value, key);
  // What sentinels accept as a name.
  if (/^[\w.-]+$/.test(text)) return text;
  throw unusableInstance(`${key} must be letters, digits and any of . - _, not ${showSetting(text)}`);
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
  const [beforeQuery, ...query] = text.slice(scheme.length + 3).split('?');
  const [authority, ...path] = beforeQuery.split('/');
  if (/@/.test(path.join('/') + query.join('?'))) {
    throw misplacedAt(name, 'hosts');
  }
  if (text.includes('#')) throw unusableInstance(`${name} has a "#"; write it as %23`);
  const [service, db, ...beyond] = path;
  const at = authority.lastIndexOf('@');
  const hosts = authority.slice(at + 1);
  if (!service || beyond.length || !hosts || /\s/.test(text)) {
    throw unusableInstance(`${name} is a "${scheme}:" URL that can't be read; ${wanted}`);
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

module.exports = { readSentinels, readSentinelUrl };
