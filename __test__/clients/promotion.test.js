'use strict';

/** How a caller's client is reached: through itself, and over a connection of our own once that is proven. */

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');

const { makeCertificates } = require('../support/certificates');
const {
  IOREDIS,
  NODE_REDIS,
  REDIS_3,
  GLIDE,
  libraryOf,
  makeClient,
  nativeOf,
  connectionsTo,
  watch,
} = require('../support/clients');
const { startProxy } = require('../support/proxy');
const { namesLike, promoted, redlockOver } = require('../support/redlock');
const { rejection } = require('../support/rejection');
const { needsTls, startServers } = require('../support/servers');
const { until } = require('../support/until');

const ONCE = { retryCount: 0 };
const TTL = 30_000;

const modes = (redlock) => redlock.connections.map(({ mode }) => mode);
const reasonOf = (redlock, index = 0) => redlock.connections[index].reasons.join();

const newNumber = namesLike('');
const fresh = (what = 'resource') => `${what}-${newNumber()}`;

/** Locks, again and again, while the connection of our own is there and its proof is read, without success. */
async function tryToProve(redlock, monitor, index = 0) {
  const wait = { what: 'the connection is made' };
  await until(() => !/being made|not made/.test(reasonOf(redlock, index)), wait);
  for (let round = 1; round <= 2; round++) {
    if (redlock.connections[index].mode === 'native') return;
    const before = await monitor.reads();
    // After a proof that failed, not every lock is one.
    const isRead = async () => {
      await (await redlock.lock(fresh('proof'), TTL)).unlock();
      return (await monitor.reads()) > before;
    };
    await until(isRead, { what: 'a key was read', timeout: 10_000 });
  }
}

/** Whoever holds it, the other can't have it. */
async function exclude(one, other) {
  for (const [first, second] of [
    [one, other],
    [other, one],
  ]) {
    const resource = fresh('exclusive');
    const lock = await first.lock(resource, TTL);
    const error = await rejection(second.lock(resource, TTL, ONCE));
    assert.equal(error.code, 'ERR_REDLOCK_HELD');
    await lock.unlock();
    await (await second.lock(resource, TTL)).unlock();
  }
}

describe('a client', () => {
  for (const library of [IOREDIS, NODE_REDIS, REDIS_3, GLIDE]) {
    const skip = 'skip' in library && library.skip;
    test(`of ${library.title} is asked itself at first, and no longer once it is proven where it leads`, {
      skip,
    }, async (t) => {
      const [server] = await startServers(t, 1);
      const client = await makeClient(t, library, server);
      const monitor = await watch(t, server);
      const redlock = redlockOver(t, [client]);
      const told = [];
      redlock.on('connection', (connection) => told.push(connection));
      const [before] = redlock.connections;
      assert.equal(before.mode, 'bridge');
      assert.equal(before.reasons.length, 1);
      assert.match(before.reasons[0], /our own connection/);

      await promoted(redlock);
      const [after] = redlock.connections;
      assert.deepEqual(after.reasons, []);
      assert.equal(told.filter(({ mode }) => mode === 'native').length, 1);
      assert.ok(after.since >= before.since);

      const [{ addr: own }] = await nativeOf(server, library, client);
      monitor.forget();
      const lock = await redlock.lock('a', TTL);
      await lock.extend(TTL);
      await lock.unlock();
      const asked = await monitor.seen();
      assert.deepEqual([...new Set(asked.map(({ addr }) => addr))], [own]);
      assert.deepEqual(await server.keys(), []);
    });
  }

  test('with a prefix and a database is led to the same keys', async (t) => {
    const [server] = await startServers(t, 1);
    const client = await makeClient(t, IOREDIS, server, { keyPrefix: 'app:', db: 4 });
    const redlock = redlockOver(t, [client]);
    const before = await redlock.lock('before', TTL);
    await promoted(redlock);
    const after = await redlock.lock('after', TTL);
    assert.deepEqual((await client.keys('*')).sort(), ['app:after', 'app:before']);
    await before.extend(TTL);
    await Promise.all([before.unlock(), after.unlock()]);
    assert.deepEqual(await client.keys('*'), []);
  });
});

