'use strict';

/**
 * Where a client leads to, for people, in the form of our own addresses. It is put together from hosts and
 * ports alone, so that no secret can be in it.
 *
 * @typedef {{host?: unknown, port?: unknown, path?: unknown}} Endpoint
 * @typedef {object} Endpoints
 * @property {Endpoint[]} endpoints one, or the ones that a cluster or sentinels are known by
 * @property {boolean} [tls]
 * @property {string} [service] what sentinels call it
 */

const { read } = require('./inspect-object');

/**
 * @param {Endpoints | undefined} endpoints
 * @param {number | undefined} db
 * @returns {string | undefined} undefined where it can't be told
 */
function addressOf(endpoints, db) {
  if (!endpoints?.endpoints.length) return undefined;
  const path = endpoints.endpoints[0].path;
  if (typeof path === 'string' && path) {
    // A whole URL may have come there, and where a host or a service's name should be.
    return path.startsWith('/') ? `unix://${path}${db ? `?db=${db}` : ''}` : undefined;
  }
  if (endpoints.service !== undefined && !/^[\w.-]+$/.test(endpoints.service)) return undefined;
  const hosts = endpoints.endpoints.map(hostAndPort);
  if (hosts.includes(undefined)) return undefined;
  const scheme = endpoints.tls ? 'rediss' : 'redis';
  const sentinel = endpoints.service === undefined ? '' : '+sentinel';
  const service = endpoints.service === undefined ? '' : `/${endpoints.service}`;
  return `${scheme}${sentinel}://${hosts.join(',')}${service}${db ? `/${db}` : ''}`;
}

/** @param {Endpoint} endpoint */
function hostAndPort({ host, port }) {
  if (typeof host !== 'string' || !/^[^\s/@?#[\]]+$/.test(host)) return undefined;
  const number = Number(port);
  if (!Number.isInteger(number)) return undefined;
  return `${host.includes(':') ? `[${host}]` : host}:${number}`;
}

/**
 * @param {unknown} url
 * @param {number} otherwise the port, where the URL has none
 * @returns {Endpoint} empty where it can't be read
 */
function endpointOfUrl(url, otherwise) {
  try {
    const { hostname, port } = new URL(String(url));
    return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: port || otherwise };
  } catch {
    return {};
  }
}

/**
 * @param {unknown} options with `host`, `port` and `path`
 * @param {number} [otherwise] the port, where they have none
 * @returns {Endpoint}
 */
function endpointOf(options, otherwise = 6379) {
  return {
    host: read(options, 'host') ?? 'localhost',
    port: read(options, 'port') ?? otherwise,
    path: read(options, 'path'),
  };
}

module.exports = { addressOf, endpointOf, endpointOfUrl };
