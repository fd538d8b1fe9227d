'use strict';

/** Where an instance is, as OpenTelemetry's conventions have it: by its host and its port, where it has one of each. */

/** @typedef {{name: string, attributes: import('@opentelemetry/api').Attributes}} Server `name` is for people */

const HOST_AND_PORT = /^(?:[a-z+]+:\/\/)?(?<host>\[[^\]]+\]|[^[\]:/,?]+):(?<port>\d+)(?![^/?])/;

const SOCKET = /^unix:\/\/(?<path>[^?]+)/;

/**
 * @param {string} address of an instance
 * @returns {Server}
 */
function serverAt(address) {
  const { host, port } = HOST_AND_PORT.exec(address)?.groups ?? {};
  if (host !== undefined) {
    const bare = host.replace(/^\[(.*)\]$/, '$1');
    return {
      name: `${host}:${port}`,
      attributes: { 'server.address': bare, 'server.port': Number(port) },
    };
  }
  // Of several servers behind one instance, and of memory, all that is known.
  const name = SOCKET.exec(address)?.groups?.path ?? address;
  return { name, attributes: { 'server.address': name } };
}

module.exports = { serverAt };
