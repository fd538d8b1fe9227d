'use strict';

/** What users of redlock 4 know: names, texts, callbacks, events, and objects that are mutated. */

const assert = require('node:assert/strict');
const { describe, before, beforeEach, test } = require('node:test');
const { setTimeout: sleep } = require('node:timers/promises');

const Redlock = require('../..');
const { assertValue } = require('../support/redlock');
const { rejection } = require('../support/rejection');
const { runScript } = require('../support/script');
const { startServers } = require('../support/servers');
const { untilSets } = require('../support/sets');
const { endOfSuite } = require('../support/suite');
const { until } = require('../support/until');

const { Lock, LockError } = Redlock;

describe('as redlock 4', () => {
  const suite = endOfSuite();
  /** @type {import('../../scripts/servers').RedisServer[]} */
  let servers;
  let redlock;

  before(async () => {
    servers = await startServers(suite, 3);
    redlock = new Redlock(urls(), { retryCount: 2, retryDelay: 15, retryJitter: 5 });
    suite.after(() => redlock.quit());
  });
  beforeEach(() => Promise.all(servers.map((server) => server.command('FLUSHALL'))));

  const urls = () => servers.map(({ url }) => url);
  const onAll = (...command) => Promise.all(servers.map((server) => server.command(...command)));

  describe('messages', () => {
    test('a resource that is held: how often it was tried', async () => {
      await redlock.lock('a', 5000);
      const error = await rejection(redlock.lock('a', 5000));
      assert.ok(error instanceof LockError && error instanceof Error);
      assert.equal(error.name, 'LockError');
      assert.equal(error.message, 'Exceeded 2 attempts to lock the resource "a".');
      assert.equal(error.attempts, 3);
    });

    test('several resources are named with commas between', async () => {
      await redlock.lock('b', 5000);
      const error = await rejection(redlock.lock(['a', 'b'], 5000));
      assert.equal(error.message, 'Exceeded 2 attempts to lock the resource "a,b".');
    });

    test('the retryCount of the call is the one that is named', async () => {
      await redlock.lock('a', 5000);
      const error = await rejection(redlock.lock('a', 5000, { retryCount: 1 }));
      assert.equal(error.message, 'Exceeded 1 attempts to lock the resource "a".');
      assert.equal(error.attempts, 2);
    });

    test('a lock that was unlocked can’t be unlocked again', async () => {
      const lock = await redlock.lock('a', 5000);
      await lock.unlock();
      const error = await rejection(lock.unlock());
      assert.ok(error instanceof LockError);
      assert.equal(error.message, 'Unable to fully release the lock on resource "a".');
      assert.equal(error.code, 'ERR_REDLOCK_NOT_HELD');
    });

    test('a lock that was unlocked can’t be extended', async () => {
      const lock = await redlock.lock('a', 5000);
      await lock.unlock();
      const error = await rejection(lock.extend(5000));
      assert.ok(error instanceof LockError);
      assert.equal(error.message, 'Cannot extend lock on resource "a" because the lock has already expired.');
      assert.equal(error.attempts, 0);
      assert.equal(error.code, 'ERR_REDLOCK_EXPIRED');
    });

    test('a lock that has expired can’t be extended, and nothing is sent', async () => {
      const before = await redlock.lock('before', 5000);
      await assertValue(servers, 'before', before.value);
      await before.unlock();
      // What the tests before have set off has come by then, too.
      await assertValue(servers, 'before', null);
      const lock = await redlock.lock('a', 50);
      await assertValue(servers, 'a', lock.value);
      await until(() => Date.now() > lock.expiration);
      await onAll('CONFIG', 'RESETSTAT');
      const error = await rejection(lock.extend(5000));
      assert.equal(error.message, 'Cannot extend lock on resource "a" because the lock has already expired.');
      assert.equal(error.attempts, 0);
      assert.equal(error.code, 'ERR_REDLOCK_EXPIRED');
      for (const server of servers)
        assert.deepEqual(Object.keys(await server.info('commandstats')).filter(isOurs), []);
    });

    test('a lock that was deleted on the servers is lost when it is extended', async () => {
      const lock = await redlock.lock('a', 5000);
      await onAll('DEL', 'a');
      const error = await rejection(lock.extend(5000));
      assert.equal(error.message, 'Exceeded 2 attempts to lock the resource "a".');
      assert.equal(error.code, 'ERR_REDLOCK_NOT_HELD');
      assert.equal(error.attempts, 1);
      assert.equal(lock.expiration, 0);
      assert.deepEqual(await onAll('EXISTS', 'a'), [0, 0, 0]);
    });

    test('a LockError of the user’s own has redlock’s text', () => {
      assert.equal(new LockError().message, 'Failed to lock the resource.');
      const error = new LockError('no', 3);
      assert.deepEqual([error.name, error.message, error.attempts], ['LockError', 'no', 3]);
    });

    test('there must be a server', () => {
      for (const none of [[], undefined]) {
        assert.throws(() => new Redlock(none), {
          name: 'Error',
          message: 'Redlock must be instantiated with at least one redis server.',
        });
      }
    });
  });

  describe('a lock', () => {
    test('is invalid from the call of unlock on, before anything was sent', async () => {
      const lock = await redlock.lock('a', 5000);
      const unlocking = lock.unlock();
      assert.equal(lock.expiration, 0);
      await unlocking;
    });

    test('says how many attempts there could have been more', async () => {
      const lock = await redlock.lock('a', 5000);
      assert.deepEqual([lock.attempts, lock.attemptsRemaining], [1, 1]);
      const other = await redlock.lock('b', 5000, { retryCount: 10 });
      assert.deepEqual([other.attempts, other.attemptsRemaining], [1, 9]);
    });

    test('keeps value and attempts when it is extended', async () => {
      const lock = await redlock.lock('a', 1000);
      const { value, attempts, attemptsRemaining } = lock;
      assert.equal(await redlock.extend(lock, 5000), lock);
      assert.deepEqual(
        [lock.value, lock.attempts, lock.attemptsRemaining],
        [value, attempts, attemptsRemaining],
      );
    });

    test('is stored under its resource’s name on every server, as plain text', async () => {
      const lock = await redlock.lock('stored', 5000);
      await assertValue(servers, 'stored', lock.value);
      for (const left of await onAll('PTTL', 'stored')) assert.ok(left > 4000 && left <= 5000);
      await lock.unlock();
      await assertValue(servers, 'stored', null);
    });

    test('that was taken back by Object.create serves for another resource', async () => {
      const lock = await redlock.lock('a', 5000);
      await onAll('SADD', 'taken', 'by something that is no lock');
      const other = Object.create(lock);
      other.resource = 'taken';
      assert.equal(other.redlock, redlock);
      const error = await rejection(other.unlock());
      assert.equal(error.message, 'Unable to fully release the lock on resource "taken".');
      assert.equal(other.expiration, 0);
      assert.ok(lock.expiration > Date.now(), 'the lock itself is untouched');

      await onAll('SET', 'b', lock.value);
      const twin = Object.create(lock, { resource: { value: ['b'], writable: true } });
      assert.equal(await twin.extend(5000), twin);
      await twin.unlock();
      await assertValue(servers, 'b', null);
      await lock.unlock();
    });

    test('can be built by hand, for a string or an array, and unlocked', async () => {
      for (const resource of ['a', ['a'], ['a', 'b']]) {
        const { value, expiration } = await redlock.lock(resource, 5000);
        const lock = new Lock(redlock, resource, value, expiration);
        assert.ok(lock instanceof Lock);
        assert.deepEqual(lock.resource, [resource].flat());
        await lock.release();
        for (const name of ['a', 'b']) await assertValue(servers, name, null);
      }
    });

    test('without a redlock is given to a redlock', async () => {
      const { value, expiration } = await redlock.lock('a', 5000);
      const lock = new Lock(undefined, 'a', value, expiration);
      assert.equal((await rejection(lock.unlock())).code, 'ERR_REDLOCK_INVALID_LOCK');
      assert.equal((await rejection(lock.extend(5000))).code, 'ERR_REDLOCK_INVALID_LOCK');
      await redlock.extend(lock, 5000);
      lock.redlock = redlock;
      await lock.unlock();
    });

    test('whose expiration was changed by hand is as valid as that says', async () => {
      const lock = await redlock.lock('a', 5000);
      lock.expiration = Date.now() - 1;
      assert.equal((await rejection(lock.extend(5000))).code, 'ERR_REDLOCK_EXPIRED');
      lock.expiration = Date.now() + 3000;
      assert.equal(await lock.extend(6000), lock);
      assert.ok(lock.expiration > Date.now() + 5000);
      await lock.unlock();
    });
  });

  test('acquire and release are lock and unlock', async () => {
    const one = await redlock.acquire('a', 5000);
    await redlock.release(one);
    const two = await redlock.acquire('a', 5000, { retryCount: 0 });
    await two.release();
  });

  describe('settings', () => {
    test('are those of redlock 4 where none are given', () => {
      const { driftFactor, retryCount, retryDelay, retryJitter } = new Redlock(['memory://settings']);
      assert.deepEqual([driftFactor, retryCount, retryDelay, retryJitter], [0.01, 10, 200, 100]);
    });

    test('are read when a method is called', async (t) => {
      const own = new Redlock(urls(), { retryCount: 5, retryDelay: 1, retryJitter: 0 });
      t.after(() => own.quit());
      await own.lock('a', 5000);
      own.retryCount = 1;
      const error = await rejection(own.lock('a', 5000));
      assert.equal(error.message, 'Exceeded 1 attempts to lock the resource "a".');
      own.retryCount = 0;
      assert.equal((await rejection(own.lock('a', 5000))).attempts, 1);
      own.driftFactor = 0.5;
      const lock = await own.lock('b', 10_000);
      assert.ok(lock.expiration <= Date.now() + 4998);
    });

    test('of unlimited retries, -1 and Infinity, are waited with until the lock is free', async (t) => {
      const own = new Redlock(urls(), { wakeups: false });
      t.after(() => own.quit());
      for (const retryCount of [-1, Infinity]) {
        const lock = await own.lock('a', 5000);
        const waiting = own.lock('a', 5000, { retryCount, retryDelay: 1, retryJitter: 0 });
        // The holder's own may come late.
        await untilSets(servers[0], 6);
        await lock.unlock();
        const next = await waiting;
        assert.ok(next.attempts > 3);
        await next.unlock();
      }
    });

    test('of a retryDelay and a retryJitter are kept to', async () => {
      await redlock.lock('a', 60_000);
      const started = performance.now();
      await rejection(redlock.lock('a', 5000, { retryCount: 4, retryDelay: 50, retryJitter: 10 }));
      const took = performance.now() - started;
      assert.ok(took >= 4 * 40, `${took} ms`);
    });
  });

  describe('callbacks', () => {
    /** Calls `call` with a callback and resolves with the callback's arguments. */
    const argumentsOf = (call) => new Promise((resolve) => call((...args) => resolve(args)));

    test('are given null and the lock', async () => {
      const [error, lock] = await argumentsOf((callback) => redlock.lock('a', 5000, callback));
      assert.equal(error, null);
      assert.ok(lock instanceof Lock);
      const extended = await argumentsOf((callback) => lock.extend(6000, callback));
      assert.deepEqual(extended, [null, lock]);
      assert.equal(extended[1], lock);
      assert.deepEqual(await argumentsOf((callback) => lock.unlock(callback)), [null]);
    });

    test('are given null and the lock where there are options too', async () => {
      const options = { retryCount: 0 };
      const [, lock] = await argumentsOf((callback) => redlock.acquire('a', 5000, options, callback));
      const extended = await argumentsOf((callback) => redlock.extend(lock, 6000, options, callback));
      assert.equal(extended[1], lock);
      assert.deepEqual(await argumentsOf((callback) => redlock.release(lock, callback)), [null]);
    });

    test('are given the error and nothing else', async () => {
      const lock = await redlock.lock('a', 5000);
      await lock.unlock();
      for (const call of [
        (callback) => lock.unlock(callback),
        (callback) => lock.extend(5000, callback),
        (callback) => redlock.lock('', 5000, callback),
        (callback) => redlock.lock('', 5000, {}, callback),
        (callback) => redlock.unlock(null, callback),
        (callback) => redlock.extend(null, 5000, callback),
      ]) {
        const args = await argumentsOf((callback) => call(callback).catch(() => {}));
        assert.equal(args.length, 1);
        assert.ok(args[0] instanceof Error);
      }
    });

    test('come with a promise of the same', async () => {
      let given;
      const lock = await redlock.lock('a', 5000, (_error, result) => {
        given = result;
      });
      await until(() => given);
      assert.equal(given, lock);
      await lock.unlock(() => {});
    });

    test('that are no functions are ignored', async () => {
      for (const callback of [null, 'callback', 1, {}]) {
        const lock = await redlock.lock('a', 5000, callback);
        await lock.extend(6000, callback);
        await lock.unlock(callback);
      }
    });

    test('are never called before the method returns', async () => {
      let returned = false;
      const called = argumentsOf((callback) =>
        redlock.lock('', 5000, () => callback(returned)).catch(() => {}),
      );
      returned = true;
      assert.deepEqual(await called, [true]);
    });

    test('make a rejection handled', async () => {
      const { code, stdout } = await runScript(`
        process.on('unhandledRejection', (error) => console.log('unhandled', error.message));
        const redlock = new (require('redlock-native'))(['memory://a'], { retryCount: 0 });
        redlock.lock('', 1, (error) => console.log('callback', error.code));
      `);
      assert.equal(stdout, 'callback ERR_REDLOCK_INVALID_RESOURCE\n');
      assert.equal(code, 0);
    });

    test('that throw make an uncaught exception, not an unhandled rejection', async () => {
      const { code, stdout } = await runScript(`
        process.on('unhandledRejection', (error) => console.log('unhandled', error.message));
        process.on('uncaughtException', (error) => console.log('uncaught', error.message));
        const redlock = new (require('redlock-native'))(['memory://a'], { retryCount: 0 });
        redlock.lock('a', 1000, (error, lock) => {
          lock.unlock(() => { throw new Error('two'); });
          throw new Error('one');
        });
      `);
      assert.equal(stdout, 'uncaught one\nuncaught two\n');
      assert.equal(code, 0);
    });
  });

  describe('clientError', () => {
    test('is emitted where all refuse a name that is no lock’s, by the look in place of a release', async (t) => {
      await onAll('SADD', 'taken', 'by something that is no lock');
      const own = new Redlock(urls(), { retryCount: 2, retryDelay: 20, retryJitter: 5 });
      t.after(() => own.quit());
      const errors = [];
      own.on('clientError', (error) => errors.push(error));
      const error = await rejection(own.lock('taken', 200));
      assert.equal(error.code, 'ERR_REDLOCK_HELD');
      assert.match(error.cause.message, /hash or a list/);
      assert.ok(errors.length >= 1);
      for (const { reply, operation } of errors) {
        assert.equal(reply, 'WRONGTYPE');
        assert.ok(['unlock', 'inspect'].includes(operation), operation);
      }
    });

    test('is emitted once for each failed command, all of them before the callback', async (t) => {
      await onAll('SADD', 'taken', 'by something that is no lock');
      // A script of the caller's may have set something though it says that it has not: all are asked to release.
      const lockScript = (text) => `${text}\n`;
      const own = new Redlock(urls(), { retryCount: 2, retryDelay: 20, retryJitter: 5, lockScript });
      t.after(() => own.quit());
      const errors = [];
      own.on('clientError', (error, instance) => errors.push([error, instance]));
      // The servers know the scripts from here on.
      await (await own.lock('free', 5000)).unlock();
      const error = await rejection(own.lock('taken', 200));
      assert.equal(errors.length, 3 * servers.length);
      await sleep(50);
      assert.equal(errors.length, 3 * servers.length);

      // The command that locks takes any key for a lock; the one that releases finds that it is none.
      assert.equal(error.code, 'ERR_REDLOCK_HELD');
      for (const [failed, instance] of errors) {
        assert.ok(failed instanceof Redlock.InstanceError);
        assert.equal(failed.operation, 'unlock');
        assert.equal(failed.reply, 'WRONGTYPE');
        assert.deepEqual(instance, { index: failed.instance, address: failed.address });
      }
      assert.deepEqual(errors.map(([failed]) => failed.instance).sort(), [0, 0, 0, 1, 1, 1, 2, 2, 2]);
    });

    test('is emitted for every instance when another resource is unlocked that is no lock', async (t) => {
      await onAll('SADD', 'taken', 'by something that is no lock');
      const emitted = [];
      const listener = (error) => emitted.push(error.operation);
      redlock.on('clientError', listener);
      t.after(() => redlock.off('clientError', listener));
      await rejection(redlock.unlock({ resource: 'taken', value: 'x', expiration: 0 }));
      // The outcome is certain with two of them.
      await until(() => emitted.length >= 3);
      assert.deepEqual(emitted, ['unlock', 'unlock', 'unlock']);
    });

    test('is not emitted for contention', async (t) => {
      const emitted = [];
      const listener = (error) => emitted.push(error);
      redlock.on('clientError', listener);
      t.after(() => redlock.off('clientError', listener));
      const lock = await redlock.lock('a', 5000);
      await rejection(redlock.lock('a', 5000));
      await lock.unlock();
      await rejection(lock.unlock());
      assert.deepEqual(emitted, []);
    });

    test('needs no listener', async () => {
      await onAll('SADD', 'taken', 'by something that is no lock');
      assert.equal((await rejection(redlock.lock('taken', 200))).attempts, 3);
    });
  });

  test('quit resolves with an array', async () => {
    const own = new Redlock(urls());
    assert.deepEqual(await own.quit(), ['OK', 'OK', 'OK']);
    const again = new Redlock(['memory://quit']);
    assert.deepEqual(await new Promise((resolve) => again.quit((...args) => resolve(args))), [null, ['OK']]);
  });
});

/** Whether a line of `INFO commandstats` tells of what we send. */
function isOurs(stat) {
  return /^cmdstat_(set|get|eval|evalsha|del|pexpire)$/.test(stat);
}
