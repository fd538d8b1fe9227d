'use strict';

/**
 * What Node's own TLS, and then a connection of ours, make of the server at a port of localhost. As a program, in a
 * process of its own: `verdicts.js port options`, the options of TLS as JSON; it prints the verdicts as JSON.
 *
 * @typedef {{node: string, ours: string}} Verdicts `accepts`, or the error's text
 */

const tls = require('node:tls');

const Redlock = require('../..');

const HOST = 'localhost';

/**
 * @param {number} port
 * @param {Record<string, unknown>} options of TLS
 * @returns {Promise<Verdicts>}
 */
async function verdictsOn(port, options) {
  return { node: await ofNode(port, options), ours: await ofOurs(port, options) };
}

function ofNode(port, options) {
  return new Promise((resolve) => {
    const socket = tls.connect({ ...options, host: HOST, port });
    // A server of TLS 1.3 may end it after the handshake only.
    socket.once('secureConnect', () => socket.end());
    socket.once('close', () => resolve('accepts'));
    socket.once('error', (error) => resolve(error.message));
  });
}

async function ofOurs(port, options) {
  const redlock = new Redlock([{ host: HOST, port, tls: options }], { retryCount: 0 });
  try {
    const lock = await redlock.lock('tls', 5000);
    await lock.unlock();
    return 'accepts';
  } catch (error) {
    return error.votes?.[0]?.error?.message ?? error.message;
  } finally {
    await redlock.quit();
  }
}

if (require.main === module) {
  const [port, options] = process.argv.slice(2);
  verdictsOn(Number(port), JSON.parse(options)).then((verdicts) => console.log(JSON.stringify(verdicts)));
}

module.exports = { verdictsOn };
