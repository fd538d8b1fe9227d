'use strict';

/**
 * Connections that are lost, or forgotten by a network that tells nobody: what is asked for next costs a
 * round trip more, and a lock that is kept is not lost by it. redlock 4 beside ours, where it can do that.
 */

const assert = require('node:assert/strict');
const net = require('node:net');
const { describe, test } = require('node:test');

const Redis = require('ioredis');
const Redlock4 = require('redlock');

const Redlock = require('../..');
const { rejection } = require('../support/rejection');
const { startServers } = require('../support/servers');
const { startCluster, startSentinels } = require('../support/topologies');
const { until } = require('../support/until');

/** Long enough for the longest deadline, 1 s. */
const TTL = 10_000;

/** Ours by configuration, ready; `lost` resolves with the next loss of a connection. */
async function openOurs(t, instance, options = {}) {
  const redlock = new Redlock([instance], { retryCount: 0, ...options });
  t.after(() => redlock.quit());
  await until(() => redlock.connections[0].state === 'ready');
  let losses = 0;
  redlock.on('connection', ({ state }) => {
    losses += state === 'down' ? 1 : 0;
  });
  const lost = () => {
    const before = losses;
    // An event keeps no process alive.
    return until(() => losses > before, { interval: 0 });
  };
  const isReady = () => redlock.connections[0].state === 'ready';
  return { redlock, lost, isReady };
}

/** redlock 4 over ioredis, alike. */
async function openOriginal(t, server) {
  const client = new Redis(server.url);
  client.on('error', () => {});
  t.after(() => client.disconnect());
  await until(() => client.status === 'ready');
  const lost = () => new Promise((resolve) => client.once('close', resolve));
  return {
    redlock: new Redlock4([client], { retryCount: 0 }),
    lost,
    isReady: () => client.status === 'ready',
  };
}

const killAll = (server) => server.command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');

/** How many of so many locks, each asked for once its loss is heard of, were granted. */
async function locksAfter({ redlock, lost, isReady }, times, lose) {
  let granted = 0;
  for (let turn = 0; turn < times; turn++) {
    await until(isReady);
    // Something was asked for since the last loss.
    await (await redlock.lock(`before-${turn}`, TTL)).unlock();
    const heard = lost();
    const done = lose();
    await heard;
    const lock = await redlock.lock(`after-${turn}`, TTL).catch(() => null);
    if (lock) granted += 1;
    await done;
  }
  return granted;
}

describe('after a lost connection a lock is granted at its first attempt', () => {
  for (const [what, open] of Object.entries({
    'redlock 4': openOriginal,
    ours: (t, { url }) => openOurs(t, url),
  })) {
    test(`${what}: after CLIENT KILL`, async (t) => {
      const [server] = await startServers(t, 1);
      assert.equal(await locksAfter(await open(t, server), 20, () => killAll(server)), 20);
    });

    test(`${what}: while the server restarts`, async (t) => {
      const [server] = await startServers(t, 1);
      assert.equal(await locksAfter(await open(t, server), 3, () => server.restart()), 3);
    });

    test(`${what}: when a server goes on that stood still`, async (t) => {
      const [server] = await startServers(t, 1);
      const { redlock, lost } = await open(t, server);
      const heard = lost();
      server.pause();
      const first = redlock.lock('first', TTL).catch(() => null);
      // The original has no limit of its own: it waits.
      if (what === 'ours') await heard;
      server.resume();
      await redlock.lock('second', TTL);
      await first;
    });
  }

  test('where sentinels name the master', async (t) => {
    const [master] = await startServers(t, 1);
    const sentinels = await startSentinels(t, master, { count: 1 });
    const { host, port } = sentinels[0];
    const ours = await openOurs(t, { sentinels: [{ host, port }], name: 'main' });
    assert.equal(await locksAfter(ours, 5, () => killAll(master)), 5);
  });

  test('on the nodes of a cluster', async (t) => {
    const nodes = await startCluster(t, 3);
    const redlock = new Redlock([{ cluster: nodes.map(({ host, port }) => ({ host, port })) }], {
      retryCount: 0,
    });
    t.after(() => redlock.quit());
    for (let turn = 0; turn < 5; turn++) {
      await (await redlock.lock(`before-${turn}`, TTL)).unlock();
      await Promise.all(nodes.map(killAll));
      // Nobody tells of a node's loss: what is written before it is heard of may be lost.
      await until(() => redlock.lock(`a-while-${turn}`, TTL));
      await redlock.lock(`after-${turn}`, TTL);
    }
  });
});

/** Something in between that can forget all its connections, so that nobody is told. */
async function startNat(t, server) {
  const all = new Set();
  const nat = net.createServer((client) => {
    const inner = net.connect(server.port, server.host);
    const one = { forgotten: false };
    all.add(one);
    client.on('data', (bytes) => one.forgotten || inner.write(bytes));
    inner.on('data', (bytes) => one.forgotten || client.write(bytes));
    for (const [end, other] of [
      [client, inner],
      [inner, client],
    ]) {
      end.on('error', () => other.destroy());
      end.on('close', () => other.destroy());
    }
  });
  await new Promise((resolve) => nat.listen(0, server.host, () => resolve(undefined)));
  t.after(() => nat.close());
  const { port } = /** @type {net.AddressInfo} */ (nat.address());
  return {
    url: `redis://${server.host}:${port}`,
    forget() {
      for (const one of all) one.forgotten = true;
    },
    get connections() {
      return all.size;
    },
  };
}

describe('a network that has forgotten a connection', () => {
  for (const ttl of [1000, 2000, 3000]) {
    test(`loses no lock of ttl ${ttl} that is kept`, async (t) => {
      const [server] = await startServers(t, 1);
      const nat = await startNat(t, server);
      const redlock = new Redlock([nat.url]);
      t.after(() => redlock.quit());
      const lock = await redlock.lock('kept', ttl, { autoExtend: true });
      nat.forget();
      const { value } = lock;
      // An extension that arrives says that it goes on.
      await until(() => nat.connections === 2, { timeout: ttl });
      await until(async () => (await server.command('PTTL', 'kept')) > ttl * 0.8, { timeout: ttl });
      assert.equal(lock.held, true);
      assert.equal(await server.command('GET', 'kept'), value);
      assert.equal(lock.signal.aborted, false);
      await lock.unlock();
    });
  }

  test('is told of, and what a lock left behind there is released', async (t) => {
    const [server] = await startServers(t, 1);
    const nat = await startNat(t, server);
    const { redlock, lost, isReady } = await openOurs(t, nat.url);
    const lock = await redlock.lock('a', TTL);
    nat.forget();
    const heard = lost();
    // Its command is lost; whether it was carried out nobody knows.
    const unlocked = lock.unlock();
    await heard;
    const [{ lastError }] = redlock.connections;
    assert.match(lastError.message, /a new connection has taken its place/);
    await unlocked;
    assert.deepEqual(await server.keys(), []);
    assert.ok(isReady());
    assert.equal(nat.connections, 2);
  });

  test('does not make a hung server be dialled again and again', async (t) => {
    const [server] = await startServers(t, 1);
    const nat = await startNat(t, server);
    const { redlock } = await openOurs(t, nat.url);
    server.pause();
    const error = await rejection(redlock.lock('a', TTL));
    assert.equal(error.code, 'ERR_REDLOCK_UNAVAILABLE');
    assert.ok(nat.connections <= 2, String(nat.connections));
    server.resume();
    await until(() => redlock.lock('b', TTL).catch(() => null));
  });
});
