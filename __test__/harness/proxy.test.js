'use strict';

// The tests' own fault proxy: each mode does what it says.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { setTimeout: sleep } = require('node:timers/promises');
const Redis = require('ioredis');

const { startProxy } = require('../support/proxy');
const { startServers } = require('../support/servers');
const { until } = require('../support/until');

async function start(t) {
  const [server] = await startServers(t, 1);
  const proxy = await startProxy(t, server);
  const connect = async () => {
    const client = new Redis({
      port: proxy.port,
      host: proxy.host,
      lazyConnect: true,
      enableReadyCheck: false,
      disableClientInfo: true,
      retryStrategy: () => null,
    });
    client.on('error', () => {});
    t.after(() => client.disconnect());
    await client.connect();
    return client;
  };
  return { server, proxy, connect };
}

test('pass forwards everything', async (t) => {
  const { proxy, connect } = await start(t);
  const client = await connect();
  assert.equal(await client.set('k', 'v'), 'OK');
  assert.equal(proxy.accepted, 1);
  assert.equal(proxy.connections, 1);
  client.disconnect();
  await until(() => proxy.connections === 0);
});

test('late delivers replies later, in order, also when the lateness ends', async (t) => {
  const { proxy, connect } = await start(t);
  const client = await connect();
  await proxy.late(100);
  const asked = performance.now();
  const replies = [];
  const all = ['1', '2', '3'].map((text) => client.echo(text).then((reply) => replies.push(reply)));
  await until(() => proxy.heldBack > 0);
  await proxy.pass();
  all.push(client.echo('4').then((reply) => replies.push(reply)));
  await Promise.all(all);
  assert.deepEqual(replies, ['1', '2', '3', '4']);
  assert.ok(performance.now() - asked >= 99);
});

test('hang accepts and forwards nothing until it ends', async (t) => {
  const { server, proxy, connect } = await start(t);
  const before = await connect();
  await proxy.hang();
  const during = await connect();
  const gone = await connect();
  const writes = [before.set('a', '1'), during.set('b', '1')];
  gone.set('c', '1').catch(() => {});
  await sleep(50);
  gone.disconnect();
  assert.deepEqual(await server.keys(), []);
  await proxy.pass();
  await Promise.all(writes);
  // What was sent by a client that has gone since then still arrives, as from a server that was frozen.
  await until(async () => (await server.keys()).length === 3);
});

test('dropReply applies requests whose replies are lost, and resets what lost some', async (t) => {
  const { server, proxy, connect } = await start(t);
  const untouched = await connect();
  const client = await connect();
  const closed = closeOf(client);
  await proxy.dropReply();
  const write = client.set('k', 'v').catch((error) => error);
  await until(() => proxy.droppedBytes > 0);
  assert.deepEqual(await server.keys(), ['k']);
  assert.equal(proxy.replyBytes, 0);
  assert.equal(client.status, 'ready');
  await proxy.pass();
  await closed;
  assert.ok((await write) instanceof Error);
  assert.equal(await untouched.ping(), 'PONG');
});

test('reset resets open connections and new ones', async (t) => {
  const { proxy, connect } = await start(t);
  const client = await connect();
  const closed = closeOf(client);
  await proxy.reset();
  await closed;
  await assert.rejects(connect().then((another) => another.ping()));
});

test('refuse leaves nobody listening, and pass brings the same port back', async (t) => {
  const { proxy, connect } = await start(t);
  const client = await connect();
  const { port } = proxy;
  const closed = closeOf(client);
  await proxy.refuse();
  await closed;
  await assert.rejects(connect());
  assert.equal(proxy.accepted, 1);
  await proxy.pass();
  assert.equal(proxy.port, port);
  assert.equal(await (await connect()).ping(), 'PONG');
});

test('a killed server closes the connections through the proxy', async (t) => {
  const { server, connect } = await start(t);
  const client = await connect();
  const closed = closeOf(client);
  await server.kill();
  await closed;
  await server.restart();
  assert.equal(await (await connect()).ping(), 'PONG');
});

/** Not events.once, which an error before the close would end. */
function closeOf(client) {
  return new Promise((resolve) => client.once('close', resolve));
}
