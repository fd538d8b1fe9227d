'use strict';

/**
 * Where the servers behind a member are, in the words of ioredis and node-redis: sentinels, a cluster's nodes, and
 * other addresses for them.
 *
 * @typedef {import('./server').Address} Address
 * @typedef {Record<string, unknown>} Given
 * @typedef {{key: string, address: Address, config: Given}} Node one of several servers: what to call it in an error, and
 *   what was given with its address
 * @typedef {(object: object, name: string) => {config: Given, unknown: string[]}} Gather what an object
 *   says of a server, under our names
 */

const { show, showSetting, unreadable, mistypedInstance, unusableInstance } = require('../errors');
const { bare, copyOf, elementsOf, isArray, isThere, isUrl } = require('../foreign');
const { KEYS, readHost, readNumber, judgeUnknown } = require('./server');

const SENTINEL_PORT = 26_379;
const SERVER_PORT = 6379;

/**
 * Reads one of several servers: its address, and the configuration that comes with it.
 *
 * @param {unknown} given a port, "host:port", a URL or {host, port, …}
 * @param {string} name
 * @param {number} usual its port if none is given
 * @param {Gather} gather
 * @returns {Node}
 */
function readNode(given, name, usual, gather) {
  if (typeof given === 'number') {
    return { key: name, address: makeAddress(undefined, given, name, usual), config: bare({}) };
  }
  if (typeof given === 'string' && !given.includes('://')) {
    if (/^\d+$/.test(given)) return readNode(Number(given), name, usual, gather);
    return { key: name, address: readHostAndPort(given, name, usual), config: bare({}) };
  }
  const isText = typeof given === 'string' || isUrl(given);
  if (!isText && (typeof given !== 'object' || given === null || isArray(given))) {
    throw mistypedInstance(`${name} must be "host:port", a URL or {host, port}, not ${showSetting(given)}`);
  }
  const { config, unknown } = gather(isText ? { url: String(given) } : given, name);
  const { host, port, path, ...rest } = config;
  if (isThere(path) || (!isThere(host) && !isThere(port))) {
    throw unusableInstance(`${name} must have a host and a port`);
  }
  judgeUnknown(unknown, name);
  return { key: name, address: makeAddress(host, port, name, usual), config: bare(rest) };
}

/**
 * One of a server's keys in the form that can be compared, as JSON has it: certificates may be texts or Buffers.
 *
 * @param {unknown} value
 * @param {string} key one of `KEYS`
 * @param {string} name
 * @returns {{value: unknown, text: string | undefined}}
 */
function readComparable(value, key, name) {
  const read = isThere(value) ? KEYS[key](value, name) : undefined;
  return { value: read, text: JSON.stringify(read) };
}

const HOST_AND_PORT = /^(?:\[([^[\]]+)\]|([^:[\]]+))(?::(\d+))?$/;

/**
 * @param {string} text
 * @param {string} name
 * @param {number} usual
 */
function readHostAndPort(text, name, usual) {
  const parts = HOST_AND_PORT.exec(text);
  // It may be a whole URL without its scheme, so it isn't shown.
  if (!parts) throw unusableInstance(`${name} must look like "host:port" or "[::1]:port"`);
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
    throw mistypedInstance(`${name} must be an object, not ${kindOf(given)}`);
  }
  return Object.entries(copyOf(given, unreadable('INSTANCE', name))).map(([from, to]) => {
    const key = `${name}[${HOST_AND_PORT.test(from) && !from.includes('@') ? show(from) : 'a key that is not shown here'}]`;
    if (typeof to !== 'object' || to === null) {
      throw mistypedInstance(`${key} must be {host, port}, not ${kindOf(to)}`);
    }
    const { host, port } = copyOf(to, unreadable('INSTANCE', key));
    return [readHostAndPort(from, key, SERVER_PORT), makeAddress(host, port, key, SERVER_PORT)];
  });
}

/** @param {string} name */
function functionFor(name) {
  return unusableInstance(
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
  if (!isArray(given)) throw mistypedInstance(`${name} must be an array, not ${kindOf(given)}`);
  const list = elementsOf(given, unreadable('INSTANCE', name));
  if (!list.length) throw unusableInstance(`${name} must name at least one server`);
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

module.exports = {
  ...{ SENTINEL_PORT, SERVER_PORT },
  ...{ readNode, readComparable, readNatMap, readList, functionFor, kindOf },
};
