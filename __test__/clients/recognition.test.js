'use strict';

// The clients that apps have, versions side by side: recognised, described, called and ended.

const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { after, before, describe, test } = require('node:test');

const { adopt, isClient } = require('../../lib/clients');
const { CLIENTS, assertClosed, missing, profile } = require('../support/client-table');
const { rejection } = require('../support/rejection');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');
const { startCluster, startSentinel } = require('../support/topologies');

const PASSWORD = 'hunter2';
const PREFIX = 'app:';

const SET_ALL = script(`
  for i, key in ipairs(KEYS) do redis.call('SET', key, ARGV[i]) end
  return #KEYS
`);
const WRONG = script(`return redis.call('LPUSH', KEYS[1], 'x')`);

function script(text) {
  return { text, digest: crypto.createHash('sha1').update(text).digest('hex') };
}

const USER = { username: 'alice', password: PASSWORD };

/** Those of a library and a server. */
const ROWS = CLIENTS.filter(({ library, at }) => library !== 'unknown' && 'plain' in at);

/** Those at such servers. @param {string} kind */
const rowsAt = (kind) => ROWS.filter(({ at }) => kind in at);

/** The prefix that a client has there, if its library knows any. */
const prefixAt = ({ prefixAt: kinds = [] }, kind) => (kinds.includes(kind) ? PREFIX : undefined);

async function connect(client) {
  client.on('error', () => {});
  await client.connect();
  return client;
}

describe('a client of', () => {
  const suite = endOfSuite();
  let server;

  before(async () => {
    [server] = await startServers(suite, 1, { requirepass: PASSWORD });
  });

  const place = () => ({
    host: server.host,
    port: server.port,
    user: { username: undefined, password: PASSWORD },
    servers: [server],
  });

  for (const row of ROWS) {
    const { title, library, topology = 'single', isOpaque: isHidden = false } = row;
    const { closed, quits } = profile(row, 'plain');

    describe(title, { skip: missing(row) }, () => {
      /** @type {import('../support/client-table').Made} */
      let made;
      let client;

      /** In a database of its own, made empty. */
      async function make(t, own = {}) {
        await server.command('FLUSHALL');
        const other = await row.at.plain(place(), own);
        t.after(async () => {
          await adopt(other.client, 'it')
            .quit()
            .catch(() => {});
          await other.end?.();
        });
        return other.client;
      }

      before(async () => {
        made = await row.at.plain(place(), {});
        client = adopt(made.client, 'instances[0]');
      });
      after(async () => {
        await client.quit().catch(() => {});
        await made.end?.();
      });

      test('is recognised and described without its password', () => {
        assert.equal(isClient(made.client), true);
        assert.equal(client.library, library);
        assert.equal(client.topology, topology);
        const address = isHidden ? `${library} client` : `redis://${server.host}:${server.port}`;
        assert.equal(client.address, address);
        assert.equal(client.db, isHidden ? undefined : 0);
        assert.equal(client.keyPrefix, undefined);
      });

      test('runs scripts with several keys', async () => {
        await server.command('FLUSHALL');
        assert.equal(await client.run(SET_ALL, ['a', 'b', 'c'], ['1', '2', '3']), 3);
        assert.deepEqual(await server.keys(), ['a', 'b', 'c']);
        assert.equal(await server.command('GET', 'b'), '2');
        assert.equal(await client.run(script('return 0'), [], []), 0);
        assert.equal(await client.run(script(`return redis.call('GET', KEYS[1])`), ['c'], []), 3);
        assert.equal(await client.run(script(`return 'text'`), [], []), 'text');
        assert.equal(await client.run(script('return false'), [], []), null);
      });

      test('sends the text where the server forgot the script, and there only', async () => {
        await client.run(SET_ALL, ['a'], ['1']);
        await server.command('SCRIPT', 'FLUSH');
        await server.command('CONFIG', 'RESETSTAT');
        assert.equal(await client.run(SET_ALL, ['a'], ['1']), 1);
        assert.equal(await client.run(SET_ALL, ['a'], ['1']), 1);
        const { cmdstat_eval: texts = '', cmdstat_evalsha: digests = '' } = await server.info('commandstats');
        const calls = [texts, digests].map((stats) => Number(/calls=(\d+)/.exec(stats)?.[1] ?? 0));
        // What `.legacy()` makes has methods of its own, so that a stub of them can't be told.
        assert.deepEqual(calls, title.includes('.legacy()') ? [2, 0] : [1, 2]);
      });

      test("rejects with the client's own error, and runs a failing script once", async () => {
        await server.command('FLUSHALL');
        await server.command('SET', 'text', 'x');
        const error = await rejection(client.run(WRONG, ['text'], []));
        assert.ok(error instanceof Error);
        assert.match(error.message, /WRONGTYPE|wrong kind of value/);
        const counted = script(`redis.call('INCR', KEYS[1]) return redis.call('LPUSH', KEYS[1], 'x')`);
        await rejection(client.run(counted, ['n'], []));
        assert.equal(await server.command('GET', 'n'), '1');
      });

      test('answers many scripts at once, each its own', async () => {
        const runs = Array.from({ length: 50 }, (_, i) =>
          client.run(script('return ARGV[1]'), [], [String(i)]),
        );
        assert.deepEqual(
          await Promise.all(runs),
          Array.from({ length: 50 }, (_, i) => i),
        );
      });

      if (prefixAt(row, 'plain')) {
        test('has its own prefix before the keys', async (t) => {
          const prefixed = adopt(await make(t, { prefix: PREFIX }), 'it');
          assert.equal(prefixed.keyPrefix, PREFIX);
          assert.equal(await prefixed.run(SET_ALL, ['a', 'b'], ['1', '2']), 2);
          assert.equal(await prefixed.run(SET_ALL, ['a', 'b'], ['1', '2']), 2);
          assert.deepEqual(await server.keys(), ['app:a', 'app:b']);
        });
      }

      test('works in its own database', async (t) => {
        const other = adopt(await make(t, { db: 3 }), 'it');
        await other.run(SET_ALL, ['k'], ['v']);
        assert.deepEqual(await server.keys(), []);
        assert.match((await server.info('keyspace')).db3, /keys=1/);
        if (isHidden) return;
        assert.equal(other.db, 3);
        assert.equal(other.address, `redis://${server.host}:${server.port}/3`);
      });

      test('quits, and is then closed in its own words', async (t) => {
        const raw = await make(t);
        const ending = adopt(raw, 'it');
        await ending.run(SET_ALL, ['k'], ['v']);
        assert.equal(await ending.quit(), quits);
        if (quits === undefined) return;
        assertClosed(await rejection(ending.run(SET_ALL, ['k'], ['v'])), closed);
      });
    });
  }
});

