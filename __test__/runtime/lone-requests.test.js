'use strict';

/**
 * While requests come one after the other, the JavaScript thread runs the engine itself. Whatever happens to it then, the
 * engine's own thread takes over.
 */

const assert = require('node:assert/strict');
const { before, describe, test } = require('node:test');
const { Worker } = require('node:worker_threads');

const Redlock = require('../..');
const { currentMailbox } = require('../../lib/native/mailbox');
const { block } = require('../support/block');
const { assertValue, namesLike, urlsOf } = require('../support/redlock');
const { runScript } = require('../support/script');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');
const { until } = require('../support/until');

/** Other systems have nothing that Node.js' event loop could wait for. */
const suiteOptions = {
  skip: process.platform === 'linux' ? false : 'the engine has a thread of its own always',
};

const newName = namesLike('lone ');

const hasEngine = () => currentMailbox()?.hasEngine() === true;

/** Locks and unlocks, one after the other, until this thread has the engine. */
async function takeEngine(redlock) {
  for (let cycle = 0; !hasEngine(); cycle++) {
    assert.ok(cycle < 10_000, 'this thread gets the engine');
    const lock = await redlock.lock(newName(), 30_000);
    await lock.unlock();
  }
}

/** What `takeEngine` does, in a script's own words. */
const TAKE_ENGINE = `
  const { currentMailbox } = require(${JSON.stringify(require.resolve('../../lib/native/mailbox'))});
  const takeEngine = async () => {
    for (let cycle = 0; cycle < 10_000 && !currentMailbox()?.hasEngine(); cycle++) {
      const lock = await redlock.lock('own ' + cycle, 30_000);
      await lock.unlock();
    }
    if (!currentMailbox().hasEngine()) throw new Error('it does not get the engine');
  };
`;

