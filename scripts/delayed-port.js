'use strict';

/**
 * `node delayed-port.js PORT TARGET MS`: a port of loopback, and what is sent to it reaches the port TARGET that many
 * milliseconds later; answers come back at once. A process of its own, so that no test that blocks its thread blocks it.
 * Ends with the process that started it.
 */

const net = require('node:net');

const { HOST } = require('./free-port');

const [port, target, delay] = process.argv.slice(2).map(Number);

const server = net.createServer({ noDelay: true, allowHalfOpen: true }, (near) => {
  const far = net.connect({ host: HOST, port: target, noDelay: true, allowHalfOpen: true });
  // What was sent before an end arrives before it, also where the end was an error.
  const later = (what) => setTimeout(what, delay);
  near.on('data', (bytes) => later(() => far.write(bytes)));
  near.once('end', () => later(() => far.end()));
  near.once('close', () => later(() => far.destroySoon()));
  near.on('error', () => {});
  far.on('data', (bytes) => near.write(bytes));
  far.once('end', () => near.end());
  far.once('close', () => near.destroy());
  far.on('error', () => {});
});

server.listen({ port, host: HOST }, () => process.send('listening'));
server.once('error', (error) => process.send(error.code));
process.once('disconnect', () => process.exit());