describe('whoever replaces eval sees the call', () => {
  const suite = endOfSuite();
  let server;
  before(async () => {
    [server] = await startServers(suite, 1);
  });

  const CLASSES = [
    ...['ioredis-4', 'ioredis', 'ioredis-6', 'iovalkey'].map((name) => [
      name,
      () => new (require(name))({ host: server.host, port: server.port }),
    ]),
    ...['redis-2', 'redis-3'].map((name) => [name, () => require(name).createClient(server.url)]),
    ...['redis-4', 'redis-5', 'redis-6'].map((name) => [
      name,
      () => connect(require(name).createClient({ url: server.url })),
    ]),
  ];

  for (const [name, make] of CLASSES) {
    test(`${name}: an override of the instance, also one set later`, async (t) => {
      const client = await make();
      t.after(() => adopt(client, 'it').quit());
      const adopted = adopt(client, 'it');
      assert.equal(await adopted.run(SET_ALL, ['a'], ['1']), 1);
      const original = client.eval;
      let calls = 0;
      client.eval = function (...args) {
        calls += 1;
        return original.apply(this, args);
      };
      assert.equal(await adopted.run(SET_ALL, ['a'], ['1']), 1);
      assert.equal(calls, 1);
      delete client.eval;
      assert.equal(await adopted.run(SET_ALL, ['a'], ['1']), 1);
      assert.equal(calls, 1);
    });

    test(`${name}: an override of a subclass`, async (t) => {
      const client = await make();
      t.after(() => adopt(client, 'it').quit());
      const proto = Object.getPrototypeOf(client);
      let calls = 0;
      const subclass = Object.create(proto, {
        eval: {
          value(...args) {
            calls += 1;
            return proto.eval.apply(this, args);
          },
        },
      });
      Object.setPrototypeOf(client, subclass);
      assert.equal(await adopt(client, 'it').run(SET_ALL, ['a', 'b'], ['1', '2']), 2);
      assert.equal(calls, 1);
    });

    test(`${name}: a Proxy`, async (t) => {
      const client = await make();
      t.after(() => adopt(client, 'it').quit());
      const calls = [];
      const proxy = new Proxy(client, {
        get(target, key) {
          const value = target[key];
          if (typeof value !== 'function') return value;
          return (...args) => {
            calls.push(key);
            return value.apply(target, args);
          };
        },
      });
      const adopted = adopt(proxy, 'it');
      assert.equal(adopted.library, adopt(client, 'it').library);
      assert.equal(await adopted.run(SET_ALL, ['a', 'b'], ['1', '2']), 2);
      assert.deepEqual(
        calls.filter((key) => /^eval/i.test(String(key))),
        ['eval'],
      );
    });
  }
});

