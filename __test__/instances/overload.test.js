'use strict';

/** More is asked of a server that is frozen than it may be owed (safety rules 5 and 14). */

const assert = require('node:assert/strict');
const { test } = require('node:test');

const Redlock = require('../..');
const { startServers } = require('../support/servers');
const { until } = require('../support/until');

/** More than may wait for one instance. */
const MANY = 15_000;

test('a frozen server keeps no key of the locks that failed meanwhile, once it wakes', async (t) => {
  const [server] = await startServers(t, 1);
  const redlock = new Redlock([server.url], { retryCount: 0 });
  await (await redlock.lock('warm', 60_000)).unlock();
  server.pause();
  const outcomes = await Promise.allSettled(
    Array.from({ length: MANY }, (_, i) => redlock.lock(`frozen-${i}`, 60_000)),
  );
  assert.ok(outcomes.every(({ status }) => status === 'rejected'));
  server.resume();
  await until(async () => (await server.keys()).length === 0, { timeout: 20_000 });
  await (await redlock.lock('frozen-0', 60_000, { retryCount: 100 })).unlock();
  await redlock.quit();
});

test('a frozen minority keeps no key of locks that were held and unlocked meanwhile', async (t) => {
  const servers = await startServers(t, 3);
  const redlock = new Redlock(
    servers.map(({ url }) => url),
    { retryCount: 0 },
  );
  await (await redlock.lock('warm', 60_000)).unlock();
  servers[2].pause();
  const names = Array.from({ length: MANY }, (_, i) => `minority-${i}`);
  const outcomes = await Promise.allSettled(names.map((name) => redlock.lock(name, 60_000)));
  const locks = outcomes.filter(({ status }) => status === 'fulfilled').map(({ value }) => value);
  assert.ok(locks.length > 0);
  await Promise.allSettled(locks.map((lock) => lock.unlock()));
  servers[2].resume();
  for (const server of servers) {
    await until(async () => (await server.keys()).length === 0, { timeout: 20_000 });
  }
  await redlock.quit();
});
