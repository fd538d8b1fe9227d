'use strict';

/** How connections are, told as it changes; and one server that is listed more than once. */

const assert = require('node:assert/strict');
const http = require('node:http');
const { describe, test } = require('node:test');

const Redlock = require('../..');
const { rejection } = require('../support/rejection');
const { runScript } = require('../support/script');
const { startServers } = require('../support/servers');
const { until } = require('../support/until');

describe('redlock.connections', () => {
  test('go from connecting to ready, down and ready again, and each change is an event', async (t) => {
    const [server] = await startServers(t, 1);
    const redlock = new Redlock([`${server.url}/2`]);
    const told = [];
    redlock.on('connection', (connection) => told.push(connection));
    const [before] = redlock.connections;
    assert.deepEqual([before.state, before.lastError], ['connecting', undefined]);
    assert.ok(before.since instanceof Date);
    assert.ok(Object.isFrozen(before));

    await until(() => redlock.connections[0].state === 'ready');
    await server.kill();
    await until(() => redlock.connections[0].state === 'down');
    const [down] = redlock.connections;
    assert.equal(down.lastError.name, 'ConnectionError');
    assert.match(down.lastError.code, /^ERR_REDLOCK_/);
    assert.ok(down.lastError.message.startsWith(server.url), down.lastError.message);

    await server.restart();
    await until(() => redlock.connections[0].state === 'ready', { timeout: 15_000 });
    const [ready] = redlock.connections;
    assert.deepEqual([ready.index, ready.address, ready.db], [0, `${server.url}/2`, 2]);
    assert.ok(ready.lastError, 'what it was down for is still told');
    const states = told.map(({ state }) => state);
    assert.equal(states[0], 'ready');
    assert.equal(states.at(-1), 'ready');
    assert.ok(states.includes('down'));
    await redlock.quit();
  });

  test('are ready at once in this process, and have no database', async () => {
    const redlock = new Redlock(['memory://connections']);
    // An idle Redlock keeps no process alive to wait for its events.
    await until(() => redlock.connections[0].state === 'ready');
    const [{ state, db, address }] = redlock.connections;
    assert.deepEqual([state, db, address], ['ready', undefined, 'memory://connections']);
    await redlock.quit();
  });

  test('show no password', async (t) => {
    const [server] = await startServers(t, 1, { requirepass: 'right' });
    const redlock = new Redlock([server.url.replace('//', '//:s3cr3t@')]);
    await until(() => redlock.connections[0].state === 'down');
    const [connection] = redlock.connections;
    assert.equal(connection.lastError.reply, 'WRONGPASS');
    assert.ok(!JSON.stringify(connection).includes('s3cr3t'));
    assert.ok(!String(connection.lastError.stack).includes('s3cr3t'));
    await redlock.quit();
  });
});

describe('one server that is listed more than once', () => {
  test('as in the guides that pass three connections to one host: an app that locks per request works', async (t) => {
    const [server] = await startServers(t, 1);
    const redlock = new Redlock(
      Array.from({ length: 3 }, () => ({ host: server.host, port: server.port })),
      { retryDelay: 20, retryJitter: 10, retryCount: 200 },
    );
    let inside = 0;
    const app = http.createServer(async (request, response) => {
      try {
        const lock = await redlock.lock(`request:${request.url}`, 5000);
        inside += 1;
        const alone = inside === 1;
        await new Promise((resolve) => setImmediate(resolve));
        inside -= 1;
        await lock.unlock();
        response.end(String(alone));
      } catch (error) {
        response.statusCode = 500;
        response.end(error.message);
      }
    });
    await new Promise((resolve) => app.listen(0, '127.0.0.1', resolve));
    t.after(() => app.close());
    const { port } = /** @type {import('node:net').AddressInfo} */ (app.address());
    const answers = await Promise.all(
      Array.from({ length: 10 }, async () => {
        const response = await fetch(`http://127.0.0.1:${port}/same`);
        return `${response.status} ${await response.text()}`;
      }),
    );
    assert.deepEqual(answers, Array(10).fill('200 true'));
    assert.deepEqual(await server.keys(), []);
    await redlock.quit();
  });

  test('under different names grants once and refuses then, and the error says which names look alike', async (t) => {
    const [server, other] = await startServers(t, 2);
    const names = [server.url, `redis://localhost:${server.port}`, server.socket];
    const redlock = new Redlock(names, { retryCount: 0 });
    // Before that nobody can know that they are one.
    await until(() => redlock.connections.every(({ state }) => state === 'ready'));
    for (const resource of ['a', ['b', 'c']]) {
      const error = await rejection(redlock.lock(resource, 5000));
      for (const name of [names[0], names[1]])
        assert.ok(error.cause.message.includes(name), error.cause.message);
      assert.match(error.cause.message, /look like one server: list each server once/);
    }
    assert.deepEqual(await server.keys(), []);
    // With another server it is a majority of the names.
    const two = new Redlock([...names.slice(0, 2), other.url], { retryCount: 0 });
    const lock = await two.lock('a', 5000);
    await lock.extend(6000);
    await lock.unlock();
    assert.deepEqual(await server.keys(), []);
    await Promise.all([redlock.quit(), two.quit()]);
  });

  test('is warned of once', async (t) => {
    const [server] = await startServers(t, 1);
    const program = `
      const Redlock = require('redlock-native');
      const warnings = [];
      process.on('warning', (warning) => warnings.push([warning.code, warning.message]));
      (async () => {
        for (let i = 0; i < 2; i++) {
          const redlock = new Redlock(Array(3).fill('${server.url}'));
          await (await redlock.lock('a', 5000)).unlock();
          await redlock.quit();
        }
        setImmediate(() => console.log(JSON.stringify(warnings)));
      })();
    `;
    const { code, stdout } = await runScript(program);
    assert.equal(code, 0);
    const warnings = JSON.parse(stdout);
    assert.deepEqual(
      warnings.map(([name]) => name),
      ['REDLOCK_TWINS'],
    );
    assert.ok(warnings[0][1].includes(server.url), warnings[0][1]);
  });

  test('with different databases is as many instances', async (t) => {
    const [server] = await startServers(t, 1);
    const redlock = new Redlock([0, 1, 2].map((db) => `${server.url}/${db}`));
    const lock = await redlock.lock('a', 5000);
    await until(async () => {
      const keyspace = await server.info('keyspace');
      return ['db0', 'db1', 'db2'].every((db) => db in keyspace);
    });
    await lock.unlock();
    await redlock.quit();
  });
});
