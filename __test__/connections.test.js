'use strict';

/** What is told of the connections, and one server that stands for several instances. */

const assert = require('node:assert/strict');
const http = require('node:http');
const { once } = require('node:events');
const { describe, before, beforeEach, test } = require('node:test');

const Redlock = require('..');
const { runScript } = require('./support/script');
const { startServers } = require('./support/servers');
const { endOfSuite } = require('./support/suite');
const { until } = require('./support/until');

const TTL = 10_000;
const UNIX = { skip: process.platform === 'win32' ? 'there are no unix sockets' : false };

describe('connections', () => {
  test('go from connecting to ready, down with the server and up with it again', async (t) => {
    const [server] = await startServers(t, 1);
    const redlock = new Redlock([`${server.url}/2`], { retryCount: 0 });
    t.after(() => redlock.quit());
    const events = [];
    redlock.on('connection', (connection) => {
      assert.equal(redlock.connections[0], connection, 'the property is as new as the event');
      events.push(connection);
    });
    const [first] = redlock.connections;
    const address = `redis://127.0.0.1:${server.port}/2`;
    assert.deepEqual(
      { ...first, since: null },
      {
        index: 0,
        address,
        db: 2,
        state: 'connecting',
        since: null,
        lastError: undefined,
      },
    );

    await (await redlock.lock('a', TTL)).unlock();
    const ready = await until(() => events.find(({ state }) => state === 'ready'));
    assert.equal(ready.lastError, undefined);
    assert.ok(ready.since instanceof Date && ready.since >= first.since);

    await server.kill();
    const down = await until(() => events.find(({ state }) => state === 'down'));
    assert.ok(down.since >= ready.since);
    assert.ok(down.lastError instanceof Redlock.ConnectionError && down.lastError instanceof Error);
    const { name, code, address: where, instance, message } = down.lastError;
    assert.deepEqual([name, where, instance], ['ConnectionError', address, 0]);
    assert.match(code, /^ERR_REDLOCK_(LOST|UNREACHABLE)$/);
    assert.ok(message.startsWith(`${address}: `), message);
    // Still down, for a reason that is newer.
    const refused = await until(() => events.find(({ lastError }) => /refused/.test(lastError?.message)));
    assert.equal(refused.state, 'down');
    assert.equal(refused.since, down.since);

    await server.restart();
    const back = await until(() => events.at(-1).state === 'ready' && events.at(-1));
    assert.ok(back.since >= down.since);
    assert.match(back.lastError.message, /refused/, 'what went wrong the last time is still known');
    await (await redlock.lock('a', TTL)).unlock();
    assert.deepEqual(
      events.map(({ state }) => state).filter((state, i, states) => state !== states[i - 1]),
      ['ready', 'down', 'ready'],
    );
  });

  test('can’t be changed', async (t) => {
    const redlock = new Redlock(['memory://frozen', 'redis://127.0.0.1:1']);
    t.after(() => redlock.quit());
    const [connection] = redlock.connections;
    assert.ok(Object.isFrozen(connection));
    assert.throws(() => {
      connection.state = 'ready';
    }, TypeError);
    redlock.connections.pop();
    assert.equal(redlock.connections.length, 2);
    assert.throws(() => {
      redlock.connections = [];
    }, TypeError);
  });

  test('that were never there are down, each with its reason', async (t) => {
    const redlock = new Redlock(['redis://127.0.0.1:1', 'memory://there', 'unix:///nowhere.sock'], {
      retryCount: 0,
    });
    t.after(() => redlock.quit());
    await assert.rejects(redlock.lock('a', 1000), { code: 'ERR_REDLOCK_UNAVAILABLE' });
    await until(() => redlock.connections[0].state === 'down' && redlock.connections[2].state === 'down');
    const [one, two, three] = redlock.connections;
    assert.match(one.lastError.message, /^redis:\/\/127\.0\.0\.1:1: .*refused/);
    assert.deepEqual([two.state, two.db, two.lastError], ['ready', undefined, undefined]);
    assert.match(three.lastError.message, /^unix:\/\/\/nowhere\.sock: .*No such file/);
    assert.deepEqual([one.index, two.index, three.index], [0, 1, 2]);
  });

  test('each have a listener’s exception to themselves', async () => {
    const { code, stdout } = await runScript(`
      process.on('uncaughtException', (error) => console.log('uncaught', error.message));
      const redlock = new (require('redlock-native'))(['memory://a', 'redis://127.0.0.1:1', 'memory://b']);
      redlock.on('connection', ({ index }) => { if (index === 1) throw new Error('mine'); });
      redlock.lock('a', 5000).then((lock) => lock.unlock()).then(() => redlock.quit()).then(() => console.log('done'));
    `);
    assert.equal(code, 0);
    assert.match(stdout, /done/);
  });
});