describe('stubs and fakes', () => {
  test('one with a promise, one with a callback, one that does both, one that answers at once', async () => {
    const seen = [];
    const answers = [
      async () => '1',
      (callback) => void setImmediate(callback, null, 1),
      (callback) => {
        callback(null, 1);
        return Promise.resolve(1);
      },
      () => 1,
      (callback) => {
        setImmediate(callback, null, 1n);
        return true;
      },
    ];
    const fakes = answers.map((answer) => ({
      eval(...args) {
        seen.push(args);
        return answer(args.at(-1));
      },
    }));
    for (const fake of fakes) {
      assert.equal(isClient(fake), true);
      const client = adopt(fake, 'it');
      assert.equal(client.library, 'unknown');
      assert.equal(client.topology, 'unknown');
      assert.equal(client.address, 'unknown client');
      assert.equal(await client.run(SET_ALL, ['a', 'b'], ['x']), 1);
    }
    assert.equal(seen.length, fakes.length);
    for (const args of seen) assert.deepEqual(args.slice(0, -1), [SET_ALL.text, 2, 'a', 'b', 'x']);
  });

  test('whatever way one fails, it rejects with that same error', async () => {
    const error = new Error('mine');
    const fakes = [
      { eval: async () => Promise.reject(error) },
      { eval: (...args) => void setImmediate(args.at(-1), error) },
      {
        eval(...args) {
          setImmediate(args.at(-1), error);
          return Promise.reject(error);
        },
      },
      {
        eval(...args) {
          args.at(-1)(error);
          return Promise.reject(error);
        },
      },
      {
        eval() {
          throw error;
        },
      },
    ];
    for (const fake of fakes) assert.equal(await rejection(adopt(fake, 'it').run(SET_ALL, [], [])), error);
  });

  test('eval is looked up at each call', async () => {
    const fake = { eval: async () => 1 };
    const client = adopt(fake, 'it');
    assert.equal(await client.run(SET_ALL, [], []), 1);
    fake.eval = async () => 2;
    assert.equal(await client.run(SET_ALL, [], []), 2);
    delete fake.eval;
    assert.match((await rejection(client.run(SET_ALL, [], []))).message, /not a function/);
  });

  test('replies that are numbers are numbers, others are as they came', async () => {
    const replies = [
      [7n, 7],
      ['-1', -1],
      [Buffer.from('12'), 12],
      ['', ''],
      ['1e3', '1e3'],
      ['99999999999999999999', '99999999999999999999'],
      [null, null],
      [undefined, undefined],
      [true, true],
    ];
    for (const [reply, expected] of replies) {
      const client = adopt({ eval: async () => reply }, 'it');
      assert.strictEqual(await client.run(SET_ALL, [], []), expected);
    }
    const bytes = Buffer.from('text');
    assert.strictEqual(await adopt({ eval: async () => bytes }, 'it').run(SET_ALL, [], []), bytes);
  });

  test('one with the methods of node-redis is called in its shape', async () => {
    const calls = [];
    const stub = {
      isOpen: true,
      evalSha: async (...args) => calls.push(args),
      eval: async (...args) => calls.push(args),
    };
    const client = adopt(stub, 'it');
    assert.match(client.library, /^node-redis/);
    await client.run(SET_ALL, ['a'], ['x']);
    assert.deepEqual(calls, [[SET_ALL.text, { keys: ['a'], arguments: ['x'] }]]);
  });

  test('a stub instance of a class is asked as the original asks, whatever its other methods answer', async () => {
    for (const Class of [require('ioredis'), require('ioredis-4'), require('iovalkey')]) {
      const stub = Object.create(Class.prototype);
      stub.eval = () => undefined;
      stub.evalsha = (...args) => args.at(-1)(null, 5);
      assert.equal(await adopt(stub, 'it', 'redlock 4').run(SET_ALL, [], []), 5);
      stub.evalsha = async () => 6;
      assert.equal(await adopt(stub, 'it', 'redlock 5').run(SET_ALL, [], []), 6);
      stub.evalsha = () => undefined;
      stub.eval = (...args) => args.at(-1)(null, 7);
      assert.equal(await adopt(stub, 'it', 'eval').run(SET_ALL, [], []), 7);
    }
  });

  test('quit is that of the fake, or nothing', async () => {
    const quit = (fake) => adopt({ eval: async () => 1, ...fake }, 'it').quit();
    assert.equal(await quit({ quit: async () => 'BYE' }), 'BYE');
    assert.equal(await quit({ quit() {} }), undefined);
    assert.equal(await quit({ close: async () => {} }), 'OK');
    assert.equal(await quit({}), undefined);
    const error = new Error('mine');
    assert.equal(await rejection(quit({ quit: () => Promise.reject(error) })), error);
  });

  test('ioredis-mock runs scripts, with its prefix', async (t) => {
    const Mock = require('ioredis-mock');
    const mock = new Mock({ keyPrefix: PREFIX });
    const plain = new Mock();
    t.after(() => Promise.all([mock.quit(), plain.quit()]));
    const client = adopt(mock, 'it');
    assert.equal(client.library, 'ioredis-mock');
    assert.equal(client.address, 'ioredis-mock client');
    assert.equal(client.keyPrefix, PREFIX);
    assert.equal(await client.run(SET_ALL, ['a', 'b'], ['1', '2']), 2);
    assert.deepEqual((await plain.keys('*')).sort(), ['app:a', 'app:b']);
    mock.eval = async () => 9;
    assert.equal(await client.run(SET_ALL, ['a'], ['1']), 9);
  });
});

