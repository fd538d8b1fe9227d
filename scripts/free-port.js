'use strict';

const net = require('node:net');

const HOST = '127.0.0.1';

// Below every system's ephemeral range (Linux starts at 32768, others at 49152). A port from inside
// it could be taken by any outgoing connection while its server is down, and a client that redials
// the dead port could even connect to itself.
const LOWEST = 10_000;
const HIGHEST = 32_000;

/**
 * A TCP port on loopback that nobody listens on at this moment. Another process may take it before
 * the caller does: who binds it must be ready to ask for the next one.
 *
 * @returns {Promise<number>}
 */
async function freePort() {
  for (let tries = 0; tries < 100; tries += 1) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
    if (await isFree(port)) return port;
  }
  throw new Error(`no free port found between ${LOWEST} and ${HIGHEST}`);
}

function isFree(port) {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: HOST, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

module.exports = { freePort, HOST };
