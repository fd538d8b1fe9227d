'use strict';

/**
 * What of the caller's runs on a wake-up runs in the caller's context (safety rule 21): a client's command in that of the
 * request that needs it, a signal's listeners in that of whoever has the lock, events in that of whoever made the
 * Redlock. The hand-over has none, and keeps none alive.
 */

const assert = require('node:assert/strict');
const { AsyncLocalStorage, createHook } = require('node:async_hooks');
const { describe, before, test } = require('node:test');
const Redis = require('ioredis');
const Redlock4 = require('redlock');

const Redlock = require('../..');
const { default: Redlock5 } = require('../../compat/v5');
const { block } = require('../support/block');
const { namesLike } = require('../support/redlock');
const { rejection } = require('../support/rejection');
const { runScript } = require('../support/script');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');
const { until } = require('../support/until');

const als = new AsyncLocalStorage();

/** Why a client stays the way to its server for good. */
const NEVER = /was replaced|can't be read off it|is a getter/;

const newName = namesLike('context-');

describe('in the context of the caller', () => {
  const suite = endOfSuite();
  let server;
  let plain;

  before(async () => {
    [server] = await startServers(suite, 1);
    plain = new Redis(server.port, server.host);
    suite.after(() => plain.disconnect());
  });

  /** A client of which each command is noted with the context that it was called in. */
  function watched() {
    const client = new Redis(server.port, server.host);
    suite.after(() => client.disconnect());
    const seen = [];
    for (const method of ['eval', 'evalsha']) {
      const own = client[method];
      client[method] = (...args) => {
        // The script or its digest, the number of keys, the key.
        seen.push({ name: args.flat()[2], in: als.getStore() });
        return own.apply(client, args);
      };
    }
    return {
      client,
      seen,
      contextsOf: (name) => new Set(seen.filter((one) => one.name === name).map((one) => one.in)),
    };
  }

  const open = (t, Class, clients, options) => {
    const redlock = new Class(clients, options);
    t.after(() => redlock.quit?.().catch(() => {}));
    return redlock;
  };

  for (const [what, Class] of [
    ['ours', Redlock],
    ['redlock 4 itself', Redlock4],
  ]) {
    test(`a client is asked there: ${what}`, async () => {
      const { client, contextsOf } = watched();
      // Made in a request, as it is where it is made when it is first needed.
      const redlock = als.run('maker', () => new Class([client], { retryCount: 0 }));
      for (let request = 0; request < 5; request++) {
        const name = newName();
        await als.run(`request ${request}`, async () => {
          const lock = await redlock.lock(name, 5000);
          assert.equal(als.getStore(), `request ${request}`);
          await lock.extend(5000);
          await redlock.lock(name, 5000).catch(() => {});
          await lock.unlock();
        });
        assert.deepEqual([...contextsOf(name)], [`request ${request}`]);
      }
      const name = newName();
      const heard = await new Promise((resolve) =>
        als.run('callback', () => {
          redlock.lock(name, 5000, (_error, lock) => lock.unlock(() => resolve(als.getStore())));
        }),
      );
      assert.equal(heard, 'callback');
      assert.deepEqual([...contextsOf(name)], ['callback']);
    });
  }

  for (const methods of [['eval', 'evalsha'], ['sendCommand']]) {
    test(`also where another client has entered one of its own (${methods.join(', ')} replaced)`, async (t) => {
      const seen = [];
      const clients = ['first', 'second', 'third'].map((tenant) => {
        const client = new Redis(server.port, server.host, { keyPrefix: `${newName()}:` });
        suite.after(() => client.disconnect());
        for (const method of methods) {
          const own = client[method];
          client[method] = (...args) => {
            seen.push(als.getStore());
            als.enterWith(tenant);
            return own.apply(client, args);
          };
        }
        return client;
      });
      const redlock = open(t, Redlock, clients, { retryCount: 0 });
      await until(() => clients.every(({ status }) => status === 'ready'));
      // The server knows all scripts from then on.
      for (let round = 0; round < 2; round++) await (await redlock.lock(newName(), 5000)).unlock();
      seen.length = 0;
      await als.run('caller', async () => (await redlock.lock(newName(), 5000)).unlock());
      assert.ok(seen.length >= 2 * clients.length, `${seen.length} calls`);
      assert.deepEqual([...new Set(seen)], ['caller']);
    });
  }

  test('also what comes late: the clean-up of an attempt that was given up', async (t) => {
    const { client, contextsOf, seen } = watched();
    const redlock = open(t, Redlock, [client], { retryCount: -1, retryDelay: 10 });
    const name = newName();
    await plain.set(name, 'other', 'PX', 400);
    const controller = new AbortController();
    const waiting = als.run('impatient', () => redlock.lock(name, 5000, { signal: controller.signal }));
    await until(() => seen.length > 3);
    als.run('other', () => controller.abort());
    await rejection(waiting);
    await als.run('other', async () => (await redlock.lock(newName(), 1000)).unlock());
    assert.deepEqual([...contextsOf(name)], ['impatient']);
  });

  test('also the release of what was granted too late', async (t) => {
    const { client, contextsOf } = watched();
    const redlock = open(t, Redlock, [client], { retryCount: 0, deadlineFloor: 5000 });
    const names = Array.from({ length: 3 }, newName);
    await als.run('first', async () => (await redlock.lock(newName(), 5000)).unlock());
    let isFirst = true;
    const outcomes = await Promise.all(
      names.map((name) =>
        als.run(name, () =>
          redlock.lock(name, 1000).then(
            () => {
              if (isFirst) block(1200);
              isFirst = false;
            },
            ({ code }) => code,
          ),
        ),
      ),
    );
    assert.ok(outcomes.includes('ERR_REDLOCK_TOO_SLOW'));
    // What is asked for later comes later.
    await als.run('last', async () => (await redlock.lock(newName(), 5000)).unlock());
    for (const name of names) assert.deepEqual([...contextsOf(name)], [name]);
  });

  test('and who asks for a lock when async_hooks tell of a context gets that lock, and the other one theirs', async (t) => {
    const { client, seen } = watched();
    const redlock = open(t, Redlock, [client], { retryCount: 0 });
    const [outer, inner] = [newName(), `${newName()}, inside`];
    /** @type {Promise<any> | undefined} */
    let asked;
    let isAsking = false;
    const hook = createHook({
      init(_id, type) {
        if (type !== 'REDLOCK' || isAsking) return;
        isAsking = true;
        asked = redlock.lock(inner, 5000);
      },
    }).enable();
    const first = redlock.lock(outer, 5000);
    hook.disable();
    const locks = await Promise.all([first, asked]);
    assert.deepEqual(new Set(seen.map(({ name }) => name)), new Set([outer, inner]));
    await Promise.all(locks.map((lock) => lock.unlock()));
  });

  test('also the extensions of a lock that is kept', async (t) => {
    const { client, seen, contextsOf } = watched();
    const redlock = open(t, Redlock, [client], { retryCount: 0 });
    const name = newName();
    const lock = await als.run('keeper', () => redlock.lock(name, 300, { autoExtend: true }));
    const before = seen.length;
    await als.run('other', () => until(() => seen.length > before + 2));
    await als.run('keeper', () => lock.unlock());
    assert.deepEqual([...contextsOf(name)], ['keeper']);
  });

  test('also the releases of quit({ unlock: true })', async () => {
    const { client, contextsOf } = watched();
    const redlock = new Redlock([client], { retryCount: 0 });
    const names = [newName(), newName()];
    for (const name of names) await als.run(name, () => redlock.lock(name, 5000));
    await als.run('quitter', () => redlock.quit({ unlock: true }));
    for (const name of names) assert.deepEqual([...contextsOf(name)], [name]);
  });

  test('also the proof of a connection of our own', async (t) => {
    const client = new Redis(server.port, server.host);
    suite.after(() => client.disconnect());
    await client.ping();
    const seen = [];
    const { stream } = client;
    const { write } = stream;
    stream.write = (...args) => {
      seen.push({ text: String(args[0]), in: als.getStore() });
      return write.apply(stream, args);
    };
    const redlock = open(t, Redlock, [client], { retryCount: 0 });
    const names = [];
    await als.run('first', () =>
      until(async () => {
        names.push(newName());
        await (await redlock.lock(names.at(-1), 1000)).unlock();
        return redlock.connections[0].mode === 'native';
      }),
    );
    // A lock, and the key of its proof beside it. Its release may go by our own connection already.
    const proves = ({ text }) => names.some((name) => text.includes(`${name}:`));
    assert.ok(seen.some(proves), `${seen.length} commands, none of which is a proof`);
    assert.ok(
      seen.some((one) => !proves(one)),
      'no lock was asked for',
    );
    assert.deepEqual([...new Set(seen.map((one) => one.in))], ['first']);
  });

  test("a signal's listeners run in that of whoever has the lock, events in that of whoever made the Redlock", async () => {
    const heard = {};
    const note = (what) => () => {
      heard[what] = als.getStore();
    };
    const redlock = als.run('maker', () => new Redlock([plain], { retryCount: 0 }));
    redlock.on('lost', note('lost'));
    redlock.on('clientError', note('clientError'));
    redlock.on('unlockError', note('unlockError'));
    redlock.on('connection', note('connection'));
    await als.run('taker', async () => {
      const lock = await redlock.lock(newName(), 200);
      const { signal } = lock;
      als.run('other', () => signal.addEventListener('abort', note('abort')));
      await until(() => heard.abort && heard.lost);
    });
    await als.run('user', async () => {
      const name = newName();
      const lock = await redlock.lock(name, 5000);
      await plain.del(name);
      await plain.hset(name, 'not', 'a string');
      await rejection(lock.unlock());
      await until(() => heard.clientError);
      const held = await redlock.lock(newName(), 5000);
      await plain.del(held.resource[0]);
      await plain.hset(held.resource[0], 'not', 'a string');
      if (Symbol.asyncDispose) {
        await held[Symbol.asyncDispose]();
        await until(() => heard.unlockError);
        assert.equal(heard.unlockError, 'maker');
      }
      await until(async () => {
        await (await redlock.lock(newName(), 1000)).unlock();
        return heard.connection;
      });
    });
    assert.deepEqual(
      [heard.abort, heard.lost, heard.clientError, heard.connection],
      ['taker', 'maker', 'maker', 'maker'],
    );
    const five = als.run('maker of five', () => new Redlock5([plain], { retryCount: 0 }));
    five.on('error', note('error'));
    await als.run('user of five', () =>
      rejection(five.using([newName()], 500, async () => plain.flushall())).catch(() => {}),
    );
    await als.run('user of five', async () => {
      const name = newName();
      await plain.set(name, 'other', 'PX', 5000);
      await rejection(five.acquire([name], 1000));
    });
    await until(() => heard.error);
    assert.equal(heard.error, 'maker of five');
  });

  /** Each leads to the tenant's keys in its own way. */
  const KINDS = {
    'a Proxy that leads to the tenant’s connection': (connectionOf) =>
      new Proxy(
        {},
        {
          get(_, key) {
            const connection = connectionOf();
            const value = connection[key];
            return typeof value === 'function' ? value.bind(connection) : value;
          },
          has: (_, key) => key in connectionOf(),
        },
      ),
    'an object with an eval of its own': (connectionOf) => ({
      eval: (...args) => connectionOf().eval(...args.filter((arg) => typeof arg !== 'function')),
      quit: async () => 'OK',
    }),
    getters: (connectionOf) =>
      Object.create(Object.prototype, {
        eval: { get: () => connectionOf().eval.bind(connectionOf()) },
        evalsha: { get: () => connectionOf().evalsha.bind(connectionOf()) },
      }),
    'a client whose keyPrefix is a getter': () => {
      const client = new Redis(server.port, server.host);
      suite.after(() => client.disconnect());
      Object.defineProperty(client.options, 'keyPrefix', {
        configurable: true,
        enumerable: true,
        get: () => `${als.getStore() ?? 'nobody'}:`,
      });
      return client;
    },
    'a subclass that asks elsewhere': (connectionOf) => {
      class Tenants extends Redis {
        eval(...args) {
          return connectionOf().eval(...args);
        }

        evalsha(...args) {
          return connectionOf().evalsha(...args);
        }
      }
      const client = new Tenants(server.port, server.host);
      suite.after(() => client.disconnect());
      return client;
    },
  };

  test('ten tenants and five kinds of client never cross', async (t) => {
    const connections = new Map();
    suite.after(() => {
      for (const connection of connections.values()) connection.disconnect();
    });
    const connectionOf = () => {
      const tenant = als.getStore() ?? 'nobody';
      if (!connections.has(tenant)) {
        connections.set(tenant, new Redis({ port: server.port, host: server.host, keyPrefix: `${tenant}:` }));
      }
      return connections.get(tenant);
    };
    const tenants = Array.from({ length: 10 }, (_, index) => `tenant-${index}`);
    const redlocks = Object.entries(KINDS).map(([kind, make]) => [
      kind,
      open(t, Redlock, [make(connectionOf)], { retryCount: 20, retryDelay: 20 }),
    ]);
    await plain.flushall();
    const cycle = async (tenant, redlock, name) => {
      const lock = await redlock.lock(name, 5000);
      const owner = await plain.get(`${tenant}:${name}`);
      await lock.extend(5000);
      await lock.unlock();
      return owner === lock.value;
    };
    for (let round = 0; round < 8; round++) {
      const right = await Promise.all(
        redlocks.flatMap(([kind, redlock]) =>
          tenants.map((tenant) =>
            // One name for all: whoever crossed would find it held.
            als.run(tenant, () => cycle(tenant, redlock, `shared by ${kind}`)),
          ),
        ),
      );
      assert.ok(right.every(Boolean));
    }
    // Nothing is left with anybody, nor was anything asked for nobody.
    await until(async () => (await plain.keys('*')).length === 0);
  });

  for (const [kind, make] of Object.entries(KINDS)) {
    test(`two processes that have served other tenants before do not both hold a tenant’s lock: ${kind}`, async (t) => {
      const connections = new Map();
      t.after(() => {
        for (const connection of connections.values()) connection.disconnect();
      });
      const connectionOf = () => {
        const tenant = als.getStore() ?? 'nobody';
        if (!connections.has(tenant)) {
          connections.set(
            tenant,
            new Redis({ port: server.port, host: server.host, keyPrefix: `${tenant}:` }),
          );
        }
        return connections.get(tenant);
      };
      const name = newName();
      const outcomes = [];
      for (const first of ['a', 'b']) {
        const redlock = als.run(first, () => open(t, Redlock, [make(connectionOf)], { retryCount: 0 }));
        // Until a connection of our own is proven, or is known to be out of the question.
        await until(async () => {
          await als.run(first, async () => (await redlock.lock(newName(), 1000)).unlock());
          const [{ mode, reasons }] = redlock.connections;
          return mode === 'native' || reasons.some((reason) => NEVER.test(reason));
        });
        outcomes.push(
          await als.run('a', () =>
            redlock.lock(name, 5000).then(
              () => 'holds',
              (error) => error.code,
            ),
          ),
        );
      }
      assert.deepEqual(outcomes, ['holds', 'ERR_REDLOCK_HELD']);
    });
  }
});

