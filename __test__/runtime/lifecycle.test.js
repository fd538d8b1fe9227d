'use strict';

/** What many ends of workers and processes, and many locks, leave behind: nothing. */

const assert = require('node:assert/strict');
const { before, describe, test } = require('node:test');
const { Worker } = require('node:worker_threads');

const Redlock = require('../..');
const { runScript } = require('../support/script');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');
const { until } = require('../support/until');

/** Short enough to wait for the end of what nobody could release any more. */
const TTL = 3000;

describe('many ends', () => {
  const suite = endOfSuite();
  /** @type {import('../../scripts/servers').RedisServer[]} */
  let servers;
  before(async () => {
    servers = await startServers(suite, 3);
  });
  const urls = () => servers.map(({ url }) => url);
  const allGone = async () => {
    for (const server of servers) {
      await until(async () => (await server.keys()).length === 0, { timeout: 20_000 });
    }
  };

  test('200 workers terminated mid-lock: no crash, no hang, no key beyond its ttl', async () => {
    const code = `
      const { parentPort, workerData } = require('node:worker_threads');
      const Redlock = require(${JSON.stringify(require.resolve('../..'))});
      const redlock = new Redlock(workerData.urls, { retryCount: -1, retryDelay: 5, retryJitter: 5 });
      async function cycle(name) {
        for (;;) {
          const lock = await redlock.lock(name, ${TTL});
          parentPort.postMessage('held');
          await lock.extend(${TTL});
          await lock.unlock();
        }
      }
      for (let i = 0; i < 5; i++) cycle('worker-' + (workerData.number - (i % 2)) + '-' + i);
    `;
    let number = 0;
    async function startAndTerminate() {
      const worker = new Worker(code, { eval: true, workerData: { urls: urls(), number: number++ } });
      const failed = new Promise((_, reject) => worker.once('error', reject));
      await Promise.race([failed, new Promise((resolve) => worker.once('message', resolve))]);
      await worker.terminate();
    }
    const lanes = Array.from({ length: 8 }, async () => {
      for (let i = 0; i < 25; i++) await startAndTerminate();
    });
    await Promise.all(lanes);
    assert.equal(number, 200);
    await allGone();
    const redlock = new Redlock(urls());
    await (await redlock.lock('worker-0-0', TTL)).unlock();
    await redlock.quit();
  });

  test('100 processes that exit mid-lock: no crash, no hang, no key beyond its ttl', async () => {
    const program = `
      const Redlock = require('redlock-native');
      const redlock = new Redlock(${JSON.stringify(urls())});
      const spin = async (name) => { for (;;) await (await redlock.lock(name, ${TTL})).unlock(); };
      redlock.lock('kept-' + process.pid, ${TTL}).then(() => {
        for (let i = 0; i < 20; i++) spin(process.pid + '-' + i);
        setTimeout(() => process.exit(7), Math.random() * 20);
      });
    `;
    const lanes = Array.from({ length: 4 }, async () => {
      for (let i = 0; i < 25; i++) {
        const { code, signal, stderr } = await runScript(program, { timeout: 20_000 });
        assert.deepEqual([code, signal, stderr], [7, null, '']);
      }
    });
    await Promise.all(lanes);
    await allGone();
  });

  test('190,000 locks: no memory is kept, nothing keeps the process', async () => {
    const program = `
      const resources = process.getActiveResourcesInfo().sort().join();
      const { getHeapStatistics } = require('node:v8');
      const Redlock = require('redlock-native');
      const redlock = new Redlock(${JSON.stringify(urls())});
      let done = 0;
      async function cycles(lane, count) {
        for (let i = 0; i < count; i++) {
          await (await redlock.lock('lane-' + lane + '-' + i, 10_000)).unlock();
          done += 1;
        }
      }
      const run = (count) => Promise.all(Array.from({ length: 20 }, (_, lane) => cycles(lane, count / 20)));
      const look = () => {
        gc();
        gc();
        const heap = getHeapStatistics();
        const rss = process.memoryUsage.rss();
        return { used: heap.used_heap_size / 1e6, others: (rss - heap.total_physical_size) / 1e6 };
      };
      (async () => {
        await run(10_000);
        const looks = [look()];
        for (let span = 0; span < 2; span++) {
          await run(90_000);
          looks.push(look());
        }
        const same = process.getActiveResourcesInfo().sort().join() === resources;
        const grown = (what) => Math.min(looks[1][what] - looks[0][what], looks[2][what] - looks[1][what]);
        console.log(JSON.stringify({ done, used: grown('used'), others: grown('others'), same }));
      })();
    `;
    // What V8 reserves for what is young, and keeps of it, is between 3 and 16 MB in this time, whoever fills it.
    const flags = ['--expose-gc', '--max-semi-space-size=1', '--single-threaded-gc'];
    const { code, stdout, stderr } = await runScript(program, { timeout: 60_000, flags });
    assert.deepEqual([code, stderr], [0, '']);
    const { done, used, others, same } = JSON.parse(stdout);
    assert.equal(done, 190_000);
    // What is kept of each lock is kept in both spans; what an allocator or a compiler takes once, in one of them.
    // 20 bytes a lock of what JavaScript uses, and 60 of what else is resident.
    assert.ok(used < 1.8, `what JavaScript uses grew by ${used} MB`);
    assert.ok(others < 5.4, `resident memory, but for JavaScript's heap, grew by ${others} MB`);
    assert.ok(same, 'a resource of ours is still active');
  });

  test('two copies of the package in one environment lock against each other and let the process end', async () => {
    const program = `
      const first = require('redlock-native');
      for (const file of Object.keys(require.cache)) delete require.cache[file];
      const second = require('redlock-native');
      const urls = ${JSON.stringify(urls())};
      (async () => {
        const one = new first(urls, { retryCount: 0 });
        const two = new second(urls, { retryCount: 0 });
        const lock = await one.lock('copies', 10_000);
        const code = await two.lock('copies', 10_000).catch((error) => error.code);
        await lock.unlock();
        await (await two.lock('copies', 10_000)).unlock();
        console.log(first !== second, code);
      })();
    `;
    const { code, stdout, stderr } = await runScript(program, { timeout: 20_000 });
    assert.deepEqual([code, stderr, stdout], [0, '', 'true ERR_REDLOCK_HELD\n']);
  });
});
