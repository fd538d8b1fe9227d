'use strict';

/** Reads one server's configuration, key by key, into the form that native takes. */

const { showSetting, warnOfIgnored, mistypedInstance, unusableInstance } = require('../errors');
const { namesIn } = require('../redact');
const { readTls } = require('./tls');

/**
 * @template T
 * @typedef {(value: unknown, key: string) => T} Reader of a value, which is called by its key in an error
 */

/**
 * @typedef {{kind: 'memory', name: string}} Memory
 * @typedef {{host: string, port: number}} Address
 * @typedef {object} NativeSentinel
 * @property {Address[]} sentinels
 * @property {string} service
 * @property {string} [username]
 * @property {string} [password]
 * @property {import('./tls').NativeTls} [tls]
 *
 * @typedef {object} Server
 * @property {'redis'} kind
 * @property {string} [host]
 * @property {number} [port]
 * @property {string} [path] of a unix socket
 * @property {NativeSentinel} [sentinel] in place of a host and a path
 * @property {{nodes: Address[]}} [cluster] in place of a host and a path
 * @property {[Address, Address][]} [natMap]
 * @property {import('./tls').NativeTls} [tls]
 * @property {string} [username]
 * @property {string} [password]
 * @property {number} [db]
 * @property {string} [keyPrefix]
 * @property {string} [clientName]
 * @property {number} [connectTimeout]
 */

/**
 * How each key of a server is read; numbers may come as text, as they do from URLs and environments.
 *
 * @type {Record<string, Reader<unknown>>}
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
  const server = Object.assign(Object.create(null), { kind: 'redis' });
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined || value === null) continue;
    const read = KEYS[key](value, `${name}.${key}`);
    if (read !== undefined) server[key] = read;
  }
  // As in ioredis, a path beats a host; TLS makes no sense on a unix socket.
  if (server.path !== undefined) delete server.tls;
  return /** @type {any} */ ({ ...server });
}

/** @type {Reader<string>} */
function readPath(value, key) {
  const text = readText(value, key);
  if (text.startsWith('/')) return text;
  throw unusableInstance(`${key} must be the absolute path of a unix socket, not ${showSetting(value)}`);
}

/** RESP2 and RESP3 make no difference to a lock: it is checked, and not used. @type {Reader<void>} */
function readProtocol(value, key) {
  readNumber(value, key, 2, 3);
}

/** @type {Reader<string>} */
function readHost(value, key) {
  const text = readText(value, key);
  // A whole URL may have come here, so it isn't shown.
  if (/^[^\s/@?#[\]]+$/.test(text)) return text;
  throw unusableInstance(`${key} must be the name or the address of a host`);
}

/** @type {Reader<string>} */
function readText(value, key) {
  if (typeof value === 'string') return value;
  // It may be a secret of the wrong type, so it isn't shown.
  throw mistypedInstance(`${key} must be a string, not of the type ${typeof value}`);
}

/** @type {Reader<string>} */
function readClientName(value, key) {
  const text = readText(value, key);
  if (!/^[!-~]+$/.test(text)) {
    throw unusableInstance(
      `${key} must be letters, digits and signs without spaces, not ${showSetting(text)}`,
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
  const message = `${key} must be a whole number from ${least} to ${most}, not ${showSetting(value)}`;
  if (typeof number !== 'number') throw mistypedInstance(message);
  if (!Number.isInteger(number) || number < least || number > most) throw unusableInstance(message);
  return number;
}

/** Options of ioredis, of node-redis, and of it when it was called redis, that a connection of our own has no use for. */
const UNUSED = new Set(
  `
  family keepAlive noDelay keepAliveInitialDelay timeout name role protocol retryStrategy reconnectOnError
  maxRetriesPerRequest enableReadyCheck maxLoadingRetryTime enableOfflineQueue offlineQueue lazyConnect
  autoResubscribe autoResendUnfulfilledCommands commandTimeout socketTimeout blockingTimeout
  blockingTimeoutGrace disconnectTimeout readOnly stringNumbers monitor scripts showFriendlyErrorStack
  dropBufferSupport enableAutoPipelining autoPipeliningIgnoredCommands disableClientInfo clientInfoTag
  maxScriptsCachingTime replyMapping himportFieldsets sentinelRetryStrategy sentinelReconnectStrategy
  sentinelMaxConnections sentinelCommandTimeout preferredSlaves updateSentinels failoverDetector sentinels
  natMap enableTLSForSentinelMode sentinelUsername sentinelPassword sentinelTLS clusterRetryStrategy
  scaleReads maxRedirections retryDelayOnFailover retryDelayOnClusterDown retryDelayOnTryAgain
  retryDelayOnMoved slotsRefreshTimeout slotsRefreshInterval shardedSubscribers reconnectStrategy modules
  functions commandsQueueMaxLength disableOfflineQueue readonly legacyMode isolationPoolOptions pingInterval
  RESP clientSideCache commandOptions unstableResp3 emitInvalidate maintNotifications maintEndpointType
  useReplicas maintRelaxedCommandTimeout maintRelaxedSocketTimeout minimizeConnections maxCommandRedirections
  parser string_numbers return_buffers detect_buffers socket_keepalive no_ready_check socket_initial_delay
  enable_offline_queue retry_unfulfilled_commands retry_strategy retry_max_delay max_attempts
  disable_resubscribing retryStrategies maxRetries
  `
    .trim()
    .split(/\s+/),
);

/** Words in unknown keys that may be meant to lead elsewhere, or to log in as somebody else. */
const ELSEWHERE = new RegExp(
  [
    'host|addr|port|url|uri|path|sock|server|endpoint|node|cluster|sentinel|master|replica|slave|proxy',
    'lookup|dns|srv|nat|connector|connection|rename|db|database|select|index|prefix|namespace|tenant',
    'schema|user|pass|pwd|auth|secret|token|cred|login|tls|ssl|cert|secure',
  ].join('|'),
  'i',
);

/** Whether it is an option of a client's, used or not. @param {string} key */
function isOption(key) {
  return Object.hasOwn(KEYS, key) || UNUSED.has(key);
}

/**
 * Judges keys that are not ours: options of client libraries are passed over; a key that may be meant to lead elsewhere is
 * refused, since ignoring it would lock other keys; the process is warned of any other.
 *
 * @param {readonly string[]} unknown
 * @param {string} name
 */
function judgeUnknown(unknown, name) {
  const odd = unknown.filter((key) => !UNUSED.has(key));
  const astray = odd.filter((key) => ELSEWHERE.test(key) && !Object.hasOwn(KEYS, key));
  if (astray.length) {
    throw unusableInstance(
      `${name} has the unknown key ${namesIn(astray).join(', ')}, which may be meant to lead elsewhere; known are ` +
        'host, port, path, url, socket, username, password, db, tls, keyPrefix, sentinels, cluster and rootNodes',
    );
  }
  if (!odd.length) return;
  const keys = namesIn(odd).join(', ');
  warnOfIgnored(`${name} has unknown keys: ${keys}`);
}

module.exports = { KEYS, readServer, readHost, readNumber, readText, isOption, judgeUnknown };