describe('requests one after the other', suiteOptions, () => {
  const suite = endOfSuite();
  /** @type {import('../../scripts/servers').RedisServer[]} */
  let servers;
  before(async () => {
    servers = await startServers(suite, 3);
  });

  function open(t, options) {
    const redlock = new Redlock(urlsOf(servers), options);
    t.after(() => redlock.quit());
    return redlock;
  }

  test('many at once are left to the engine, and all are granted', async (t) => {
    const redlock = open(t);
    for (let round = 0; round < 20; round++) {
      await takeEngine(redlock);
      const asked = Array.from({ length: 200 }, () => redlock.lock(newName(), 30_000));
      await new Promise(process.nextTick);
      assert.equal(hasEngine(), false);
      const locks = await Promise.all(asked);
      await Promise.all(locks.map((lock) => lock.unlock()));
    }
  });

  test('the engine is taken back from a thread that asks for nothing', async (t) => {
    const redlock = open(t);
    await takeEngine(redlock);
    await until(() => !hasEngine());
    const lock = await redlock.lock(newName(), 30_000);
    await lock.unlock();
  });

  test('a lock that this thread has taken itself is extended while it is blocked', async (t) => {
    const redlock = open(t);
    const name = newName();
    await takeEngine(redlock);
    const lock = await redlock.lock(name, 400);
    lock.autoExtend();
    block(1500);
    await assertValue(servers, name, lock.value);
    assert.ok(lock.remaining() > 0);
    await lock.unlock();
  });

  test('what was asked for comes to its end while this thread is blocked', async (t) => {
    const redlock = open(t);
    await takeEngine(redlock);
    const name = newName();
    const lock = await redlock.lock(name, 30_000);
    const unlocking = lock.unlock();
    await new Promise(process.nextTick);
    block(300);
    // The servers were told by then, though this thread has heard nothing of it.
    await assertValue(servers, name, null);
    await unlocking;
  });

  test('a server that hangs meanwhile costs neither a lock nor an unlock', async (t) => {
    const redlock = open(t);
    await takeEngine(redlock);
    servers[0].pause();
    t.after(() => servers[0].resume());
    for (let cycle = 0; cycle < 20; cycle++) {
      const lock = await redlock.lock(newName(), 30_000);
      await lock.unlock();
    }
  });

  test('where there is a second thread with locks, neither runs the engine', async (t) => {
    const redlock = open(t);
    await takeEngine(redlock);
    const worker = new Worker(
      `const { parentPort, workerData } = require('node:worker_threads');
       const Redlock = require(${JSON.stringify(require.resolve('../..'))});
       const redlock = new Redlock(workerData);
       redlock.lock('of a worker', 30_000).then((lock) => lock.unlock()).then(() => parentPort.postMessage('done'));
       parentPort.on('message', () => redlock.quit().then(() => parentPort.close()));`,
      { eval: true, workerData: urlsOf(servers) },
    );
    await new Promise((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    for (let cycle = 0; cycle < 50; cycle++) {
      const lock = await redlock.lock(newName(), 30_000);
      await lock.unlock();
      assert.equal(hasEngine(), false);
    }
    const ended = new Promise((resolve) => worker.once('exit', resolve));
    worker.postMessage('end');
    await ended;
    await takeEngine(redlock);
  });

  test('a process whose thread has the engine ends once nothing is asked for', async () => {
    const { code, stderr } = await runScript(`
      const Redlock = require('redlock-native');
      const redlock = new Redlock(${JSON.stringify(urlsOf(servers))});
      ${TAKE_ENGINE}
      takeEngine();
    `);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
  });

  test('workers that have the engine are terminated without a crash', async () => {
    const { code, stderr, stdout } = await runScript(
      `
      const { Worker } = require('node:worker_threads');
      const worker = \`
        const { parentPort } = require('node:worker_threads');
        const Redlock = require(${JSON.stringify(require.resolve('../..'))});
        const redlock = new Redlock(${JSON.stringify(urlsOf(servers))});
        ${TAKE_ENGINE}
        takeEngine().then(async () => {
          parentPort.postMessage('has it');
          for (;;) await (await redlock.lock('of a worker', 30_000)).unlock();
        });
      \`;
      (async () => {
        for (let number = 0; number < 20; number++) {
          const thread = new Worker(worker, { eval: true });
          await new Promise((resolve, reject) => thread.once('message', resolve).once('error', reject));
          await thread.terminate();
        }
        console.log('all gone');
      })();
    `,
      { timeout: 60_000 },
    );
    assert.deepEqual({ code, stderr, stdout }, { code: 0, stderr: '', stdout: 'all gone\n' });
  });

  test('whatever is a property of the global object, it is no domain and no context of a request', async () => {
    const { code, stdout, stderr } = await runScript(`
      const { AsyncLocalStorage } = require('node:async_hooks');
      const storage = new AsyncLocalStorage();
      const { create } = require('node:domain');
      globalThis.domain = 'example.org';
      const Redlock = require('redlock-native');
      const redlock = new Redlock(${JSON.stringify(urlsOf(servers))});
      ${TAKE_ENGINE}
      create().run(async () => {
        await takeEngine();
        const symbols = Object.getOwnPropertySymbols(globalThis).length;
        const lock = await redlock.lock('in a domain', 30_000);
        storage.enterWith('left behind');
        await lock.unlock();
        console.log('granted', Object.getOwnPropertySymbols(globalThis).length - symbols);
      });
    `);
    assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: 'granted 0\n', stderr: '' });
  });

  test('what a caller throws there is uncaught, as elsewhere, and the next lock is granted', async () => {
    const { code, stdout, stderr } = await runScript(`
      const Redlock = require('redlock-native');
      const redlock = new Redlock(${JSON.stringify(urlsOf(servers))});
      ${TAKE_ENGINE}
      let uncaught = 0;
      process.on('uncaughtException', (error) => { if (error.message === 'on purpose') uncaught += 1; });
      (async () => {
        await takeEngine();
        redlock.lock('thrown', 30_000, (error, lock) => {
          lock.unlock();
          throw new Error('on purpose');
        });
        await new Promise((resolve) => setTimeout(resolve, 1).unref() && setImmediate(resolve));
        while (uncaught === 0) await new Promise(setImmediate);
        const lock = await redlock.lock('after', 30_000);
        await lock.unlock();
        console.log('granted after', uncaught);
      })();
    `);
    assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: 'granted after 1\n', stderr: '' });
  });
});