describe('a cluster, by a client of', () => {
  const suite = endOfSuite();
  let servers;
  before(async () => {
    servers = await startCluster(suite);
  });

  for (const row of rowsAt('cluster')) {
    const { title } = row;
    test(title, { skip: missing(row) }, async (t) => {
      const nodes = servers.map(({ host, port }) => ({ host, port }));
      const prefix = prefixAt(row, 'cluster');
      const made = await row.at.cluster({ nodes, servers }, { prefix });
      const client = adopt(made.client, 'it');
      t.after(() => client.quit().catch(() => {}));
      assert.equal(client.topology, 'cluster');
      // Of enough slots that each server has some.
      const tags = Array.from({ length: 12 }, (_, index) => `{${title}:${index}}`);
      for (const _ of [1, 2]) {
        const counts = tags.map((tag) => client.run(SET_ALL, [`${tag}:a`, `${tag}:b`], ['1', '2']));
        assert.deepEqual(
          await Promise.all(counts),
          tags.map(() => 2),
        );
        for (const server of servers) await server.command('SCRIPT', 'FLUSH');
      }
      const perServer = await Promise.all(servers.map((server) => server.keys()));
      const own = perServer.flat().filter((key) => key.includes(`{${title}:`));
      assert.deepEqual(
        own.sort(),
        tags.flatMap((tag) => [`${prefix ?? ''}${tag}:a`, `${prefix ?? ''}${tag}:b`]).sort(),
      );
      assert.ok(perServer.every((keys) => keys.length));
      const crossed = await rejection(client.run(SET_ALL, ['a', 'b', 'c'], ['1', '2', '3']));
      assert.match(crossed.message, /CROSSSLOT|same slot/i);
      await client.quit();
      const error = await rejection(client.run(SET_ALL, ['a'], ['1']));
      assertClosed(error, profile(row, 'cluster').closed);
    });
  }
});