describe('without a proof', () => {
  /** What leads elsewhere than it says: `live` is where it leads. */
  const CASES = [
    ...['node-redis 4', 'node-redis 5', 'node-redis 6'].map((title) => ({
      title: `${title} after select(3)`,
      async make(t, server) {
        const client = await makeClient(t, libraryOf(title), server);
        await client.select(3);
        return { client, live: `${server.url}/3` };
      },
    })),
    {
      title: 'valkey-glide after select(3)',
      skip: GLIDE.skip,
      async make(t, server) {
        const client = await makeClient(t, GLIDE, server);
        await client.select(3);
        return { client, live: `${server.url}/3` };
      },
    },
    {
      title: 'node-redis 5 whose options.database was changed once it was connected',
      async make(t, server) {
        const client = await makeClient(t, NODE_REDIS, server);
        client.options.database = 5;
        return { client, live: server.url };
      },
    },
    {
      title: 'ioredis whose options.host and port lead to another server',
      async make(t, server, other) {
        const client = await makeClient(t, IOREDIS, server);
        client.options.host = other.host;
        client.options.port = other.port;
        return { client, live: server.url, led: other };
      },
    },
  ];

  for (const { title, make, skip = false } of CASES) {
    test(`${title}: it is asked itself for good, and excludes whoever uses the same keys`, {
      skip,
    }, async (t) => {
      const [server, other] = await startServers(t, 2);
      const { client, live, led = server } = /** @type {any} */ (await make(t, server, other));
      const monitor = await watch(t, led);
      const redlock = redlockOver(t, [client]);
      const neighbour = redlockOver(t, [live]);
      await exclude(redlock, neighbour);
      await tryToProve(redlock, monitor);
      assert.deepEqual(modes(redlock), ['bridge']);
      await exclude(redlock, neighbour);
      assert.deepEqual(modes(redlock), ['bridge']);
      assert.notEqual(reasonOf(redlock), '');
    });
  }

  test('the reason says that the client leads elsewhere than its options say', async (t) => {
    const [server] = await startServers(t, 1);
    const client = await makeClient(t, NODE_REDIS, server);
    await client.select(3);
    const monitor = await watch(t, server);
    const redlock = redlockOver(t, [client]);
    await tryToProve(redlock, monitor);
    await until(() => /another than its options say/.test(reasonOf(redlock)), { timeout: 1000 });
  });

  test('another’s key at the place that the options say is no proof, and told', async (t) => {
    const [server] = await startServers(t, 1);
    const client = await makeClient(t, NODE_REDIS, server);
    await client.select(3);
    const redlock = redlockOver(t, [client]);
    await until(() => /not proven yet/.test(reasonOf(redlock)));
    await server.command('SET', 'a', 'another');
    const lock = await redlock.lock('a', TTL);
    await until(() => /another than its options say/.test(reasonOf(redlock)));
    assert.deepEqual(modes(redlock), ['bridge']);
    await lock.unlock();
  });

  test('what another member of the quorum has set there is no proof: three databases by select()', async (t) => {
    const [server] = await startServers(t, 1);
    const make = async () => {
      const clients = await Promise.all([0, 1, 2].map(() => makeClient(t, NODE_REDIS, server)));
      await Promise.all(clients.map((client, db) => client.select(db)));
      return redlockOver(t, clients);
    };
    const redlock = await make();
    await until(() => redlock.connections.every(({ reasons }) => /not proven yet/.test(reasons.join())));
    const locks = [];
    for (let round = 0; round < 3; round++) locks.push(await redlock.lock(fresh(), TTL));
    await until(() => modes(redlock)[0] === 'native');
    // The options of all of them say database 0; only the first one leads there.
    await Promise.all(locks.map((lock) => lock.unlock()));
    const held = await redlock.lock('a', TTL);
    const neighbour = await make();
    const error = await rejection(neighbour.lock('a', TTL, ONCE));
    assert.equal(error.code, 'ERR_REDLOCK_HELD');
    assert.deepEqual(modes(redlock), ['native', 'bridge', 'bridge']);
    await held.unlock();
  });

  test('what another member of the quorum has set there is no proof: a URL beside a client after select()', async (t) => {
    const [server, second] = await startServers(t, 2);
    const make = async () => {
      const client = await makeClient(t, NODE_REDIS, server);
      await client.select(3);
      return redlockOver(t, [server.url, client, second.url]);
    };
    const monitor = await watch(t, server);
    const redlock = await make();
    await tryToProve(redlock, monitor, 1);
    // The neighbour has the client's database and the other server, while this one's database 0 is taken.
    const neighbour = await make();
    await server.command('SET', 'a', 'in the way, for a moment');
    const lock = await neighbour.lock('a', TTL);
    await server.command('DEL', 'a');
    const error = await rejection(redlock.lock('a', TTL, ONCE));
    assert.equal(error.code, 'ERR_REDLOCK_HELD');
    assert.equal(redlock.connections[1].mode, 'bridge');
    await lock.unlock();
  });

  test('a replica at the place that the options say is never written to', async (t) => {
    const [server, replica] = await startServers(t, 2, { args: ['--repl-diskless-sync-delay', '0'] });
    await replica.command('REPLICAOF', server.host, server.port);
    await until(async () => (await replica.info('replication')).master_link_status === 'up', {
      timeout: 15_000,
    });
    const client = await makeClient(t, IOREDIS, server);
    client.options.port = replica.port;
    const redlock = redlockOver(t, [client]);
    await until(() => /replica/.test(reasonOf(redlock)));
    for (let round = 0; round < 3; round++) {
      const lock = await redlock.lock(fresh(), TTL);
      await until(async () => (await replica.keys()).length > 0, { what: 'the key is replicated' });
      await lock.unlock();
    }
    assert.deepEqual(modes(redlock), ['bridge']);
    assert.match(reasonOf(redlock), /leads to a replica/);
  });

  test('a server that does not say that it is a master is asked through the client', async (t) => {
    const [server] = await startServers(t, 1, {
      users: ['shy on >secret ~* +@all -info -role', 'default off'],
    });
    const client = await makeClient(t, IOREDIS, server, {
      username: 'shy',
      password: 'secret',
      enableReadyCheck: false,
    });
    const redlock = redlockOver(t, [client]);
    await until(() => /INFO|say that it is a master/.test(reasonOf(redlock)));
    for (let round = 0; round < 3; round++) await (await redlock.lock(fresh(), TTL)).unlock();
    assert.deepEqual(modes(redlock), ['bridge']);
    assert.match(reasonOf(redlock), /does not say that it is a master/);
  });

  test('a lock script of the caller’s own goes through the client for good', async (t) => {
    const [server] = await startServers(t, 1);
    const client = await makeClient(t, IOREDIS, server);
    const monitor = await watch(t, server);
    const { addr } = (await connectionsTo(server)).find(({ db }) => db === '0') ?? {};
    const redlock = redlockOver(t, [client], { lockScript: (script) => `${script}\n-- our own` });
    await until(() => /not proven yet/.test(reasonOf(redlock)));
    const lock = await redlock.lock('a', TTL);
    for (let round = 0; round < 3; round++) await (await redlock.lock(fresh(), TTL)).unlock();
    await lock.unlock();
    assert.deepEqual(modes(redlock), ['bridge']);
    const scripts = (await monitor.seen()).filter(({ words }) => /^"eval/i.test(words));
    assert.ok(scripts.length >= 8);
    assert.deepEqual([...new Set(scripts.map((asked) => asked.addr))], [addr]);
    assert.equal(await monitor.reads(), 0);
  });
});

describe('where a connection of our own fails', () => {
  /** All works as if there had never been one. */
  async function works(redlock, client, told) {
    for (let round = 0; round < 3; round++) {
      const lock = await redlock.lock(fresh(), TTL, ONCE);
      await lock.extend(TTL);
      await lock.unlock();
    }
    assert.deepEqual(modes(redlock), ['bridge']);
    assert.equal(redlock.connections[0].state, 'ready');
    assert.deepEqual(redlock.servers, [client]);
    assert.deepEqual(told, [], 'it is no failure of the instance');
  }

  test('by a wrong password, the client works on and the reason is told', async (t) => {
    const [server] = await startServers(t, 1, { requirepass: 'right' });
    const client = await makeClient(t, IOREDIS, server, { password: 'right' });
    client.options.password = 'wr0ng-s3cr3t';
    const told = [];
    const redlock = redlockOver(t, [client]).on('clientError', (error) => told.push(error));
    await until(() => /WRONGPASS/.test(reasonOf(redlock)));
    await works(redlock, client, told);
    assert.doesNotMatch(reasonOf(redlock), /s3cr3t/);

    client.options.password = 'right';
    await promoted(redlock);
  });

  test('as the server has no room for one more client, the client works on, and is proven once there is', async (t) => {
    const [server] = await startServers(t, 1);
    const client = await makeClient(t, IOREDIS, server);
    await client.config('SET', 'maxclients', '1');
    const told = [];
    const redlock = redlockOver(t, [client]).on('clientError', (error) => told.push(error));
    await until(() => /max number of clients/.test(reasonOf(redlock)));
    await works(redlock, client, told);
    await client.config('SET', 'maxclients', '1000');
    await promoted(redlock);
  });

  test('by a certificate that it does not take, the client works on', needsTls(), async (t) => {
    const { wrongName, ca } = await makeCertificates();
    const [server] = await startServers(t, 1, { tls: wrongName });
    const tls = { ca, checkServerIdentity: () => undefined };
    const client = await makeClient(t, IOREDIS, server, { tls });
    delete client.options.tls.checkServerIdentity;
    const told = [];
    const redlock = redlockOver(t, [client]).on('clientError', (error) => told.push(error));
    await until(() => /certificate|TLS/.test(reasonOf(redlock)));
    await works(redlock, client, told);
  });

  test('as it was killed by the server, the client is asked until there is a new proof', async (t) => {
    const [server] = await startServers(t, 1);
    const client = await makeClient(t, IOREDIS, server);
    const redlock = redlockOver(t, [client]);
    await promoted(redlock);
    const held = await redlock.lock('held', TTL);
    const told = [];
    redlock.on('connection', ({ mode, reasons }) => told.push([mode, reasons.join()]));
    const [{ id }] = await nativeOf(server, IOREDIS, client);
    await server.command('CLIENT', 'KILL', 'ID', id);
    await until(() => modes(redlock)[0] === 'bridge');
    for (let round = 0; round < 5; round++) await (await redlock.lock(fresh(), TTL, ONCE)).unlock();
    await promoted(redlock);
    assert.match(told[0].join(), /^bridge,.*failed.*lost/);
    assert.equal(told.at(-1)[0], 'native');
    await held.extend(TTL);
    await held.unlock();
    assert.deepEqual(await server.keys(), []);
  });

  test('under load, no more fails than what was on its way', async (t) => {
    const [server] = await startServers(t, 1);
    const client = await makeClient(t, IOREDIS, server);
    const redlock = redlockOver(t, [client]);
    await promoted(redlock);
    const failed = [];
    let killed = 0;
    const workers = Array.from({ length: 4 }, async () => {
      for (let round = 0; round < 100 || killed < 3; round++) {
        try {
          const lock = await redlock.lock(fresh(), TTL, ONCE);
          await lock.unlock();
        } catch (error) {
          failed.push(error);
        }
      }
    });
    while (killed < 3) {
      const own = await nativeOf(server, IOREDIS, client);
      const kills = own.map(({ id }) => server.command('CLIENT', 'KILL', 'ID', id).catch(() => 0));
      await Promise.all(kills);
      killed += own.length;
    }
    await Promise.all(workers);
    // Each worker has one operation on its way.
    assert.ok(
      failed.length <= 4 * killed,
      `${failed.length} failed for ${killed} kills: ${failed[0]?.cause}`,
    );
    await promoted(redlock);
    assert.deepEqual(await server.keys(), []);
  });
});

describe('details that change on the client', () => {
  /** How it is made, changed, and where its keys then are: database and prefix. */
  const CHANGES = [
    { title: 'ioredis select()', library: IOREDIS, change: (client) => client.select(6), live: [6, ''] },
    {
      title: 'ioredis options.keyPrefix',
      library: IOREDIS,
      change: (client) => {
        client.options.keyPrefix = 'new:';
      },
      live: [0, 'new:'],
    },
    {
      title: 'redis 3 select()',
      library: REDIS_3,
      change: (client) => REDIS_3.call(client, 'SELECT', '6'),
      live: [6, ''],
    },
    {
      title: 'redis 3 select() as a method',
      library: REDIS_3,
      change: (client) => new Promise((resolve) => client.select(6, resolve)),
      live: [6, ''],
    },
  ];

  /** All keys, with their databases. */
  async function everything(server) {
    const own = await server.info('keyspace');
    return Object.keys(own).sort();
  }

  for (const { title, library, change, live } of CHANGES) {
    const [db, prefix] = live;

    test(`${title}: the client is asked until there is a new proof, which is of the new place`, async (t) => {
      const [server] = await startServers(t, 1);
      const client = await makeClient(t, library, server);
      const redlock = redlockOver(t, [client]);
      const neighbour = redlockOver(t, [`${server.url}/${db}?keyPrefix=${prefix}`]);
      await promoted(redlock);
      const told = [];
      redlock.on('connection', ({ mode }) => told.push(mode));
      await change(client);
      await exclude(redlock, neighbour);
      assert.equal(told[0], 'bridge');
      await promoted(redlock);
      await exclude(redlock, neighbour);
      const [connection] = redlock.connections;
      assert.deepEqual([connection.mode, connection.db, connection.keyPrefix ?? ''], ['native', db, prefix]);
    });

    for (const when of ['before it is proven', 'once it is proven']) {
      test(`${title}: a lock that was taken ${when} is released where it is, and not extended there`, async (t) => {
        const [server] = await startServers(t, 1);
        const client = await makeClient(t, library, server);
        const redlock = redlockOver(t, [client]);
        if (when === 'once it is proven') await promoted(redlock);
        else await until(() => /not proven yet/.test(reasonOf(redlock)));
        const lock = await redlock.lock('kept', 5000);
        const forgotten = await redlock.lock('forgotten', TTL);
        await change(client);
        // Elsewhere somebody else may have it by now.
        assert.equal((await rejection(lock.extend(60_000))).code, 'ERR_REDLOCK_NOT_HELD');
        await promoted(redlock);
        const other = await redlock.lock('other', 5000);
        await other.unlock();
        await lock.unlock();
        await forgotten.unlock();
        assert.equal(await server.command('EXISTS', 'kept', 'forgotten'), 0);
        // The key of a proof that the change has cut short ends by itself.
        await until(async () => (await everything(server)).length === 0, { what: 'no key is left anywhere' });
      });
    }
  }

  test('several times in a row: each lock is released where it is', async (t) => {
    const [server] = await startServers(t, 1);
    const client = await makeClient(t, IOREDIS, server);
    const redlock = redlockOver(t, [client]);
    const locks = [];
    for (const db of [0, 1, 2, 3]) {
      await client.select(db);
      await promoted(redlock);
      locks.push(await redlock.lock('a', TTL));
    }
    assert.deepEqual(await everything(server), ['db0', 'db1', 'db2', 'db3']);
    for (const lock of locks) await lock.unlock();
    assert.deepEqual(await everything(server), []);
  });

  test('a password that was rotated on the server and the client', async (t) => {
    const [server] = await startServers(t, 1, { requirepass: 'old' });
    const client = await makeClient(t, IOREDIS, server, { password: 'old' });
    const redlock = redlockOver(t, [client]);
    await promoted(redlock);
    const lock = await redlock.lock('a', TTL);
    await client.config('SET', 'requirepass', 'new');
    client.options.password = 'new';
    await promoted(redlock);
    await lock.extend(TTL);
    await lock.unlock();
    assert.deepEqual(await client.keys('*'), []);
  });
});

describe('a server that answers too late', () => {
  for (const when of ['before the client is proven', 'once the client is proven']) {
    test(`${when}: the attempt fails in time, and leaves no key once it answers again`, async (t) => {
      const [server] = await startServers(t, 1);
      const client = await makeClient(t, IOREDIS, server);
      const redlock = redlockOver(t, [client], { deadlineCeiling: 300 });
      if (when === 'once the client is proven') await promoted(redlock);
      else await until(() => /not proven yet/.test(reasonOf(redlock)));
      server.pause();
      const error = await rejection(redlock.lock('late', TTL, ONCE));
      assert.equal(error.code, 'ERR_REDLOCK_UNAVAILABLE');
      assert.match(error.votes[0].error.message, /no answer/);
      // Had it been asked by then, the key would stand until its ttl.
      server.resume();
      await promoted(redlock);
      await until(async () => (await server.keys()).length === 0);
      await (await redlock.lock('late', TTL, ONCE)).unlock();
    });
  }

  test('a lock that is released while its server is frozen leaves no key, in either mode', async (t) => {
    const [server] = await startServers(t, 1);
    const client = await makeClient(t, IOREDIS, server);
    const redlock = redlockOver(t, [client], { deadlineFloor: 1000, deadlineCeiling: 200 });
    await until(() => /not proven yet/.test(reasonOf(redlock)));
    const first = await redlock.lock('first', TTL);
    await promoted(redlock);
    const second = await redlock.lock('second', TTL);
    server.pause();
    await Promise.all([rejection(first.unlock()), rejection(second.unlock())]);
    server.resume();
    await until(async () => (await server.keys()).length === 0);
  });

  test('a server that was killed and started again is proven anew', async (t) => {
    const [server] = await startServers(t, 1);
    const client = await makeClient(t, IOREDIS, server);
    const redlock = redlockOver(t, [client]);
    await promoted(redlock);
    const lock = await redlock.lock('a', TTL);
    await server.kill();
    await until(() => modes(redlock)[0] === 'bridge');
    await server.restart();
    await promoted(redlock);
    const error = await rejection(lock.extend(TTL));
    assert.equal(error.code, 'ERR_REDLOCK_NOT_HELD');
    await (await redlock.lock('a', TTL)).unlock();
  });
});

describe('a release that is lost with the client’s connection', () => {
  for (const library of [IOREDIS, NODE_REDIS, REDIS_3]) {
    test(`goes again on the next one: ${library.title}`, async (t) => {
      const [server] = await startServers(t, 1);
      const proxy = await startProxy(t, server);
      const client = await makeClient(t, library, proxy);
      const redlock = redlockOver(t, [client], { connections: 'bridge' });
      const lock = await redlock.lock('a', TTL);
      server.pause();
      const sent = proxy.requestBytes;
      const unlocking = lock.unlock().catch(() => {});
      await until(() => proxy.requestBytes > sent, { what: 'the release is on its way' });
      // What a connection had not yet read goes with it when it is reset.
      await proxy.reset();
      server.resume();
      await proxy.pass();
      await unlocking;
      await until(async () => (await server.keys()).length === 0, { what: 'the key is gone' });
    });
  }
});

describe('where all goes wrong at once', () => {
  test('clients and URLs of three servers exclude each other, whichever way each is asked', async (t) => {
    const servers = await startServers(t, 3);
    const overClients = async (library) =>
      Promise.all(servers.map((server) => makeClient(t, library, server)));
    const options = { retryCount: -1, retryDelay: 5, retryJitter: 5, deadlineFloor: 300 };
    const redlocks = [
      redlockOver(t, await overClients(IOREDIS), options),
      redlockOver(t, await overClients(NODE_REDIS), options),
      redlockOver(t, await overClients(REDIS_3), { ...options, connections: 'bridge' }),
      redlockOver(
        t,
        servers.map(({ url }) => url),
        options,
      ),
    ];
    let inside = 0;
    let most = 0;
    let entered = 0;
    let done = false;
    const workers = redlocks.map(async (redlock) => {
      while (!done) {
        const lock = await redlock.lock('shared', TTL);
        inside += 1;
        most = Math.max(most, inside);
        entered += 1;
        await new Promise((resolve) => setImmediate(resolve));
        inside -= 1;
        await lock.unlock().catch(() => {});
      }
    });
    const transitions = [];
    redlocks[0].on('connection', ({ mode }) => transitions.push(mode));
    // Connections of clients and of our own, again and again.
    for (let round = 0; round < 15; round++) {
      const before = entered;
      const server = servers[round % 3];
      const all = await connectionsTo(server);
      const some = all.filter((_, at) => (at + round) % 2 === 0);
      await Promise.all(some.map(({ id }) => server.command('CLIENT', 'KILL', 'ID', id).catch(() => 0)));
      await until(() => entered > before + 3, { timeout: 10_000, what: 'locks go on' });
    }
    done = true;
    await Promise.all(workers);
    assert.equal(most, 1, 'two held it at once');
    assert.ok(transitions.includes('native') && transitions.includes('bridge'));
    await until(async () => (await Promise.all(servers.map((one) => one.keys()))).flat().length === 0);
  });
});

for (const [what, change] of /** @type {const} */ ([
  ['another database', (client) => client.select(1)],
  ['another prefix', (client) => Object.assign(client.options, { keyPrefix: 'other:' })],
])) {
  test(`a lock that is kept over our own connection is lost once the client has ${what}`, async (t) => {
    const [server] = await startServers(t, 1);
    const client = await makeClient(t, IOREDIS, server);
    const redlock = redlockOver(t, [client]);
    await promoted(redlock);
    const lock = await redlock.lock('kept', 1000, { autoExtend: true });
    await change(client);
    await until(() => lock.signal.aborted, { what: 'it is lost' });
    assert.equal(lock.held, false);
    await until(async () => (await server.command('EXISTS', 'kept')) === 0, { what: 'nobody extends it' });
  });
}
