'use strict';

/**
 * A TCP proxy in front of one server that fails the way networks and servers do. The mode can be
 * changed while connections are open, and counts for them from that moment on.
 */

const net = require('node:net');

const { freePort, HOST } = require('../../scripts/free-port');

/**
 * @param {{after: (callback: () => Promise<unknown>) => void}} t the proxy is closed when it ends
 * @param {{host?: string, port: number}} target
 */
async function startProxy(t, target) {
  const proxy = new FaultProxy(target);
  t.after(() => proxy.close());
  await proxy.start();
  return proxy;
}

class FaultProxy {
  #target;
  #delay = 0;
  #listener = null;
  /** @type {Set<Link>} */
  #links = new Set();

  constructor({ host = HOST, port }) {
    this.#target = { host, port };
    this.mode = 'pass';
    this.host = HOST;
    this.port = 0;
    /** How many connections were accepted so far. */
    this.accepted = 0;
    /** How many bytes of requests were forwarded so far, of replies delivered, and of replies dropped. */
    this.requestBytes = 0;
    this.replyBytes = 0;
    this.droppedBytes = 0;
  }

  get url() {
    return `redis://${this.host}:${this.port}`;
  }

  /** How many connections are open. */
  get connections() {
    return [...this.#links].filter((link) => link.isOpen).length;
  }

  /** How many pieces of replies the server has sent that are not delivered yet. */
  get heldBack() {
    return [...this.#links].reduce((count, link) => count + link.heldBack, 0);
  }

  /** How much later replies are delivered, in milliseconds. */
  get delay() {
    return this.#delay;
  }

  async start() {
    for (let tries = 0; tries < 20 && !this.#listener; tries += 1) {
      this.port = await freePort();
      this.#listener = await this.#listen();
    }
    if (!this.#listener) throw new Error('the proxy found no port');
  }

  /** Everything is forwarded. What was held back arrives now; what lost bytes is reset. */
  pass() {
    return this.#become('pass');
  }

  /** Connections are accepted and nothing is forwarded, either way; nothing is lost. */
  hang() {
    return this.#become('hang');
  }

  /** Replies arrive `ms` later. */
  late(ms) {
    return this.#become('late', ms);
  }

  /** Requests are applied, their replies are never delivered. */
  dropReply() {
    return this.#become('dropReply');
  }

  /** Connections are accepted and reset (RST), the open ones too. */
  reset() {
    return this.#become('reset');
  }

  /** Nobody listens; open connections are reset. */
  refuse() {
    return this.#become('refuse');
  }

  /** Ends every connection and the proxy. */
  async close() {
    this.#stopListening();
    for (const link of this.#links) link.reset();
  }

  async #become(mode, delay = 0) {
    this.mode = mode;
    this.#delay = delay;
    for (const link of this.#links) link.modeChanged();
    if (mode === 'refuse') this.#stopListening();
    else if (!this.#listener) await this.#listenAgain();
  }

  async #listenAgain() {
    this.#listener = await this.#listen();
    if (!this.#listener) throw new Error(`the proxy's port ${this.port} was taken while it refused`);
  }

  /** Null where the port is taken. */
  #listen() {
    return new Promise((resolve, reject) => {
      const listener = net.createServer({ allowHalfOpen: true, noDelay: true }, (client) =>
        this.#accept(client),
      );
      listener.once('error', (error) => (error.code === 'EADDRINUSE' ? resolve(null) : reject(error)));
      listener.listen({ port: this.port, host: this.host, exclusive: true }, () => {
        // A proxy that nobody uses must not keep the process alive.
        listener.unref();
        resolve(listener);
      });
    });
  }

  #stopListening() {
    // The port is free at once; only its callback would wait for the open connections.
    this.#listener?.close();
    this.#listener = null;
  }

  #accept(client) {
    this.accepted += 1;
    if (this.mode === 'reset') return client.resetAndDestroy();
    const link = new Link(this, client, this.#target);
    this.#links.add(link);
    link.closed.then(() => this.#links.delete(link));
  }
}

/** One client's connection and the one to the server behind it. */
class Link {
  #proxy;
  #client;
  #server;
  /** What goes back to the client, each when it is due, in order. */
  #replies = [];
  #timer;
  #lostBytes = false;

  constructor(proxy, client, target) {
    this.#proxy = proxy;
    this.#client = client;
    this.#server = net.connect({ ...target, allowHalfOpen: true, noDelay: true });
    /** Once both connections are gone. */
    this.closed = Promise.all(
      [this.#client, this.#server].map((one) => new Promise((done) => one.once('close', done))),
    );
    this.#forward();
    this.modeChanged();
  }

  get isOpen() {
    return !this.#client.destroyed;
  }

  get heldBack() {
    return this.#replies.length;
  }

  modeChanged() {
    const { mode } = this.#proxy;
    if (mode === 'reset' || mode === 'refuse') return this.reset();
    // A stream that misses bytes can't go on: in reality such a connection would be dead.
    if (this.#lostBytes && mode !== 'dropReply') return this.reset();
    for (const socket of [this.#client, this.#server]) {
      // Unread bytes wait in the kernel, as they do for a server that is stopped.
      if (mode === 'hang') socket.pause();
      else socket.resume();
    }
    this.#deliver();
  }

  reset() {
    clearTimeout(this.#timer);
    this.#replies = [];
    for (const socket of [this.#client, this.#server]) resetSocket(socket);
  }

  #forward() {
    const client = this.#client;
    const server = this.#server;
    client.on('data', (chunk) => {
      this.#proxy.requestBytes += chunk.length;
      server.write(chunk);
    });
    client.once('end', () => server.end());
    // However the client went away, what it sent before still reaches the server.
    client.once('close', () => server.end());
    client.on('error', () => {});
    server.on('data', (chunk) => {
      if (this.#proxy.mode === 'dropReply') {
        this.#lostBytes = true;
        this.#proxy.droppedBytes += chunk.length;
        return;
      }
      this.#reply(() => {
        this.#proxy.replyBytes += chunk.length;
        client.write(chunk);
      });
    });
    server.once('end', () => this.#reply(() => client.end()));
    server.on('error', () => this.reset());
  }

  #reply(send) {
    this.#replies.push({ due: performance.now() + this.#proxy.delay, send });
    this.#deliver();
  }

  #deliver() {
    clearTimeout(this.#timer);
    if (this.#proxy.mode === 'hang') return;
    while (this.#replies.length) {
      const wait = this.#replies[0].due - performance.now();
      if (wait > 0) {
        this.#timer = setTimeout(() => this.#deliver(), Math.ceil(wait));
        return;
      }
      const { send } = this.#replies.shift();
      if (this.isOpen) send();
    }
  }
}

function resetSocket(socket) {
  // Node.js can't reset a socket whose FIN is on its way: it would neither be reset nor closed, and the
  // process would hang at its end.
  const isEnding = socket.writableEnded && !socket.writableFinished && socket.writableLength === 0;
  if (isEnding) socket.destroy();
  else socket.resetAndDestroy();
}

module.exports = { startProxy };
