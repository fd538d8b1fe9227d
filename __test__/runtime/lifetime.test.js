'use strict';

/** What keeps a process alive and what doesn't; what ends with a Redlock, a worker and a process. */

const assert = require('node:assert/strict');
const { describe, before, beforeEach, test } = require('node:test');
const { Worker } = require('node:worker_threads');

const Redlock = require('../..');
const { startProxy } = require('../support/proxy');
const { assertValue } = require('../support/redlock');
const { rejection } = require('../support/rejection');
const { runScript } = require('../support/script');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');
const { until } = require('../support/until');

/** Far more than a process needs to end by itself, far less than one that doesn't. */
const SOON = 10_000;

describe('a process', () => {
  const suite = endOfSuite();
  /** @type {import('../../scripts/servers').RedisServer[]} */
  let servers;
  before(async () => {
    servers = await startServers(suite, 3);
  });
  beforeEach(() => Promise.all(servers.map((server) => server.command('FLUSHALL'))));

  const run = (code, options) =>
    runScript(
      `const Redlock = require('redlock-native');
       const urls = ${JSON.stringify(servers.map(({ url }) => url))};
       ${code}`,
      { timeout: SOON, ...options },
    );

  test('that only requires the package ends', async () => {
    assert.deepEqual(await outcome(run('console.log(typeof Redlock)')), [0, 'function\n']);
  });

  test('with an idle Redlock ends by itself', async () => {
    const ended = run(`
      const redlock = new Redlock(urls);
      redlock.lock('a', 60_000).then((lock) => lock.unlock()).then(() => console.log('done'));
    `);
    assert.deepEqual(await outcome(ended), [0, 'done\n']);
    for (const server of servers) assert.deepEqual(await server.keys(), []);
  });

  test('that never used its Redlock ends by itself', async () => {
    assert.deepEqual(await outcome(run(`new Redlock(urls); console.log('done')`)), [0, 'done\n']);
  });

  test('that holds a lock ends by itself, and the lock stays until its ttl', async () => {
    const ended = run(`new Redlock(urls).lock('a', 60_000).then((lock) => console.log(lock.value))`);
    const [code, value] = await outcome(ended);
    assert.equal(code, 0);
    for (const server of servers) assert.equal(await server.command('GET', 'a'), value.trim());
  });

  for (const [what, wakeups, waits] of [
    [
      'asked for again and again',
      false,
      (server) => server.info('commandstats').then((stats) => calls(stats, 'set') > 20),
    ],
    [
      'told of',
      'auto',
      (server) => server.info('stats').then((stats) => Number(stats.tracking_total_keys) > 0),
    ],
  ]) {
    test(`is kept alive by a lock that is waited for, and ${what}`, async () => {
      await Promise.all(servers.map((server) => server.command('SET', 'a', 'other')));
      await servers[0].command('CONFIG', 'RESETSTAT');
      const ended = run(`
        const options = { retryCount: -1, retryDelay: 20, retryJitter: 5, wakeups: ${JSON.stringify(wakeups)} };
        new Redlock(urls, options).lock('a', 60_000).then(() => console.log('locked'));
      `);
      for (const server of servers) await until(() => waits(server));
      await Promise.all(servers.map((server) => server.command('DEL', 'a')));
      assert.deepEqual(await outcome(ended), [0, 'locked\n']);
    });
  }

  test('that exits mid-lock ends at once, and leaves no key beyond its ttl', async () => {
    const ended = run(`
      const redlock = new Redlock(urls);
      for (let i = 0; i < 100; i++) redlock.lock('a' + i, 60_000).then((lock) => lock.unlock());
      setImmediate(() => process.exit(3));
    `);
    assert.deepEqual(await outcome(ended), [3, '']);
    for (const server of servers) {
      for (const key of await server.keys()) assert.ok((await server.command('PTTL', key)) <= 60_000);
    }
  });

  test('that can’t reach its servers ends by itself', async () => {
    const ended = run(`
      const redlock = new Redlock(['redis://127.0.0.1:1', 'redis://127.0.0.1:2'], { retryCount: 1, retryDelay: 10 });
      redlock.lock('a', 1000).catch((error) => console.log(error.code));
    `);
    assert.deepEqual(await outcome(ended), [0, 'ERR_REDLOCK_UNAVAILABLE\n']);
  });

  test('may load the package twice', async () => {
    const ended = run(`
      const one = new Redlock(urls);
      for (const file of Object.keys(require.cache)) delete require.cache[file];
      const Again = require('redlock-native');
      const two = new Again(urls, { retryCount: 0 });
      (async () => {
        const lock = await one.lock('a', 60_000);
        const error = await two.lock('a', 60_000).catch((error) => error);
        await lock.unlock();
        await (await two.lock('a', 60_000)).unlock();
        console.log(Again !== Redlock, error.code);
      })();
    `);
    assert.deepEqual(await outcome(ended), [0, 'true ERR_REDLOCK_HELD\n']);
  });

  test('lets go of the connections of a Redlock that was collected', async () => {
    const ended = run(
      `
      const { until } = require('./__test__/support/until');
      const { hostname, port } = new URL(urls[0]);
      const named = () => new Promise((resolve) => {
        const socket = require('node:net').connect(port, hostname, () => socket.write('CLIENT LIST\\r\\n'));
        socket.once('data', (list) => resolve(String(list).split('name=forgotten').length - 1, socket.destroy()));
      });
      async function use() {
        const redlock = new Redlock([urls[0] + '?clientName=forgotten']);
        await (await redlock.lock('a', 60_000)).unlock();
      }
      (async () => {
        await use();
        console.log(await named());
        await until(async () => { gc(); return (await named()) === 0; });
        console.log('collected');
      })();
    `,
      { flags: ['--expose-gc'] },
    );
    assert.deepEqual(await outcome(ended), [0, '1\ncollected\n']);
  });

  test('that drops a Redlock still gets what it asked it for', async () => {
    const ended = run(
      `
      function ask() { return new Redlock(urls, { retryCount: 20, retryDelay: 20 }).lock('a', 60_000); }
      (async () => {
        const first = await ask();
        const second = ask();
        gc();
        await first.unlock();
        gc();
        await (await second).unlock();
        console.log('done');
      })();
    `,
      { flags: ['--expose-gc'] },
    );
    assert.deepEqual(await outcome(ended), [0, 'done\n']);
  });

  test('has a lock’s error in the listener’s own exception', async () => {
    const ended = run(`
      const uncaught = [];
      process.on('uncaughtException', (error) => uncaught.push(error.message));
      const redlock = new Redlock(['memory://a', 'memory://b', 'redis://127.0.0.1:1'], { retryCount: 0 });
      redlock.on('clientError', () => { throw new Error('mine'); });
      (async () => {
        const locks = await Promise.all(Array.from({ length: 40 }, (_, i) => redlock.lock('a' + i, 60_000)));
        await Promise.all(locks.map((lock) => lock.unlock()));
        await redlock.quit();
        console.log(locks.length, uncaught.length, new Set(uncaught));
      })();
    `);
    assert.deepEqual(await outcome(ended), [0, "40 80 Set(1) { 'mine' }\n"]);
  });

  describe('quit()', () => {
    test('lets what is in flight end first', async () => {
      const redlock = new Redlock(servers.map(({ url }) => url));
      const [held, released] = [await redlock.lock('b', 5000), await redlock.lock('c', 5000)];
      const order = [];
      const note = (name) => (value) => {
        order.push(name);
        return value;
      };
      const pending = [
        redlock.lock('a', 60_000).then(note('lock')),
        held.extend(60_000).then(note('extend')),
        released.unlock().then(note('unlock')),
      ];
      const quitting = redlock.quit().then(note('quit'));
      assert.equal((await rejection(redlock.lock('d', 5000))).code, 'ERR_REDLOCK_CLOSED');
      assert.deepEqual(await quitting, ['OK', 'OK', 'OK']);
      assert.equal(order.at(-1), 'quit');
      assert.equal(order.length, 4);
      const [lock] = await Promise.all(pending);
      assert.ok(lock.expiration > Date.now());
      await assertValue(servers, 'a', lock.value);
    });

    test('waits for a lock that is retried', async () => {
      const redlock = new Redlock(
        servers.map(({ url }) => url),
        { retryCount: 100, retryDelay: 10, retryJitter: 0 },
      );
      const [one, two] = [await redlock.lock('a', 100), redlock.lock('a', 1000)];
      await redlock.quit();
      assert.ok((await two).expiration > one.expiration);
    });

    test('closes the connections', async () => {
      const proxy = await startProxy({ after: suite.after }, servers[0]);
      const redlock = new Redlock([proxy.url]);
      await (await redlock.lock('a', 5000)).unlock();
      assert.ok(proxy.connections > 0);
      await redlock.quit();
      await until(() => proxy.connections === 0);
    });

    test('of one Redlock leaves another with the same servers alone', async (t) => {
      const urls = servers.map(({ url }) => url);
      const [one, two] = [new Redlock(urls), new Redlock(urls)];
      t.after(() => two.quit());
      const lock = await one.lock('a', 5000);
      const other = await two.lock('b', 5000);
      await one.quit();
      await two.unlock(lock);
      await other.unlock();
    });
  });

  describe('a worker thread', () => {
    const start = (code, workerData) =>
      new Worker(
        `const { parentPort, workerData } = require('node:worker_threads');
         const Redlock = require(${JSON.stringify(require.resolve('../..'))});
         ${code}`,
        { eval: true, workerData },
      );
    const urls = () => servers.map(({ url }) => url);

    test('locks against the main thread', async (t) => {
      const redlock = new Redlock(urls(), { retryCount: 0 });
      t.after(() => redlock.quit());
      const worker = start(
        `new Redlock(workerData).lock('a', 60_000).then((lock) => parentPort.postMessage(lock.toJSON()))`,
        urls(),
      );
      const exited = new Promise((resolve) => worker.once('exit', resolve));
      const lock = await new Promise((resolve) => worker.once('message', resolve));
      assert.equal((await rejection(redlock.lock('a', 5000))).code, 'ERR_REDLOCK_HELD');
      await redlock.unlock(lock);
      await (await redlock.lock('a', 5000)).unlock();
      assert.equal(await exited, 0, 'it ends by itself');
    });

    test('that is terminated before it hears of its locks does not keep them', async () => {
      const names = Array.from({ length: 200 }, (_, i) => `worker-${i}`).sort();
      const worker = start(
        `const redlock = new Redlock(workerData.urls);
         for (const name of workerData.names) redlock.lock(name, 60_000);
         // After the requests have gone out nothing can come in.
         queueMicrotask(() => queueMicrotask(() => { for (;;); }));`,
        { urls: urls(), names },
      );
      for (const server of servers) {
        await until(async () => (await server.keys()).length === names.length, { what: 'all are locked' });
      }
      await worker.terminate();
      for (const server of servers) {
        await until(async () => (await server.keys()).length === 0, { what: 'all are released' });
      }
    });

    test('may be terminated at any moment', async (t) => {
      const redlock = new Redlock(urls(), { retryCount: 0 });
      t.after(() => redlock.quit());
      for (let i = 0; i < 10; i++) {
        const worker = start(
          `const redlock = new Redlock(workerData, { retryCount: -1, retryDelay: 1, retryJitter: 1 });
           let cycles = 0;
           async function spin(name) {
             for (;;) {
               const lock = await redlock.lock(name, 1000);
               await lock.unlock();
               cycles += 1;
               if (cycles === 20) parentPort.postMessage('busy');
             }
           }
           for (let i = 0; i < 20; i++) spin('worker-' + (i % 10));`,
          urls(),
        );
        await new Promise((resolve) => worker.once('message', resolve));
        await worker.terminate();
      }
      await (await redlock.lock('a', 5000)).unlock();
      // What a worker had been told of and not yet unlocked ends with its ttl.
      for (const server of servers) await until(async () => (await server.keys()).length === 0);
    });
  });
});

function calls(stats, command) {
  return Number(/calls=(\d+)/.exec(stats[`cmdstat_${command}`])?.[1] ?? 0);
}

async function outcome(running) {
  const { code, signal, stdout, stderr } = await running;
  if (stderr || signal) assert.fail(`${signal ?? ''} ${stderr}`);
  return [code, stdout];
}
