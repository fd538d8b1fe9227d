'use strict';

/** What a lock is, whatever it is kept in. */

const assert = require('node:assert/strict');
const { describe, before, test } = require('node:test');
const { setTimeout: sleep } = require('node:timers/promises');

const Redlock = require('../..');
const { rejection } = require('../support/rejection');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');

let count = 0;
const unique = (word) => `${word}-${process.pid}-${count++}`;

const HOMES = [
  ['one memory instance', memory(1)],
  ['three memory instances', memory(3)],
  ['one server', servers(1)],
  ['three servers', servers(3)],
  ['five servers', servers(5)],
];

function memory(size) {
  return async () => Array.from({ length: size }, () => `memory://${unique('lock')}`);
}

function servers(size) {
  return async (t) => (await startServers(t, size)).map(({ url }) => url);
}

test('a lock looks once whether anybody listens to clientError, and so does its unlocking', async (t) => {
  let looks = 0;
  class Watched extends Redlock {
    listenerCount(event) {
      if (event === 'clientError') looks += 1;
      return super.listenerCount(event);
    }
  }
  const redlock = new Watched([`memory://${unique('lock')}`]);
  t.after(() => redlock.quit());
  const lock = await redlock.lock(unique('invoice'), 1000);
  assert.equal(looks, 1);
  await lock.unlock();
  assert.equal(looks, 2);
});

