'use strict';

/** What becomes of a client that its owner closes, stubs or wraps. */

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');

const Redlock = require('../..');
const {
  IOREDIS,
  NODE_REDIS,
  REDIS_3,
  GLIDE,
  makeClient,
  endNow,
  connectionsTo,
} = require('../support/clients');
const { assertValue, promoted, redlockOver } = require('../support/redlock');
const { rejection } = require('../support/rejection');
const { startServers } = require('../support/servers');
const { setsOn } = require('../support/sets');
const { until } = require('../support/until');

const ONCE = { retryCount: 0 };
const TTL = 30_000;

const modeOf = (redlock) => redlock.connections[0].mode;

describe('a client that its owner has closed', () => {
  const WAYS = [
    { library: IOREDIS, way: 'quit()', close: (client) => client.quit() },
    { library: IOREDIS, way: 'disconnect()', close: (client) => client.disconnect() },
    { library: NODE_REDIS, way: 'close()', close: (client) => client.close() },
    { library: NODE_REDIS, way: 'destroy()', close: (client) => client.destroy() },
    { library: REDIS_3, way: 'quit()', close: REDIS_3.end },
    { library: GLIDE, way: 'close()', close: GLIDE.end, skip: GLIDE.skip },
  ];

  for (const { library, way, close, skip = false } of WAYS) {
    for (const mode of ['bridge', 'native']) {
      test(`${library.title}, ${way}, in the mode ${mode}: the vote is its own error`, {
        skip,
      }, async (t) => {
        const [server] = await startServers(t, 1);
        const client = await makeClient(t, library, server);
        const told = [];
        const redlock = redlockOver(t, [client]).on('clientError', (error, where) =>
          told.push([error, where]),
        );
        if (mode === 'native') await promoted(redlock);
        const held = await redlock.lock('held', TTL);
        await close(client);
        const its = await rejection(library.call(client, 'PING'));
        assert.match(its.message, library.closed);

        for (const operation of [
          () => redlock.lock('a', TTL, ONCE),
          () => held.extend(TTL, ONCE),
          () => held.unlock(),
        ]) {
          told.length = 0;
          const error = await rejection(operation());
          assert.equal(error.code, 'ERR_REDLOCK_UNAVAILABLE');
          const own = error.votes[0].error;
          assert.equal(own.constructor, its.constructor);
          assert.match(own.message, library.closed);
          await until(() => told.length > 0);
          assert.equal(told[0][0], own, 'the very same object');
          assert.deepEqual(told[0][1], { index: 0, address: server.url });
        }
        const [connection] = redlock.connections;
        assert.deepEqual([connection.mode, connection.state], ['bridge', 'down']);
        assert.match(connection.reasons.join(), /closed/);
        // A proof that was under way leaves its key for its short ttl.
        await until(async () => String(await server.keys()) === 'held', { what: 'nothing of ours is left' });
        await until(async () => (await connectionsTo(server)).length === 0, {
          what: 'our own connection is closed too',
        });
      });
    }
  }

  for (const library of [IOREDIS, NODE_REDIS]) {
    test(`${library.title}: connected again, it works and is proven anew`, async (t) => {
      const [server] = await startServers(t, 1);
      const client = await makeClient(t, library, server);
      const redlock = redlockOver(t, [client]);
      await promoted(redlock);
      await library.end(client);
      await rejection(redlock.lock('a', TTL, ONCE));
      await until(() => redlock.connections[0].state === 'down');
      await client.connect();
      await until(() => redlock.connections[0].state === 'ready');
      const lock = await redlock.lock('a', TTL);
      await promoted(redlock);
      await lock.unlock();
      assert.deepEqual(await server.keys(), []);
    });

    for (const [what, wakeups] of [
      ['tried', false],
      ['waited', 'auto'],
    ]) {
      test(`${library.title}: a lock that is still being ${what} for ends with its error, in either mode`, async (t) => {
        const [server] = await startServers(t, 1);
        const client = await makeClient(t, library, server);
        const redlock = redlockOver(t, [client], { wakeups });
        await promoted(redlock);
        await server.command('SET', 'a', 'another');
        const sets = await setsOn(server);
        const trying = rejection(redlock.lock('a', TTL, { retryCount: 60, retryDelay: 20 }));
        await until(async () => (await setsOn(server)) > sets + (wakeups ? 0 : 2));
        await library.end(client);
        await server.command('DEL', 'a');
        const error = await trying;
        assert.match(error.votes[0].error.message, library.closed);
        assert.deepEqual(await server.keys(), []);
      });
    }
  }

  test('one of three: the others still are a majority', async (t) => {
    const servers = await startServers(t, 3);
    const clients = await Promise.all(servers.map((server) => makeClient(t, IOREDIS, server)));
    const told = [];
    const redlock = redlockOver(t, clients).on('clientError', (error) => told.push(error.message));
    const before = await redlock.lock('a', TTL);
    await assertValue(servers, 'a', before.value);
    await before.unlock();
    await assertValue(servers, 'a', null);
    await clients[1].quit();
    const lock = await redlock.lock('b', TTL, ONCE);
    await lock.extend(TTL);
    await lock.unlock();
    await until(() => told.length === 3);
    assert.deepEqual([...new Set(told)], ['Connection is closed.']);
  });

  for (const [what, isProven] of [
    ['before they are proven', false],
    ['once they are proven', true],
  ]) {
    test(`one of three of one server, ${what}: they are not one any more, and each votes for itself`, async (t) => {
      const [server] = await startServers(t, 1);
      const clients = await Promise.all([0, 1, 2].map(() => makeClient(t, IOREDIS, server)));
      const redlock = redlockOver(t, clients);
      if (isProven) await promoted(redlock);
      else await (await redlock.lock('a', TTL)).unlock();
      await clients[0].quit();
      const { votes } = await rejection(redlock.lock('b', TTL, ONCE));
      assert.equal(votes[0].vote, 'failed');
      assert.equal(votes.filter(({ vote }) => vote === 'granted').length, 1);
      await until(async () => (await server.keys()).length === 0);
    });
  }
});

