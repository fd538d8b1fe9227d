'use strict';

/** What a caller's client is asked in one turn goes out together, and nobody who stands in the way sees that. */

const assert = require('node:assert/strict');
const { before, describe, test } = require('node:test');

const Redlock = require('../..');
const { adopt } = require('../../lib/clients');
const { ownScript } = require('../../lib/clients/scripts');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');
const { block } = require('../support/block');
const { within } = require('../support/within');
const { until } = require('../support/until');

const TTL = 20_000;
const MANY = 50;

describe('what a client of ioredis is asked in one turn', () => {
  const suite = endOfSuite();
  let server;
  before(async () => {
    [server] = await startServers(suite, 1);
  });

  async function connect(t, Class) {
    const client = new Class({ host: server.host, port: server.port });
    t.after(() => client.disconnect());
    await until(() => client.status === 'ready');
    const redlock = new Redlock([client], { connections: 'bridge' });
    t.after(() => redlock.quit());
    // The first lock is taken by a script of its own; after the second the server knows all there are.
    for (let round = 0; round < 2; round++) await (await redlock.lock('first', TTL)).unlock();
    return { client, redlock };
  }

  /** Locks and unlocks many resources at once. */
  async function useMany(redlock) {
    const names = Array.from({ length: MANY }, (_, number) => `many ${number}`);
    const locks = await Promise.all(names.map((name) => redlock.lock(name, TTL)));
    assert.equal((await server.keys()).length, MANY);
    await Promise.all(locks.map((lock) => lock.unlock()));
    assert.deepEqual(await server.keys(), []);
  }

  for (const name of ['ioredis-4', 'ioredis', 'ioredis-6', 'iovalkey']) {
    test(`goes out in few writes (${name})`, async (t) => {
      const { client, redlock } = await connect(t, require(name));
      const { stream } = client;
      let writes = 0;
      for (const method of ['_write', '_writev']) {
        const original = stream[method];
        stream[method] = function counted(...args) {
          writes += 1;
          return original.apply(this, args);
        };
      }
      await useMany(redlock);
      assert.ok(writes > 0 && writes < MANY, `${writes} writes`);
      assert.equal(stream.writableCorked, 0);
    });

    test(`goes out in part while more is asked (${name})`, async (t) => {
      const { client } = await connect(t, require(name));
      const asked = adopt(client, 'the client', 'redlock 4');
      const { text } = ownScript('unlock');
      const answers = [];
      asked.gather();
      for (let number = 0; number < 4 * MANY; number++) answers.push(asked.eval(text, ['none'], ['value']));
      const { writableLength } = client.stream;
      assert.ok(
        writableLength > 0 && writableLength < 3 * MANY * text.length,
        `${writableLength} bytes wait`,
      );
      asked.sendAll();
      assert.equal(client.stream.writableCorked, 0);
      assert.equal((await Promise.all(answers)).length, 4 * MANY);
    });

    test(`goes out with no code but its library’s, unless it has to connect first (${name})`, async (t) => {
      const { client } = await connect(t, require(name));
      const asked = adopt(client, 'the client', 'redlock 4');
      assert.equal(asked.gather(), true);
      asked.sendAll();
      const lazy = new (require(name))({ lazyConnect: true });
      t.after(() => lazy.disconnect());
      assert.equal(adopt(lazy, 'the client', 'redlock 4').gather(), false);
    });

    test(`is seen as ever by a sendCommand that somebody has put there (${name})`, async (t) => {
      const corked = [];
      class Traced extends require(name) {
        sendCommand(...args) {
          corked.push(this.stream?.writableCorked ?? 0);
          return super.sendCommand(...args);
        }
      }
      const { redlock } = await connect(t, Traced);
      await useMany(redlock);
      assert.ok(corked.length >= 2 * MANY);
      assert.deepEqual(new Set(corked), new Set([0]));
    });
  }

  test('goes out though one client throws', async (t) => {
    const { client, redlock } = await connect(t, require('ioredis'));
    const failing = {
      eval() {
        throw new Error('no');
      },
    };
    const both = new Redlock([client, failing, client], { connections: 'bridge', retryCount: 0 });
    t.after(() => both.quit());
    await both.lock('with one that throws', TTL).catch(() => {});
    assert.equal(client.stream.writableCorked, 0);
    await useMany(redlock);
  });

  test('is answered, as is everything else, though one client throws where it is looked at', async (t) => {
    const { client, redlock } = await connect(t, require('ioredis'));
    let isOdd = false;
    const odd = new Proxy(client, {
      get(target, key) {
        if (isOdd && key === 'sendCommand') throw new Error('no');
        const found = Reflect.get(target, key, target);
        return typeof found === 'function' ? found.bind(target) : found;
      },
    });
    const other = new Redlock([odd], { connections: 'bridge', retryCount: 0 });
    t.after(() => other.quit());
    await (await other.lock('odd', TTL)).unlock();
    isOdd = true;
    const asked = [other.lock('odd', TTL), redlock.lock('even', TTL)];
    // Both are asked by one drain.
    process.nextTick(() => block(50));
    const locks = await within(10_000, Promise.all(asked));
    await Promise.all(locks.map((lock) => lock.unlock()));
    assert.equal(client.stream.writableCorked, 0);
  });
});