for (const [name, open] of HOMES) {
  describe(`on ${name}`, () => {
    const suite = endOfSuite();
    let instances;
    let redlock;

    before(async () => {
      instances = await open(suite);
      redlock = new Redlock(instances, { retryCount: 0 });
      suite.after(() => redlock.quit());
    });

    test('a lock says what it is for, until when, and what it took', async () => {
      const resource = unique('invoice');
      const earliest = Date.now();
      const lock = await redlock.lock(resource, 1000);
      assert.ok(lock instanceof Redlock.Lock);
      assert.deepEqual(Object.keys(lock), [
        'resource',
        'value',
        'expiration',
        'attempts',
        'attemptsRemaining',
      ]);
      assert.deepEqual(lock.resource, [resource]);
      assert.match(lock.value, /^[0-9a-f]{32}$/);
      assert.equal(lock.attempts, 1);
      assert.equal(lock.attemptsRemaining, -1);
      assert.ok(Number.isInteger(lock.expiration));
      // ttl − drift from some moment between the call and now; rounded down, so 1 ms earlier.
      assert.ok(lock.expiration >= earliest + 988 - 1);
      assert.ok(lock.expiration <= Date.now() + 988);
      await lock.unlock();
    });

    test('a value is never used twice', async () => {
      const values = new Set();
      for (let i = 0; i < 20; i++) {
        const lock = await redlock.lock(unique('value'), 1000);
        values.add(lock.value);
        await lock.unlock();
      }
      assert.equal(values.size, 20);
    });

    test('nobody else gets a lock until it is unlocked', async () => {
      const resource = unique('invoice');
      const other = new Redlock(instances, { retryCount: 0 });
      const lock = await redlock.lock(resource, 5000);
      for (const contender of [redlock, other]) {
        const { code } = await rejection(contender.lock(resource, 5000));
        assert.equal(code, 'ERR_REDLOCK_HELD');
      }
      await lock.unlock();
      const next = await other.lock(resource, 5000);
      await next.unlock();
      await other.quit();
    });

    test('whoever retries gets the lock once it is unlocked', async () => {
      const resource = unique('invoice');
      const lock = await redlock.lock(resource, 5000);
      let isGranted = false;
      const waiting = redlock.lock(resource, 5000, { retryCount: -1, retryDelay: 10, retryJitter: 5 });
      const granted = waiting.then(() => {
        isGranted = true;
      });
      // Who asks later has been refused.
      await rejection(redlock.lock(resource, 5000));
      assert.ok(!isGranted);
      await lock.unlock();
      const next = await waiting;
      await granted;
      assert.notEqual(next.value, lock.value);
      await next.unlock();
    });

    test('a lock that nobody unlocks ends with its ttl', async () => {
      const resource = unique('invoice');
      const lock = await redlock.lock(resource, 200);
      const next = await redlock.lock(resource, 1000, { retryCount: 100, retryDelay: 20, retryJitter: 0 });
      assert.ok(Date.now() >= lock.expiration);
      const { code } = await rejection(lock.unlock());
      assert.equal(code, 'ERR_REDLOCK_NOT_HELD');
      assert.equal(
        (await rejection(redlock.lock(resource, 1000))).code,
        'ERR_REDLOCK_HELD',
        'the new lock survives the old one’s unlock',
      );
      await next.unlock();
    });

    test('an extension keeps a lock beyond its ttl, in the same object', async () => {
      const resource = unique('invoice');
      const lock = await redlock.lock(resource, 300);
      const { value, expiration } = lock;
      assert.equal(await lock.extend(5000), lock);
      assert.equal(lock.value, value);
      assert.ok(lock.expiration > expiration + 4000);
      assert.ok(lock.expiration <= Date.now() + 5000 - 52);
      await sleep(expiration + 20 - Date.now());
      assert.equal((await rejection(redlock.lock(resource, 300))).code, 'ERR_REDLOCK_HELD');
      await lock.unlock();
    });

    test('several resources are locked together or not at all', async () => {
      const [a, b, c] = [unique('a'), unique('b'), unique('c')];
      const both = await redlock.lock([a, b], 5000);
      assert.deepEqual(both.resource, [a, b]);
      assert.equal((await rejection(redlock.lock([c, b], 5000))).code, 'ERR_REDLOCK_HELD');
      const free = await redlock.lock(c, 5000);
      await free.unlock();
      assert.equal(await both.extend(6000), both);
      await both.unlock();
      const next = await redlock.lock([c, b, a], 5000);
      await next.unlock();
    });

    test('a name may be anything a string can be', async () => {
      const names = [' ', '\0', 'ä€😀', '{a}:b\r\n', '"', '__proto__', 'x'.repeat(100_000)].map(
        (name) => unique('name') + name,
      );
      const all = await Promise.all(names.map((name) => redlock.lock(name, 5000)));
      for (const name of names) assert.equal((await rejection(redlock.lock(name, 5000))).attempts, 1);
      await Promise.all(all.map((lock) => lock.unlock()));
      const together = await redlock.lock(names, 5000);
      await together.unlock();
    });

    test('names are not run together', async () => {
      const id = unique('');
      const locks = await Promise.all([
        redlock.lock([`${id}ab`, `${id}c`], 5000),
        redlock.lock([`${id}a`, `${id}bc`], 5000),
      ]);
      await Promise.all(locks.map((lock) => lock.unlock()));
    });

    test('a lock rebuilt from stored values can be extended and unlocked', async () => {
      const resource = unique('invoice');
      const lock = await redlock.lock(resource, 5000);
      const stored = JSON.parse(JSON.stringify(lock));
      assert.deepEqual(stored, { ...lock, ttl: 5000 });

      const elsewhere = new Redlock(instances, { retryCount: 0 });
      assert.equal(await elsewhere.extend(stored, 6000), stored);
      assert.ok(stored.expiration > lock.expiration);
      const { value, expiration } = stored;
      const rebuilt = new Redlock.Lock(elsewhere, resource, value, expiration);
      await rebuilt.unlock();
      assert.equal(rebuilt.expiration, 0);
      assert.equal((await rejection(elsewhere.unlock(stored))).code, 'ERR_REDLOCK_NOT_HELD');
      await elsewhere.quit();
    });

    test('of many contenders one at a time holds the lock, and each gets it', async () => {
      const resource = unique('counter');
      const retrying = new Redlock(instances, { retryCount: -1, retryDelay: 5, retryJitter: 5 });
      let holders = 0;
      let counter = 0;
      async function increment() {
        const lock = await retrying.lock(resource, 10_000);
        holders += 1;
        assert.equal(holders, 1);
        const seen = counter;
        await sleep(1);
        counter = seen + 1;
        holders -= 1;
        await lock.unlock();
      }
      await Promise.all(Array.from({ length: 30 }, increment));
      assert.equal(counter, 30);
      await retrying.quit();
    });

    test('thousands of locks asked for at once are all answered, each with its own', async () => {
      const names = Array.from({ length: 5000 }, () => unique('many'));
      const locks = await Promise.all(names.map((name) => redlock.lock(name, 30_000, { retryCount: 3 })));
      assert.deepEqual(
        locks.flatMap(({ resource }) => resource),
        names,
      );
      assert.equal(new Set(locks.map(({ value }) => value)).size, names.length);
      await Promise.all(locks.map((lock) => lock.unlock()));
    });
  });
}