describe('one server as several instances', () => {
  const suite = endOfSuite();
  /** @type {import('../scripts/servers').RedisServer} */
  let server;
  before(async () => {
    [server] = await startServers(suite, 1);
  });
  beforeEach(() => server.command('FLUSHALL'));

  const LISTS = {
    'the same URL three times': () => [server.url, server.url, server.url],
    'the same configuration three times': () => {
      const { host, port } = server;
      return [
        { host, port },
        { host, port },
        { host, port, clientName: 'third' },
      ];
    },
    'localhost, 127.0.0.1 and a unix socket': () => [
      `redis://localhost:${server.port}`,
      server.url,
      server.socket,
    ],
  };

  for (const [what, list] of Object.entries(LISTS)) {
    describe(what, what.includes('unix') ? UNIX : {}, () => {
      for (const names of ['a', ['a', 'b']]) {
        test(`${names.length > 1 ? 'several resources' : 'one resource'}: locks, excludes, extends, unlocks`, async (t) => {
          const redlock = new Redlock(list());
          const other = new Redlock(list(), { retryCount: 0 });
          for (const one of [redlock, other]) t.after(() => one.quit());
          const lock = await redlock.lock(names, TTL);
          assert.equal(await server.command('GET', 'a'), lock.value);
          await assert.rejects(other.lock(names, TTL), { code: 'ERR_REDLOCK_HELD' });
          assert.equal(await lock.extend(3 * TTL), lock);
          assert.ok((await server.command('PTTL', 'a')) > 2 * TTL);
          assert.equal(
            await server.command('GET', 'a'),
            lock.value,
            'what others asked for has no part in it',
          );
          await lock.unlock();
          assert.deepEqual(await server.keys(), []);
          await (await other.lock(names, TTL)).unlock();
        });
      }

      test('the process is warned once', async () => {
        const { code, stdout } = await runScript(`
          process.on('warning', ({ name, code, message }) => console.log([name, code, message].join(' ')));
          const Redlock = require('redlock-native');
          (async () => {
            for (let i = 0; i < 3; i++) {
              const redlock = new Redlock(${JSON.stringify(list())});
              for (let j = 0; j < 3; j++) await (await redlock.lock('a' + j, 5000)).unlock();
              await redlock.quit();
            }
          })();
        `);
        assert.equal(code, 0);
        const lines = stdout.trim().split('\n').filter(Boolean);
        for (const line of lines)
          assert.match(line, /^RedlockWarning REDLOCK_TWINS redlock-native: .*quorum/);
        assert.ok(lines.length >= 1 && lines.length <= 2, stdout);
        assert.equal(new Set(lines).size, lines.length, 'none of them twice');
      });
    });
  }

  test('different databases of one server are different instances', async () => {
    const urls = [0, 1, 2].map((db) => `${server.url}/${db}`);
    const { code, stdout } = await runScript(`
      process.on('warning', (warning) => console.log(warning.code));
      const redlock = new (require('redlock-native'))(${JSON.stringify(urls)}, { retryCount: 0 });
      redlock.lock('a', 5000).then((lock) => console.log(lock.value));
    `);
    assert.equal(code, 0);
    assert.match(stdout, /^[0-9a-f]{32}\n$/);
    assert.match(await server.command('INFO', 'keyspace'), /db0:keys=1.*db1:keys=1.*db2:keys=1/s);
  });

  test('so do different prefixes on one server', async () => {
    const urls = ['x', 'y', 'z'].map((prefix) => `${server.url}?keyPrefix=${prefix}`);
    const redlock = new Redlock(urls, { retryCount: 0 });
    try {
      const lock = await redlock.lock('a', TTL);
      await until(async () => (await server.keys()).join() === 'xa,ya,za');
      await lock.unlock();
    } finally {
      await redlock.quit();
    }
  });

  test('a web application that locks with three identical connections, as guides have it', async (t) => {
    const redlock = new Redlock([server.url, server.url, server.url], {
      retryCount: 200,
      retryDelay: 10,
      retryJitter: 10,
    });
    t.after(() => redlock.quit());
    let inside = 0;
    let most = 0;
    const app = http.createServer(async (request, response) => {
      try {
        const lock = await redlock.lock(`locks:${request.url}`, TTL);
        inside += 1;
        most = Math.max(most, inside);
        await new Promise(setImmediate);
        inside -= 1;
        await lock.unlock();
        response.end('done');
      } catch (error) {
        response.writeHead(500).end(String(error.cause ?? error));
      }
    });
    app.listen(0, '127.0.0.1');
    await once(app, 'listening');
    t.after(() => {
      app.closeAllConnections();
      app.close();
    });
    const get = async () => (await fetch(`http://127.0.0.1:${app.address().port}/account`)).text();
    assert.deepEqual(await Promise.all(Array.from({ length: 8 }, get)), Array(8).fill('done'));
    assert.equal(most, 1, 'one at a time');
    assert.deepEqual(await server.keys(), []);
  });
});
