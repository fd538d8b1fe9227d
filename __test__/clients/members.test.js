'use strict';

/** Callers' clients as members of a quorum: how they are passed, shown, counted, ended and let go of. */

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { inspect } = require('node:util');

const Redlock = require('../..');
const {
  IOREDIS,
  NODE_REDIS,
  REDIS_3,
  makeClient,
  connectionsTo,
  nativeOf,
  watch,
} = require('../support/clients');
const { rejection } = require('../support/rejection');
const { runScript } = require('../support/script');
const { startProxy } = require('../support/proxy');
const { PATIENT, namesLike, promoted, redlockOver } = require('../support/redlock');
const { startServers } = require('../support/servers');
const { until } = require('../support/until');

const ONCE = { retryCount: 0 };
const TTL = 30_000;

const modes = (redlock) => redlock.connections.map(({ mode }) => mode);

const fresh = namesLike('resource-');

/** What the process is warned of meanwhile. */
function warningsIn(t) {
  const warnings = [];
  const listener = (warning) => warnings.push(warning);
  process.on('warning', listener);
  t.after(async () => process.off('warning', listener));
  return warnings;
}

function thrown(call) {
  try {
    call();
  } catch (error) {
    return error;
  }
  return assert.fail('did not throw');
}

describe('the option "connections"', () => {
  test('"bridge" never connects to anything', async (t) => {
    const [server] = await startServers(t, 1);
    const client = await makeClient(t, IOREDIS, server);
    const redlock = redlockOver(t, [client], { connections: 'bridge' });
    const { total_connections_received: before } = await server.info('stats');
    for (let round = 0; round < 5; round++) {
      const lock = await redlock.lock('a', TTL);
      await lock.extend(TTL);
      await lock.unlock();
    }
    assert.equal((await nativeOf(server, IOREDIS, client)).length, 0);
    // Our own questions after the servers' state come over connections too.
    const { total_connections_received: after } = await server.info('stats');
    assert.ok(Number(after) - Number(before) <= 2, `${after - before} connections`);
    const [{ mode, reasons }] = redlock.connections;
    assert.equal(mode, 'bridge');
    assert.match(reasons.join(), /"connections" says so/);
  });

  test('"native" never asks the client, from the first lock on', async (t) => {
    const [server] = await startServers(t, 1);
    const client = await makeClient(t, IOREDIS, server, { keyPrefix: 'app:', db: 2 });
    const own = /addr=(\S+)/.exec(await client.call('CLIENT', 'INFO'))[1];
    const monitor = await watch(t, server);
    const redlock = redlockOver(t, [client], { connections: 'native' });
    const lock = await redlock.lock('a', TTL);
    await lock.extend(TTL);
    assert.deepEqual(modes(redlock), ['native']);
    const seen = await monitor.seen();
    assert.ok(seen.length > 0);
    assert.deepEqual(
      seen.filter(({ addr }) => addr === own),
      [],
    );
    assert.deepEqual(await client.keys('*'), ['app:a']);
    await lock.unlock();
  });

  test('may be said of each client, beside URLs and configurations', async (t) => {
    const servers = await startServers(t, 5);
    const clients = await Promise.all(servers.slice(0, 3).map((server) => makeClient(t, IOREDIS, server)));
    const members = [
      { client: clients[0], connections: 'bridge' },
      { client: clients[1], connections: 'native' },
      clients[2],
      servers[3].url,
      { host: servers[4].host, port: servers[4].port },
    ];
    const redlock = redlockOver(t, members);
    const lock = await redlock.lock('a', TTL);
    await until(async () => (await Promise.all(servers.map((server) => server.keys()))).flat().length === 5);
    await lock.unlock();
    await until(async () => {
      await (await redlock.lock(fresh(), TTL)).unlock();
      return modes(redlock).join() === 'bridge,native,native,native,native';
    });
    assert.equal((await nativeOf(servers[0], IOREDIS, clients[0])).length, 0);
  });

  test('of a client outweighs that of all, and "auto" may be said', async (t) => {
    const servers = await startServers(t, 2);
    const [one, other] = await Promise.all(servers.map((server) => makeClient(t, IOREDIS, server)));
    const redlock = redlockOver(t, [{ client: one, connections: 'auto' }, { client: other }], {
      connections: 'bridge',
    });
    await (await redlock.lock(fresh(), TTL)).unlock();
    await until(async () => {
      await (await redlock.lock(fresh(), TTL)).unlock();
      return modes(redlock).join() === 'native,bridge';
    });
  });

  test('"native" throws where that can’t be, and says why', async (t) => {
    const [server] = await startServers(t, 1);
    const closed = await makeClient(t, IOREDIS, server);
    await closed.quit();
    const stubbed = await makeClient(t, IOREDIS, server);
    stubbed.eval = async () => 1;
    const unknown = { eval: async () => 1 };
    for (const [client, why] of /** @type {[any, RegExp][]} */ ([
      [closed, /closed/],
      [stubbed, /"eval" was replaced/],
      [unknown, /can't be read off it/],
    ])) {
      for (const create of [
        () => new Redlock([client], { connections: 'native' }),
        () => new Redlock([{ client, connections: 'native' }]),
      ]) {
        const error = thrown(create);
        assert.equal(error.code, 'ERR_REDLOCK_INVALID_INSTANCE');
        assert.match(error.message, why);
        assert.match(error.message, /instances\[0\]/);
        assert.match(error.message, /'auto' or 'bridge'/);
      }
    }
  });

  test('that is mistyped is warned of and ignored; for one client it is refused', async (t) => {
    const [server] = await startServers(t, 1);
    const client = await makeClient(t, IOREDIS, server);
    const warnings = warningsIn(t);
    const redlock = redlockOver(t, [client], /** @type {any} */ ({ connections: 'natvie' }));
    await until(() => warnings.length > 0);
    assert.deepEqual([warnings.length, warnings[0].code], [1, 'REDLOCK_OPTIONS']);
    assert.match(
      warnings[0].message,
      /"connections" must be one of "auto", "native", "bridge", not "natvie"/,
    );
    await promoted(redlock);
    const error = thrown(() => new Redlock([{ client, connections: 'natvie' }]));
    assert.match(error.message, /instances\[0\]\.connections/);
  });
});

describe('redlock.connections of clients', () => {
  test('have one shape, are frozen and show no secret, in both modes', async (t) => {
    const [server] = await startServers(t, 1, { users: ['alice on >s3cr3t-word ~* +@all', 'default off'] });
    const more = { username: 'alice', password: 's3cr3t-word', keyPrefix: 'app:', db: 3 };
    const client = await makeClient(t, IOREDIS, server, more);
    const redlock = redlockOver(t, [client]);
    const told = [];
    redlock.on('connection', (connection) => told.push(connection));
    const check = (mode) => {
      const [connection] = redlock.connections;
      assert.deepEqual(
        Object.keys(connection).sort(),
        [
          ...['index', 'address', 'mode', 'library', 'topology', 'db', 'keyPrefix', 'reasons', 'state'],
          ...['since', 'lastError', 'noWakeups'],
        ].sort(),
      );
      const { index, address, library, topology, db, keyPrefix, state, lastError } = connection;
      assert.deepEqual(
        { index, address, mode: connection.mode, library, topology, db, keyPrefix, state, lastError },
        {
          index: 0,
          address: `${server.url}/3`,
          mode,
          library: 'ioredis 5',
          topology: 'single',
          db: 3,
          keyPrefix: 'app:',
          state: 'ready',
          lastError: undefined,
        },
      );
      assert.ok(connection.since instanceof Date);
      assert.ok(Object.isFrozen(connection) && Object.isFrozen(connection.reasons));
      const shown = inspect([connection, told], { showHidden: true, depth: null, getters: true });
      assert.ok(!shown.includes('s3cr3t'), shown);
    };
    check('bridge');
    await promoted(redlock);
    check('native');
    await until(() => redlock.connections[0].noWakeups === undefined);
    client.options.password = 's3cr3t-other';
    await (await redlock.lock('a', TTL)).unlock();
    await until(() => /WRONGPASS/.test(redlock.connections[0].reasons.join()));
    check('bridge');
    await until(() => /through your client/.test(redlock.connections[0].noWakeups));
    // The client itself is the caller's, and has it.
    const engine = inspect(redlock.connections, { showHidden: true, depth: null });
    assert.ok(!engine.includes('s3cr3t'));
  });
});

describe('a connection of our own on the caller’s word', () => {
  test('shows that its server is down, why, and when it is back', async (t) => {
    const [server] = await startServers(t, 1);
    const client = await makeClient(t, IOREDIS, server);
    const redlock = redlockOver(t, [client], { connections: 'native' });
    const told = [];
    redlock.on('connection', ({ state }) => told.push(state));
    await (await redlock.lock('a', TTL)).unlock();
    assert.equal(redlock.connections[0].state, 'ready');
    await server.kill();
    const error = await rejection(redlock.lock('a', TTL, ONCE));
    assert.equal(error.code, 'ERR_REDLOCK_UNAVAILABLE');
    await until(() => redlock.connections[0].state === 'down', { timeout: 1000 });
    assert.match(redlock.connections[0].lastError.message, /refused|lost/);
    await server.restart();
    await until(() => redlock.connections[0].state === 'ready');
    assert.ok(told.includes('down'));
    assert.equal(told.at(-1), 'ready');
  });
});

describe('members that are the same', () => {
  /** Ways to list one server three times. @type {Record<string, (t: any, server: any) => Promise<any[]>>} */
  const LISTS = {
    'the same client thrice': async (t, server) => Array(3).fill(await makeClient(t, IOREDIS, server)),
    'three clients of one server': (t, server) =>
      Promise.all([0, 1, 2].map(() => makeClient(t, IOREDIS, server))),
    'three clients of three libraries': (t, server) =>
      Promise.all([IOREDIS, NODE_REDIS, REDIS_3].map((library) => makeClient(t, library, server))),
  };

  for (const [title, list] of Object.entries(LISTS)) {
    test(`${title}: is locked, extended and released, and warned of once`, async (t) => {
      const [server] = await startServers(t, 1);
      const warnings = warningsIn(t);
      const members = await list(t, server);
      for (let time = 0; time < 2; time++) {
        const redlock = new Redlock(members, PATIENT);
        for (let round = 0; round < 10; round++) {
          const lock = await redlock.lock(round % 2 ? 'a' : ['b', 'c'], TTL, ONCE);
          const error = await rejection(redlock.lock(round % 2 ? 'a' : 'b', TTL, ONCE));
          assert.equal(error.code, 'ERR_REDLOCK_HELD');
          await lock.extend(TTL);
          await lock.unlock();
          assert.deepEqual(await server.keys(), []);
        }
      }
      const told = warnings.filter(({ code }) => code === 'REDLOCK_TWINS');
      assert.equal(told.length, 1);
    });
  }

  for (const first of ['the client', 'the URL']) {
    test(`a client and a URL of one server, ${first} first: is locked, extended and released`, async (t) => {
      const [server] = await startServers(t, 1);
      const client = await makeClient(t, IOREDIS, server);
      const members = first === 'the client' ? [client, server.url] : [server.url, client];
      const warnings = warningsIn(t);
      for (let time = 0; time < 10; time++) {
        const redlock = new Redlock(members, PATIENT);
        for (let round = 0; round < 8; round++) {
          const lock = await redlock.lock('a', TTL);
          await lock.extend(TTL);
          await lock.unlock();
          assert.deepEqual(await server.keys(), []);
        }
      }
      const twins = warnings.filter(({ code }) => code === 'REDLOCK_TWINS');
      assert.ok(twins.length >= 1);
    });
  }

  test('a client and a URL that has yet to connect: the first attempt succeeds', async (t) => {
    const [server] = await startServers(t, 1);
    const client = await makeClient(t, IOREDIS, server);
    for (let time = 0; time < 20; time++) {
      // A connection of its own each time.
      const redlock = new Redlock([client, `${server.url}?clientName=time-${time}`], ONCE);
      const lock = await redlock.lock('a', TTL);
      await lock.extend(TTL);
      await lock.unlock();
    }
    assert.deepEqual(await server.keys(), []);
  });

  test('not: a client that sends its command again, when the answer was lost', async (t) => {
    const servers = await startServers(t, 3);
    const proxy = await startProxy(t, servers[0]);
    const clients = await Promise.all([proxy, ...servers.slice(1)].map((one) => makeClient(t, IOREDIS, one)));
    const warnings = warningsIn(t);
    const redlock = new Redlock(clients, {
      connections: 'bridge',
      deadlineFloor: 5000,
      deadlineCeiling: 5000,
    });
    // The reply that is lost must not be that the script isn't known.
    const { hash } = redlock.scripts.lockScript;
    await until(async () => {
      await (await redlock.lock(fresh(), TTL)).unlock();
      return String(await servers[0].command('SCRIPT', 'EXISTS', hash)) === '1';
    });
    // Of the others one sets the key, and one has it for somebody else.
    await servers[2].command('SET', 'a', 'another');
    proxy.dropReply();
    const locking = rejection(redlock.lock('a', TTL, ONCE));
    await until(() => proxy.droppedBytes > 0);
    proxy.pass();
    // What it has set itself is no grant: which of its commands did that can't be told.
    const asked = await locking;
    assert.equal(asked.code, 'ERR_REDLOCK_UNAVAILABLE');
    assert.match(asked.votes[0].error.message, /asked twice/);
    // A retry has another value.
    await servers[2].command('DEL', 'a');
    await (await redlock.lock('a', TTL, ONCE)).unlock();
    // Now a majority is somebody else's, and the first one alone must not count for two.
    for (const server of servers.slice(1)) await server.command('SET', 'b', 'another');
    const error = await rejection(redlock.lock('b', TTL, ONCE));
    assert.equal(error.code, 'ERR_REDLOCK_HELD');
    assert.deepEqual(
      warnings.filter(({ code }) => code === 'REDLOCK_TWINS'),
      [],
    );
  });

  test('not: clients whose options say one local server, and that lead to three', async (t) => {
    const servers = await startServers(t, 3);
    /** As a tunnel does that is put in later: the options stay. */
    const astray = async (server) => {
      const client = await makeClient(t, IOREDIS, servers[0]);
      const { connect } = client.connector;
      client.connector.connect = function (...args) {
        this.options = { ...this.options, host: server.host, port: server.port };
        return connect.apply(this, args);
      };
      client.disconnect(true);
      await until(() => client.status === 'ready');
      return client;
    };
    const clients = await Promise.all(servers.map(astray));
    const one = redlockOver(t, clients, ONCE);
    const other = redlockOver(t, [...clients].reverse(), ONCE);
    for (let time = 0; time < 5; time += 1) {
      const name = fresh();
      const lock = await one.lock(name, TTL);
      const values = await Promise.all(servers.map((server) => server.command('EXISTS', name)));
      assert.ok(values.filter(Boolean).length >= 2, 'a majority of servers has it');
      assert.equal((await rejection(other.lock(name, TTL))).code, 'ERR_REDLOCK_HELD');
      await lock.unlock();
    }
  });

  test('not: clients of one local server whose databases can not be seen', async (t) => {
    const [server] = await startServers(t, 1);
    const clients = await Promise.all([1, 2, 3].map(() => makeClient(t, NODE_REDIS, server)));
    for (const [at, client] of clients.entries()) await client.select(at + 1);
    const one = redlockOver(t, clients, ONCE);
    const other = redlockOver(t, [...clients].reverse(), ONCE);
    for (let time = 0; time < 5; time += 1) {
      const name = fresh();
      const lock = await one.lock(name, TTL);
      assert.equal((await rejection(other.lock(name, TTL))).code, 'ERR_REDLOCK_HELD');
      await lock.unlock();
    }
  });

  test('not: two databases of one server are two members', async (t) => {
    const [server] = await startServers(t, 1);
    const warnings = warningsIn(t);
    const clients = await Promise.all([1, 2].map((db) => makeClient(t, IOREDIS, server, { db })));
    const redlock = redlockOver(t, clients);
    await promoted(redlock);
    const lock = await redlock.lock('a', TTL);
    const { db1, db2 } = await server.info('keyspace');
    assert.match(db1, /keys=1/);
    assert.match(db2, /keys=1/);
    await lock.unlock();
    assert.deepEqual(await server.info('keyspace'), {});
    assert.deepEqual(
      warnings.filter(({ code }) => code === 'REDLOCK_TWINS'),
      [],
    );
  });
});

describe('redlock.servers', () => {
  test('are the clients as they were passed, and addresses', async (t) => {
    const [server] = await startServers(t, 1, { requirepass: 's3cr3t' });
    const client = await makeClient(t, IOREDIS, server, { password: 's3cr3t' });
    const url = server.url.replace('//', '//:s3cr3t@');
    const redlock = redlockOver(t, [client, url, { client, connections: 'bridge' }]);
    assert.equal(redlock.servers[0], client);
    assert.equal(redlock.servers[1], server.url);
    assert.equal(redlock.servers[2], client);
  });
});

describe('quit()', () => {
  for (const library of [IOREDIS, NODE_REDIS, REDIS_3]) {
    test(`ends the clients too, and answers in their order: ${library.title}`, async (t) => {
      const servers = await startServers(t, 2);
      const client = await makeClient(t, library, servers[0]);
      const redlock = new Redlock([servers[1].url, client, client], PATIENT);
      await (await redlock.lock('a', TTL)).unlock();
      let quits = 0;
      const own = client.quit;
      client.quit = function (...args) {
        quits += 1;
        return own.apply(this, args);
      };
      assert.deepEqual(await redlock.quit(), ['OK', 'OK', 'OK']);
      assert.equal(quits, 1);
      assert.match((await rejection(library.call(client, 'PING'))).message, library.closed);
      for (const server of servers)
        await until(async () => (await connectionsTo(server)).length === 0, { what: 'nobody is connected' });
    });

    test(`of a client that is closed already is no error: ${library.title}`, async (t) => {
      const [server] = await startServers(t, 1);
      const client = await makeClient(t, library, server);
      const redlock = new Redlock([client]);
      await library.end(client);
      assert.deepEqual(await redlock.quit(), ['OK']);
    });
  }

  test('calls back', async (t) => {
    const [server] = await startServers(t, 1);
    const client = await makeClient(t, IOREDIS, server);
    const answered = await new Promise((resolve) => new Redlock([client]).quit((...args) => resolve(args)));
    assert.deepEqual(answered, [null, ['OK']]);
  });

  test('lets a lock that is under way end first, and leaves none behind', async (t) => {
    const [server] = await startServers(t, 1);
    const client = await makeClient(t, IOREDIS, server);
    const redlock = new Redlock([client], PATIENT);
    const order = [];
    const locking = redlock.lock('a', TTL).then((lock) => {
      order.push('locked');
      return lock;
    });
    const quitting = redlock.quit().then(() => order.push('quit'));
    await Promise.all([locking, quitting]);
    assert.deepEqual(order, ['locked', 'quit']);
    assert.equal(await server.command('GET', 'a'), (await locking).value);
  });

  test('of one whose quit fails rejects with its error, and ends the others', async (t) => {
    const servers = await startServers(t, 2);
    const [one, other] = await Promise.all(servers.map((server) => makeClient(t, IOREDIS, server)));
    const mine = new Error('on purpose');
    one.quit = () => Promise.reject(mine);
    assert.equal(await rejection(new Redlock([one, other]).quit()), mine);
    await until(() => other.status === 'end');
  });

  test('does not wait for good for a server that is frozen', async (t) => {
    const [server] = await startServers(t, 1);
    const client = await makeClient(t, IOREDIS, server);
    client.quit = async () => 'mine';
    const redlock = new Redlock([client], { ...ONCE, deadlineCeiling: 200 });
    await (await redlock.lock('a', TTL)).unlock();
    server.pause();
    const locking = rejection(redlock.lock('b', 1000));
    assert.deepEqual(await redlock.quit(), ['mine']);
    assert.equal((await locking).code, 'ERR_REDLOCK_UNAVAILABLE');
    server.resume();
    await until(async () => (await server.keys()).length === 0);
  });
});

describe('a process with clients', () => {
  /** @param {any} server @param {string} code */
  const run = (server, code, flags) =>
    runScript(
      `const Redlock = require('redlock-native');
       const { promoted } = require('./__test__/support/redlock');
       const { until } = require('./__test__/support/until');
       const place = ${JSON.stringify({ host: server.host, port: server.port })};
       const client = new (require('ioredis'))({ ...place, connectionName: 'in-the-child' });
       const warnings = [];
       process.on('warning', ({ name }) => warnings.push(name));
       (async () => { ${code} })();`,
      { timeout: 10_000, flags },
    );
  const outcome = ({ code, signal, stdout, stderr }) => [code, signal, stdout, stderr];

  for (const [title, end] of Object.entries({
    'once its owner has quit the client': 'await client.quit()',
    'once the Redlock was quit': 'await redlock.quit()',
  })) {
    for (const mode of ['native', 'bridge']) {
      test(`ends by itself ${title}, in the mode ${mode}`, async (t) => {
        const [server] = await startServers(t, 1);
        const ended = await run(
          server,
          `const redlock = new Redlock([client], { connections: '${mode === 'bridge' ? mode : 'auto'}' });
           ${mode === 'native' ? 'await promoted(redlock);' : ''}
           await (await redlock.lock('a', 5000)).unlock();
           ${end};
           console.log('done');`,
        );
        assert.deepEqual(outcome(ended), [0, null, 'done\n', '']);
      });
    }
  }

  test('lets go of our own connections when the Redlock is collected, and leaves the client alone', async (t) => {
    const [server] = await startServers(t, 1);
    const ended = await run(
      server,
      `let collected = 0;
       const registry = new FinalizationRegistry(() => { collected += 1; });
       const use = async () => {
         const redlock = new Redlock([client]);
         registry.register(redlock);
         await promoted(redlock);
       };
       await use();
       const named = async () => (await client.client('LIST')).split('name=in-the-child').length - 1;
       const before = await named();
       await until(() => { gc(); return collected; });
       await until(async () => (await named()) === 1);
       console.log(before, await client.ping());
       await client.quit();`,
      ['--expose-gc'],
    );
    assert.deepEqual(outcome(ended), [0, null, '2 PONG\n', '']);
  });

  test('is not warned of too many listeners for many Redlocks over one client', async (t) => {
    const [server] = await startServers(t, 1);
    const ended = await run(
      server,
      `await client.ping();
       const count = () => client.eventNames().reduce((sum, name) => sum + client.listenerCount(name), 0);
       const before = count();
       const redlocks = Array.from({ length: 20 }, () => new Redlock([client]));
       for (const redlock of redlocks) await promoted(redlock);
       await new Promise((resolve) => setImmediate(resolve));
       console.log(count() - before, warnings.join());
       const quits = await Promise.all(redlocks.map((redlock) => redlock.quit()));
       console.log([...new Set(quits.flat())].join());
       console.log(await redlocks[0].quit(), await new Redlock([client]).quit());`,
    );
    assert.deepEqual(outcome(ended), [0, null, "1 \nOK\n[ 'OK' ] [ 'OK' ]\n", '']);
  });
});