describe('whoever replaces eval', () => {
  /** Each gives the client to be passed, and calls `see` whenever its eval is called. */
  const WAYS = [
    {
      title: 'on the instance, as a spy does',
      async make(t, library, server, see) {
        const client = await makeClient(t, library, server);
        stub(client, see);
        return client;
      },
    },
    {
      title: 'on the instance, hidden and not writable',
      async make(t, library, server, see) {
        const client = await makeClient(t, library, server);
        const own = client.eval;
        const value = function (...args) {
          see();
          return own.apply(this, args);
        };
        Object.defineProperty(client, 'eval', { value, configurable: true });
        return client;
      },
    },
    {
      title: 'with a Proxy',
      async make(t, library, server, see) {
        const client = await makeClient(t, library, server);
        return new Proxy(client, {
          get(target, key) {
            if (key === 'eval') see();
            const value = Reflect.get(target, key, target);
            return typeof value === 'function' ? value.bind(target) : value;
          },
        });
      },
    },
    {
      title: 'in a subclass',
      async make(t, library, server, see) {
        if (library !== IOREDIS) {
          const client = await makeClient(t, library, server);
          const between = Object.create(Object.getPrototypeOf(client));
          Object.setPrototypeOf(client, between);
          stub(between, see);
          return client;
        }
        class Watched extends require('ioredis') {
          eval(...args) {
            see();
            return super.eval(...args);
          }
        }
        const client = new Watched({ host: server.host, port: server.port });
        t.after(async () => endNow(client));
        return client;
      },
    },
  ];

  /** @param {any} client */
  function stub(client, see) {
    const own = client.eval;
    client.eval = function (...args) {
      see();
      return own.apply(this, args);
    };
  }

  for (const library of [IOREDIS, NODE_REDIS]) {
    for (const { title, make } of WAYS) {
      test(`${title} sees each call: ${library.title}`, async (t) => {
        const [server] = await startServers(t, 1);
        let seen = 0;
        const client = await make(t, library, server, () => {
          seen += 1;
        });
        const redlock = redlockOver(t, [client]);
        for (let round = 0; round < 3; round++) {
          seen = 0;
          const lock = await redlock.lock('a', TTL);
          assert.ok(seen >= 1);
          seen = 0;
          await lock.extend(TTL);
          assert.ok(seen >= 1);
          seen = 0;
          await lock.unlock();
          assert.ok(seen >= 1);
        }
        assert.equal(modeOf(redlock), 'bridge');
        assert.match(redlock.connections[0].reasons.join(), /replaced/);
        assert.equal((await connectionsTo(server)).length, 1, 'nobody else has connected');
        const error = await rejection((async () => new Redlock([client], { connections: 'native' }))());
        assert.match(error.message, /replaced/);
      });
    }

    test(`once it is proven sees the next call: ${library.title}`, async (t) => {
      const [server] = await startServers(t, 1);
      const client = await makeClient(t, library, server);
      const redlock = redlockOver(t, [client]);
      await promoted(redlock);
      const held = await redlock.lock('held', TTL);
      let seen = 0;
      stub(client, () => {
        seen += 1;
      });
      const lock = await redlock.lock('a', TTL);
      assert.equal(seen, 1);
      await lock.unlock();
      assert.equal(seen, 2);
      await held.extend(TTL);
      await held.unlock();
      assert.equal(seen, 4);
      assert.deepEqual(await server.keys(), []);
      delete client.eval;
      await promoted(redlock);
    });

    test(`to fail is heard, with the same object: ${library.title}`, async (t) => {
      const [server] = await startServers(t, 1);
      const client = await makeClient(t, library, server);
      const redlock = redlockOver(t, [client]);
      await promoted(redlock);
      const mine = new Error('on purpose');
      client.eval = () => Promise.reject(mine);
      const error = await rejection(redlock.lock('a', TTL, ONCE));
      assert.equal(error.votes[0].error, mine);
    });
  }
});
