'use strict';

/** Servers that are far away or slow, and a caller's thread that is busy: deadlines follow what is measured. */

const assert = require('node:assert/strict');
const { describe, before, test } = require('node:test');

const IoRedis = require('ioredis');
const Original = require('redlock');

const Redlock = require('../..');
const { block } = require('../support/block');
const { startProxy } = require('../support/proxy');
const { urlsOf, valuesAt } = require('../support/redlock');
const { rejection } = require('../support/rejection');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');
const { until } = require('../support/until');
const { within } = require('../support/within');

/** Half of it each way. */
const ROUND_TRIP = 250;
const COUNT = 100;

describe('of three servers', () => {
  const suite = endOfSuite();
  /** @type {import('../../scripts/servers').RedisServer[]} */
  let servers;
  before(async () => {
    servers = await startServers(suite, 3);
  });

  const proxies = (t) => Promise.all(servers.map((server) => startProxy(t, server)));

  async function farAway(t) {
    const far = await proxies(t);
    for (const proxy of far) proxy.late(ROUND_TRIP);
    return far;
  }

  function clientsOf(t, places) {
    const clients = places.map(({ port }) => new IoRedis(port));
    t.after(() => {
      for (const client of clients) client.disconnect();
    });
    return clients;
  }

  describe('that are far away, or hang from the first', () => {
    for (const [what, open] of [
      ['URLs', (_t, far) => new Redlock(urlsOf(far), { retryCount: 0 })],
      ['callers’ clients', (t, far) => new Redlock(clientsOf(t, far), { retryCount: 0 })],
      [
        'callers’ clients that stay the way',
        (t, far) => new Redlock(clientsOf(t, far), { retryCount: 0, connections: 'bridge' }),
      ],
      ['redlock 4', (t, far) => new Original(clientsOf(t, far), { retryCount: 0 })],
    ]) {
      test(`${what}: at a quarter of a second to all of them, a ttl of a second is locked each time`, async (t) => {
        const redlock = open(t, await farAway(t));
        t.after(() => redlock.quit());
        // With less of it the dial alone takes what there is.
        await (await redlock.lock(`first ${what}`, 3 * 1000)).unlock();
        let locked = 0;
        for (let done = 0; done < COUNT; done += COUNT / 5) {
          const names = Array.from({ length: COUNT / 5 }, (_, at) => `${what} ${done + at}`);
          await Promise.all(
            names.map(async (name) => {
              const lock = await redlock.lock(name, 1000);
              locked += 1;
              await lock.unlock();
            }),
          );
        }
        assert.equal(locked, COUNT);
      });
    }

    test('a majority that hangs from the first is rejected within 20 s at the defaults, whatever the ttl', async (t) => {
      const hung = await proxies(t);
      for (const proxy of hung) proxy.hang();
      // One by one in JavaScript, where a function says how long to wait.
      const delays = [200, (attempt) => 190 + attempt];
      const redlocks = delays.map((retryDelay) => new Redlock(urlsOf(hung), { retryDelay }));
      t.after(() => Promise.all(redlocks.map((redlock) => redlock.quit())));
      const all = Promise.all(
        redlocks.flatMap((redlock) =>
          [1000, 10_000, 3_600_000].map((ttl) => rejection(redlock.lock(`hung ${ttl}`, ttl))),
        ),
      );
      const errors = await within(20_000, all, 'the errors');
      for (const error of errors) assert.equal(error.code, 'ERR_REDLOCK_UNAVAILABLE');
    });
  });

  test('the first lock of all waits for the dial, within its ttl', async (t) => {
    const far = await farAway(t);
    const redlock = new Redlock(urlsOf(far), { retryCount: 0 });
    t.after(() => redlock.quit());
    // To connect is not delayed here: to log in takes one round trip, to lock another.
    const lock = await redlock.lock('cold', 1000);
    assert.ok(lock.expiration > Date.now());
    await lock.unlock();
  });

  test('one that hangs delays no refusal by the others, for whatever ttl', async (t) => {
    const near = await proxies(t);
    const redlock = new Redlock(urlsOf(near), { retryCount: 0 });
    const other = new Redlock(urlsOf(servers), { retryCount: 0 });
    t.after(() => Promise.all([redlock.quit(), other.quit()]));
    await (await redlock.lock('measured', 8000)).unlock();
    const held = await other.lock('held by another', 60_000);
    // A majority has it: the rest of them may still be asked.
    await until(async () => (await valuesAt(servers, 'held by another')).every(Boolean));
    near[0].hang();
    const error = await rejection(redlock.lock('held by another', 8000));
    assert.equal(error.code, 'ERR_REDLOCK_HELD');
    const [silent] = error.votes;
    assert.match(silent.error.message, /no answer within 800 ms/);
    assert.match(silent.error.message, /the option deadlineFloor allows for more/);
    await held.unlock();
  });

  test('one that hangs from the first delays no refusal either, where the others differ', async (t) => {
    const near = await proxies(t);
    near[2].hang();
    await servers[1].command('SET', 'split', 'another', 'PX', 60_000);
    const redlock = new Redlock(urlsOf(near), { retryCount: 0 });
    t.after(() => redlock.quit());
    const error = await rejection(redlock.lock('split', 8000));
    assert.equal(error.code, 'ERR_REDLOCK_UNAVAILABLE');
    assert.match(error.votes[2].error.message, /no answer within 800 ms/);
  });

  test('two that freeze once they were measured are waited for once, for one deadline', async (t) => {
    const near = await proxies(t);
    const redlock = new Redlock(urlsOf(near), { retryCount: 0 });
    t.after(() => redlock.quit());
    // Refused by the third: a lock that is granted was granted by the two that are to freeze.
    await servers[2].command('SET', 'measured', 'another', 'PX', 60_000);
    await (await redlock.lock('measured', 1000)).unlock();
    near[0].hang();
    near[1].hang();
    const error = await rejection(redlock.lock('frozen', 2000));
    assert.equal(error.code, 'ERR_REDLOCK_UNAVAILABLE');
    const waited = error.votes.map((vote) => /no answer within (\d+) ms/.exec(vote.error?.message)?.[1]);
    assert.deepEqual(waited.filter(Boolean), ['200', '200']);
  });
});

