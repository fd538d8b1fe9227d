'use strict';

/**
 * Stands between contenders and the servers on the ports that it is given, in a process of its own; says on which ports
 * it listens, in their order. Told of a `fault`:
 *
 * - `lag`: all that is sent, either way, arrives so many ms later;
 * - `drop`: what a server says without being asked (RESP3's push) never arrives, and the connection lives on;
 * - `cut`: a connection that asks to be told so (CLIENT TRACKING) is ended, each time.
 *
 * Asked, it answers with how often each command was sent so far, by name.
 */

const { once } = require('node:events');
const net = require('node:net');

const { HOST } = require('../scripts/free-port');
const { Frames } = require('./frames');

const NAME = /^\*\d+\r\n\$\d+\r\n(\w+)\r\n/;
const TRACKING = /^\*\d+\r\n\$6\r\nCLIENT\r\n\$8\r\nTRACKING\r\n/i;
const PUSH = '>'.charCodeAt(0);

const [fault, ...ports] = process.argv.slice(2);
const { lag = 0, drop = false, cut = false } = JSON.parse(fault);
/** @type {Record<string, number>} */
const commands = {};

/** @param {string} port */
async function listen(port) {
  const listener = net.createServer({ noDelay: true }, (client) => link(client, Number(port)));
  listener.listen(0, HOST);
  await once(listener, 'listening');
  return /** @type {net.AddressInfo} */ (listener.address()).port;
}

/** @param {net.Socket} client @param {number} port */
function link(client, port) {
  const server = net.connect({ host: HOST, port, noDelay: true });
  const end = () => {
    client.destroy();
    server.destroy();
  };
  forward(client, server, (command) => {
    const name = NAME.exec(start(command))?.[1].toUpperCase() ?? 'unknown';
    commands[name] = (commands[name] ?? 0) + 1;
    if (cut && TRACKING.test(start(command))) end();
    return true;
  });
  forward(server, client, (reply) => !(drop && reply[0] === PUSH));
  for (const socket of [client, server]) {
    socket.on('error', end);
    socket.on('close', end);
  }
}

/** Passes on those frames that are to arrive, each as late as it is to be. */
function forward(from, to, isToArrive) {
  const frames = new Frames();
  from.on('data', (chunk) => {
    const arriving = frames.cut(chunk).filter(isToArrive);
    if (!arriving.length) return;
    const send = () => to.writable && to.write(Buffer.concat(arriving));
    // Timers of one duration end in their order.
    if (lag) setTimeout(send, lag);
    else send();
  });
}

/** @param {Buffer} command */
function start(command) {
  return command.toString('latin1', 0, 64);
}

process.on('message', () => process.send({ result: commands }));
process.on('disconnect', () => process.exit());
Promise.all(ports.map(listen)).then(
  (result) => process.send({ result }),
  (error) => process.send({ error: error.stack }, () => process.exit(1)),
);