describe('nobody’s context is kept alive', () => {
  const suite = endOfSuite();
  let server;
  before(async () => {
    [server] = await startServers(suite, 1);
  });

  test('by the hand-over, a Redlock that was quit, or a request that is over', async () => {
    const { stdout, stderr } = await runScript(
      `const { AsyncLocalStorage, createHook } = require('node:async_hooks');
       const Redis = require('ioredis');
       const Redlock = require('redlock-native');
       const als = new AsyncLocalStorage();
       const gone = new Set();
       const registry = new FinalizationRegistry((name) => gone.add(name));
       const run = (name, work) => {
         const store = { name };
         registry.register(store, name);
         return als.run(store, work);
       };
       const url = ${JSON.stringify(server.url)};
       (async () => {
         // The first of the process: it makes what all others use.
         await run('maker', async () => {
           const redlock = new Redlock([url]);
           await (await redlock.lock('maker', 1000)).unlock();
           globalThis.other = als.exit(() => new Redlock([url]));
           await redlock.quit();
         });
         const client = new Redis(url);
         const bridged = new Redlock([{ client, connections: 'bridge' }], { retryCount: 0 });
         await run('bridged', async () => (await bridged.lock('bridged', 1000)).unlock());
         await run('refused', async () => {
           const lock = await bridged.lock('refused', 1000);
           await bridged.lock('refused', 1000).catch(() => {});
           await lock.unlock();
         });
         await run('kept', async () => {
           const lock = await bridged.lock('kept', 300, { autoExtend: true });
           lock.signal;
           await new Promise((resolve) => setTimeout(resolve, 500));
           await lock.unlock();
         });
         await run('last', async () => (await other.lock('last', 1000)).unlock());
         const wanted = ['maker', 'bridged', 'refused', 'kept'];
         for (let time = 0; time < 200 && !wanted.every((name) => gone.has(name)); time++) {
           await new Promise((resolve) => setTimeout(resolve, 20));
           gc();
         }
         console.log(wanted.filter((name) => !gone.has(name)).join() || 'all are gone');
         process.exit();
       })();`,
      { flags: ['--expose-gc'], timeout: 30_000 },
    );
    assert.deepEqual([stdout, stderr], ['all are gone\n', '']);
  });
});