describe('a master behind sentinels, by a client of', () => {
  const suite = endOfSuite();
  let server;
  let sentinel;
  before(async () => {
    [server] = await startServers(suite, 1);
    sentinel = await startSentinel(suite, server);
  });

  for (const row of rowsAt('sentinel')) {
    test(row.title, async (t) => {
      await server.command('FLUSHALL');
      const prefix = prefixAt(row, 'sentinel');
      const made = await row.at.sentinel({ sentinel, servers: [server] }, { prefix });
      const client = adopt(made.client, 'it');
      t.after(() => client.quit().catch(() => {}));
      assert.equal(client.topology, 'sentinel');
      await server.command('SCRIPT', 'FLUSH');
      assert.equal(await client.run(SET_ALL, ['a', 'b'], ['1', '2']), 2);
      assert.equal(await client.run(SET_ALL, ['a', 'b'], ['1', '2']), 2);
      assert.deepEqual(await server.keys(), [`${prefix ?? ''}a`, `${prefix ?? ''}b`]);
      assert.match((await rejection(client.run(WRONG, ['a'], []))).message, /WRONGTYPE/);
      assert.equal(await client.quit(), 'OK');
      assertClosed(await rejection(client.run(SET_ALL, ['a'], ['1'])), profile(row, 'sentinel').closed);
    });
  }
});

describe('behind ACL users, on a unix socket, by a client of', () => {
  const suite = endOfSuite();
  let server;
  before(async () => {
    [server] = await startServers(suite, 1, { users: [`alice on >${PASSWORD} ~* &* +@all`, 'default off'] });
  });

  // redis 2 knows no users, and of some it can't be read where they lead.
  for (const row of rowsAt('unix').filter(({ isOpaque, title }) => !isOpaque && title !== 'redis 2')) {
    test(row.title, async (t) => {
      const { socket } = server;
      const { client: made } = await row.at.unix({ socket, user: USER, servers: [server] }, {});
      const client = adopt(made, 'it');
      t.after(() => client.quit());
      assert.equal(client.address, `unix://${server.socket}`);
      assert.equal(await client.run(SET_ALL, ['a', 'b'], ['1', '2']), 2);
    });
  }
});

