'use strict';

const net = require('node:net');

/**
 * A server that gives the same answer to whatever it is sent, until the test ends.
 *
 * @param {{after: (callback: () => void) => void}} t
 * @param {string} answer as it stands on the wire
 * @returns {Promise<number>} its port
 */
async function startParrot(t, answer) {
  const sockets = new Set();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('data', (data) => {
      const commands = data.toString('latin1').match(/^\*\d+\r$/gm)?.length ?? 1;
      socket.write(answer.repeat(commands));
    });
    socket.on('error', () => {});
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const { port } = /** @type {net.AddressInfo} */ (server.address());
  return port;
}

module.exports = { startParrot };