describe('while this thread is busy', () => {
  const suite = endOfSuite();
  let server;
  before(async () => {
    [server] = await startServers(suite, 1);
  });

  function clientOf(t) {
    const client = new IoRedis(server.port);
    t.after(() => client.disconnect());
    return client;
  }

  for (const [what, Class] of [
    ['ours', Redlock],
    ['redlock 4', Original],
  ]) {
    for (const warm of [false, true]) {
      test(`${what}: a lock through a client that ${warm ? 'is connected' : 'is being connected'} is had all the same`, async (t) => {
        const client = clientOf(t);
        if (warm) await client.ping();
        const options = what === 'ours' ? { connections: 'bridge' } : {};
        const redlock = new Class([client], { retryCount: 0, ...options });
        if (warm) await (await redlock.lock(`warm ${what}`, 1000)).unlock();
        for (let round = 0; round < 5; round++) {
          const lock = redlock.lock(`busy ${what} ${warm} ${round}`, 1000);
          setImmediate(block, 150);
          await (await lock).unlock();
        }
      });
    }

    test(`${what}: a burst at the start, before the client is connected, is had whole`, async (t) => {
      const options = what === 'ours' ? { connections: 'bridge' } : {};
      const redlock = new Class([clientOf(t)], { retryCount: 0, ...options });
      const names = Array.from({ length: 2000 }, (_, at) => `burst ${what} ${at}`);
      const locks = await Promise.all(names.map((name) => redlock.lock(name, 5000)));
      assert.equal(locks.length, names.length);
    });
  }
});
