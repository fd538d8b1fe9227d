'use strict';

/**
 * A master that sentinels name, which is one member of the quorum, in the words of ioredis.
 *
 * @typedef {import('./server').Server} Server
 * @typedef {import('./addresses').Given} Given
 * @typedef {import('./addresses').Node} Node
 */

const { showSetting, mistypedInstance, unusableInstance } = require('../errors');
const { bare, isThere } = require('../foreign');
const { SENTINEL_PORT, readComparable, readList, readNatMap, readNode } = require('./addresses');
const { QUERY_KEYS, addQuery, decode, misplacedAt } = require('./query');
const { readServer, readText, judgeUnknown } = require('./server');

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
  const nodes = readList(sentinels, `${name}.sentinels`, (one, key) =>
    readNode(one, key, SENTINEL_PORT, gather),
  );
  for (const node of nodes) judgeMisplaced(node);
  /** @type {(key: string, beside: unknown, besideKey: string) => any} */
  const readOne = (key, beside, besideKey) => readForAll(nodes, key, beside, besideKey, name);
  server.sentinel = {
    sentinels: nodes.map(({ address }) => address),
    service: readService(service, `${name}.name`),
    username: readOne('username', sentinelUsername, 'sentinelUsername'),
    password: readOne('password', sentinelPassword, 'sentinelPassword'),
    tls: readOne('tls', sentinelTLS ?? sentinelTls, 'sentinelTLS'),
  };
  server.natMap = readNatMap(natMap, `${name}.natMap`);
  judgeUnknown(unknown, name);
  return server;
}

/**
 * What belongs to the master would do nothing there, and other keys would be locked.
 *
 * @param {Node} node
 */
function judgeMisplaced({ key, config }) {
  const misplaced = ['keyPrefix', 'db'].find(
    (one) => readComparable(config[one], one, `${key}.${one}`).value,
  );
  if (!misplaced) return;
  throw unusableInstance(
    `${key}.${misplaced} is of no use to a sentinel; give it beside "sentinels" if it is the master's`,
  );
}

/**
 * How all sentinels are asked, who are asked in one way: as it says beside them or with each of them. What doesn't agree
 * is refused, since one's password would go to another, or go unencrypted.
 *
 * @param {Node[]} nodes
 * @param {string} key username, password or tls
 * @param {unknown} beside what holds for all of them
 * @param {string} besideKey
 * @param {string} name
 */
function readForAll(nodes, key, beside, besideKey, name) {
  const common = { name: `${name}.${besideKey}`, ...readComparable(beside, key, `${name}.${besideKey}`) };
  const isGiven = isThere(beside);
  const said = nodes.map((node) => {
    const own = node.config[key];
    if (isGiven && !isThere(own)) return common;
    const read = { name: `${node.key}.${key}`, ...readComparable(own, key, `${node.key}.${key}`) };
    // Asked for, and no more said: how is said beside them.
    const isMere = key === 'tls' && common.value && read.text === readComparable(true, key, '').text;
    return isMere ? common : read;
  });
  const expected = isGiven ? common : said[0];
  const odd = said.find(({ text }) => text !== expected.text);
  if (!odd) return expected.value;
  throw unusableInstance(
    `${odd.name} and ${expected.name} differ: all sentinels of a master are asked in one way; give ${besideKey} alone, ` +
      'for all of them',
  );
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
