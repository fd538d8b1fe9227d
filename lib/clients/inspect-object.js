'use strict';

/**
 * Looking at objects that others made: a getter may throw (node-redis 4 has such ones), and so may a Proxy.
 */

const { types } = require('node:util');

const foreign = require('../foreign');

/**
 * @param {any} object
 * @param {string} key
 * @returns {any} undefined where it can't be read
 */
function read(object, key) {
  try {
    return foreign.get(object, key) ?? undefined;
  } catch {
    return undefined;
  }
}

/**
 * @param {any} object
 * @param {...string} path
 */
function readAt(object, ...path) {
  return path.reduce(read, object);
}

/**
 * Whether it is there, itself or inherited, whatever it is.
 *
 * @param {any} object
 * @param {string} key
 */
function has(object, key) {
  try {
    return foreign.has(object, key);
  } catch {
    return false;
  }
}

/**
 * Several at once.
 *
 * @param {any} object
 * @param {...string} keys
 * @returns {Record<string, any>} undefined where it can't be read
 */
function readAll(object, ...keys) {
  return Object.fromEntries(keys.map((key) => [key, read(object, key)]));
}

/**
 * @param {any} object
 * @param {string} key
 */
function can(object, key) {
  return typeof read(object, key) === 'function';
}

/**
 * Whether somebody put another `method` nearer to `client` than the library's `sibling`: an override of
 * the instance or of a subclass, a stub, a Proxy. Who did that wants to see the calls of it.
 *
 * @param {any} client
 * @param {string} method
 * @param {string} sibling from the same place of the library, on its prototype
 */
function isReplaced(client, method, sibling) {
  if (types.isProxy(client)) return true;
  let holder = client;
  while (holder && !Object.hasOwn(holder, method)) {
    if (Object.hasOwn(holder, sibling)) return false;
    holder = Object.getPrototypeOf(holder);
    if (types.isProxy(holder)) return true;
  }
  return holder === client || !holder || !Object.hasOwn(holder, sibling);
}

/**
 * The name of its class, for people only: several libraries are called the same, or nothing.
 *
 * @param {any} object
 */
function classOf(object) {
  const name = readAt(object, 'constructor', 'name');
  return typeof name === 'string' && /^[\w$]{1,40}$/.test(name) && name !== 'Object' ? name : undefined;
}

/** What says where to connect to, or how the socket behaves, and not whom to trust. */
const NOT_TLS = [
  ...['host', 'port', 'path', 'family', 'tls', 'noDelay', 'keepAlive', 'keepAliveInitialDelay'],
  ...['reconnectStrategy', 'connectTimeout', 'socketTimeout', 'ALPNProtocols', 'session', 'timeout'],
];

/**
 * TLS's own options of those that a client has given to its socket.
 *
 * @param {unknown} options
 * @returns {true | Record<string, unknown>}
 */
function withoutHost(options) {
  if (typeof options !== 'object' || options === null) return true;
  const own = Object.entries(options).filter(([key, value]) => value !== undefined && !NOT_TLS.includes(key));
  return Object.fromEntries(own);
}

module.exports = { withoutHost, read, readAll, readAt, has, can, isReplaced, classOf };