describe('recognition without a connection', () => {
  const at = { host: 'redis.example', port: 7000 };

  /** @type {[string, () => any, Record<string, unknown>][]} */
  const TABLE = [
    ...['ioredis-4', 'ioredis', 'ioredis-6', 'iovalkey'].flatMap((name) => {
      const Redis = require(name);
      const library = name === 'ioredis' ? 'ioredis 5' : name.replace('-', ' ');
      const secret = { lazyConnect: true, username: 'me', password: PASSWORD };
      return [
        [
          `${name} by URL`,
          () => new Redis(`redis://me:${PASSWORD}@redis.example:7000/2`, { lazyConnect: true }),
          { library, topology: 'single', address: 'redis://redis.example:7000/2', db: 2 },
        ],
        [
          `${name} with TLS`,
          () => new Redis({ ...at, ...secret, tls: {} }),
          { library, topology: 'single', address: 'rediss://redis.example:7000' },
        ],
        [
          `${name} over IPv6`,
          () => new Redis({ ...secret, host: '::1' }),
          { library, address: 'redis://[::1]:6379' },
        ],
        [
          `${name} on a unix socket`,
          () => new Redis({ ...secret, path: '/run/redis.sock', db: 1 }),
          { library, topology: 'single', address: 'unix:///run/redis.sock?db=1' },
        ],
        [
          `${name} with sentinels`,
          () =>
            new Redis({
              ...secret,
              sentinels: [{ host: 'a' }, { host: 'b', port: 7001 }],
              name: 'main',
              sentinelPassword: PASSWORD,
            }),
          { library, topology: 'sentinel', address: 'redis+sentinel://a:26379,b:7001/main' },
        ],
        [
          `${name} Cluster`,
          () =>
            new Redis.Cluster([at, 7001, `redis://:${PASSWORD}@b:7002`], {
              lazyConnect: true,
              keyPrefix: PREFIX,
              redisOptions: { password: PASSWORD },
            }),
          {
            library,
            topology: 'cluster',
            address: 'redis://redis.example:7000,localhost:7001,b:7002',
            keyPrefix: PREFIX,
          },
        ],
      ];
    }),
    ...['redis-4', 'redis-5', 'redis-6'].flatMap((name) => {
      const redis = require(name);
      const library = `node-${name.replace('-', ' ')}`;
      const url = `redis://me:${PASSWORD}@redis.example:7000/2`;
      const isFour = name === 'redis-4';
      return [
        [
          `${name} by URL`,
          () => redis.createClient({ url }),
          { library, topology: 'single', address: 'redis://redis.example:7000/2', db: 2 },
        ],
        [
          `${name} with TLS`,
          () => redis.createClient({ url: url.replace('redis:', 'rediss:') }),
          { library, address: 'rediss://redis.example:7000/2' },
        ],
        [
          `${name} on a unix socket`,
          () => redis.createClient({ socket: { path: '/run/redis.sock' } }),
          { library, address: 'unix:///run/redis.sock' },
        ],
        [
          `${name} cluster`,
          () => redis.createCluster({ rootNodes: [{ url }, { socket: { host: 'b', port: 7001 } }] }),
          {
            library,
            topology: 'cluster',
            address: isFour ? `${library} client` : 'redis://redis.example:7000,b:7001',
          },
        ],
        ...(isFour
          ? []
          : [
              [
                `${name} sentinel`,
                () => redis.createSentinel({ name: 'main', sentinelRootNodes: [at] }),
                { library, topology: 'sentinel', address: `${library} client` },
              ],
              [
                `${name} pool`,
                () => redis.createClientPool({ url }),
                { library, topology: 'pool', address: `${library} client` },
              ],
            ]),
      ];
    }),
  ];

  for (const [title, make, expected] of TABLE) {
    test(title, () => {
      const client = make();
      client.on('error', () => {});
      assert.equal(isClient(client), true);
      const adopted = adopt(client, 'it');
      const shown = Object.fromEntries(Object.keys(expected).map((key) => [key, adopted[key]]));
      assert.deepEqual(shown, expected);
      assert.doesNotMatch(adopted.address, new RegExp(PASSWORD));
    });
  }

  test('what was changed on the client is seen', () => {
    const Redis = require('ioredis');
    const client = new Redis({ lazyConnect: true, ...at });
    const adopted = adopt(client, 'it');
    client.options.keyPrefix = 'new:';
    client.condition = { select: 4 };
    assert.equal(adopted.keyPrefix, 'new:');
    assert.equal(adopted.db, 4);
    assert.equal(adopted.address, 'redis://redis.example:7000/4');
  });

  test('a host that may hold a secret is not shown', () => {
    const Redis = require('ioredis');
    const client = new Redis({ lazyConnect: true, host: `me:${PASSWORD}@redis.example` });
    assert.equal(adopt(client, 'it').address, 'ioredis 5 client');
  });
});

describe('what is no client', () => {
  const broken = Proxy.revocable({}, {});
  broken.revoke();
  const hostile = new Proxy(
    {},
    {
      get() {
        throw new Error('no');
      },
      has() {
        throw new Error('no');
      },
    },
  );
  const NONE = [
    undefined,
    null,
    1,
    'redis://',
    {},
    [],
    { host: 'a', port: 1 },
    broken.proxy,
    hostile,
    Promise.resolve(),
    class {},
  ];

  test('is not taken for one, and nothing throws', () => {
    for (const none of NONE) assert.equal(isClient(none), false);
  });

  test('what can never run a script is refused, by name and with what works', () => {
    const Redis = require('ioredis');
    const ioredis = new Redis({ lazyConnect: true });
    const cases = [
      [class extends require('node:events') {}, /a class or a function, not a client made with it/],
      [ioredis.pipeline(), /a pipeline or transaction of ioredis/],
      [require('redis-4').createClient().multi(), /a transaction \(multi\) of node-redis/],
      [require('redis-6').createClient().multi(), /a transaction \(multi\) of node-redis/],
    ];
    for (const [client, message] of cases) {
      assert.equal(isClient(client), true);
      assert.throws(() => adopt(client, 'instances[2]'), {
        name: 'TypeError',
        code: 'ERR_REDLOCK_INVALID_INSTANCE',
        message,
      });
      assert.throws(() => adopt(client, 'instances[2]'), /What works: a client of ioredis/);
    }
  });
});
