'use strict';

/** Just enough of Redis' protocol (RESP2) for one command at a time. */

const net = require('node:net');

/**
 * Sends commands one after the other over a connection of its own and resolves with the last one's
 * reply, in strings, numbers, nulls and arrays. Rejects with the first error reply, or after
 * `timeout` milliseconds of no complete answer.
 *
 * @param {string} path the server's unix socket
 * @param {(string | number | Buffer)[][]} commands
 * @param {{timeout?: number}} [options]
 * @returns {Promise<any>}
 */
function ask(path, commands, { timeout = 5000 } = {}) {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ path });
    const timer = setTimeout(() => end(new Error(`no answer from ${path} within ${timeout} ms`)), timeout);
    let received = Buffer.alloc(0);
    let awaited = commands.length;

    socket.on('error', end);
    socket.on('end', () => end(new Error(`${path} closed the connection`)));
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      let reply = parse(received, 0);
      while (reply) {
        received = received.subarray(reply.next);
        awaited -= 1;
        if (reply.value instanceof Error || awaited === 0) return end(reply.value);
        reply = parse(received, 0);
      }
    });
    socket.write(Buffer.concat(commands.map(encode)));

    function end(result) {
      clearTimeout(timer);
      socket.destroy();
      if (result instanceof Error) reject(result);
      else resolve(result);
    }
  });
}

function encode(args) {
  const parts = args.map((arg) => (Buffer.isBuffer(arg) ? arg : Buffer.from(String(arg))));
  const pieces = parts.flatMap((part) => [Buffer.from(`$${part.length}\r\n`), part, Buffer.from('\r\n')]);
  return Buffer.concat([Buffer.from(`*${parts.length}\r\n`), ...pieces]);
}

/** The reply that starts at `from` and where the next one would; null while it is incomplete. */
function parse(bytes, from) {
  const lineEnd = bytes.indexOf('\r\n', from);
  if (lineEnd < 0) return null;
  const line = bytes.toString('utf8', from + 1, lineEnd);
  const next = lineEnd + 2;
  switch (String.fromCharCode(bytes[from])) {
    case '+':
      return { value: line, next };
    case '-':
      return { value: new Error(line), next };
    case ':':
      return { value: Number(line), next };
    case '$':
      return parseBulk(bytes, next, Number(line));
    case '*':
      return parseArray(bytes, next, Number(line));
    default:
      return { value: new Error(`not a Redis reply: ${line}`), next };
  }
}

function parseBulk(bytes, from, length) {
  if (length < 0) return { value: null, next: from };
  if (bytes.length < from + length + 2) return null;
  return { value: bytes.toString('utf8', from, from + length), next: from + length + 2 };
}

function parseArray(bytes, from, length) {
  if (length < 0) return { value: null, next: from };
  const value = [];
  let next = from;
  while (value.length < length) {
    const item = parse(bytes, next);
    if (!item) return null;
    value.push(item.value);
    next = item.next;
  }
  return { value, next };
}

module.exports = { ask };
