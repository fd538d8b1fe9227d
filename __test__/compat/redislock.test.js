'use strict';

// redlock-native/redislock stands in for redislock 1.3.0: docs/migration-redislock.md says what differs.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const { before, describe, test } = require('node:test');
const { inspect } = require('node:util');

const bluebird = require('bluebird');

const redislock = require('redlock-native/redislock');
const Lock = require('redlock-native/redislock/lib/lock');
const errors = require('redlock-native/redislock/lib/errors');
const { namesLike } = require('../support/redlock');
const { rejection } = require('../support/rejection');
const { runScript } = require('../support/script');
const { startServers } = require('../support/servers');
const { untilSets } = require('../support/sets');
const { endOfSuite } = require('../support/suite');
const { until } = require('../support/until');

const { LockAcquisitionError, LockReleaseError, LockExtendError } = redislock;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const freshKey = namesLike('key:');

/** By library: how a client to a place is made. */
const CLIENTS = {
  ...fromEntries(
    ['ioredis-4', 'ioredis', 'ioredis-6', 'iovalkey', 'ioredis-mock'],
    (name) =>
      ({ host, port }) => {
        return new (require(name))({ host, port });
      },
  ),
  ...fromEntries(
    ['redis-2', 'redis-3'],
    (name) =>
      ({ host, port }) =>
        require(name).createClient({ host, port }),
  ),
  ...fromEntries(['redis-4', 'redis-5', 'redis-6'], (name) => async ({ url }) => {
    const client = require(name).createClient({ url });
    client.on('error', () => {});
    await client.connect();
    return client;
  }),
  'valkey-glide': ({ host, port }) => {
    const { GlideClient } = require('@valkey/valkey-glide');
    return GlideClient.createClient({ addresses: [{ host, port }] });
  },
};

function fromEntries(list, make) {
  return Object.fromEntries(list.map((name) => [name, make(name)]));
}

function end(client) {
  return typeof client.quit === 'function' ? client.quit() : client.close();
}

describe('a lock', () => {
  const suite = endOfSuite();
  let server;
  let client;
  before(async () => {
    [server] = await startServers(suite, 1);
    client = CLIENTS.ioredis(server);
    suite.after(() => client.quit());
  });

  for (const [name, make] of Object.entries(CLIENTS)) {
    test(`is taken, kept from others, extended and released with ${name}`, async (t) => {
      let own;
      try {
        own = await make(server);
      } catch (error) {
        // It brings no binary for some systems.
        if (name !== 'valkey-glide') throw error;
        return t.skip(error.message);
      }
      t.after(() => end(own));
      const key = freshKey();
      const lock = redislock.createLock(own, { timeout: 5000 });
      const other = redislock.createLock(own);
      assert.equal(await lock.acquire(key), undefined);
      if (name !== 'ioredis-mock') assert.equal(await server.command('GET', key), lock._id);
      assert.equal((await rejection(other.acquire(key))).message, `Could not acquire lock on "${key}"`);
      assert.equal(await lock.extend(60_000), undefined);
      if (name !== 'ioredis-mock') assert.ok((await server.command('PTTL', key)) > 50_000);
      assert.equal(await lock.release(), undefined);
      assert.equal(await other.acquire(key), undefined);
      await other.release();
    });
  }

  test('has exactly the keys that redislock gives it', () => {
    const lock = redislock.createLock(client);
    const { _id: id, ...rest } = lock;
    assert.match(id, UUID);
    assert.deepEqual(Object.keys(lock), ['_id', '_locked', '_key', '_client', 'timeout', 'retries', 'delay']);
    assert.equal(rest._client, client);
    delete rest._client;
    assert.deepEqual(rest, { _locked: false, _key: null, timeout: 10_000, retries: 0, delay: 50 });
    assert.ok(lock instanceof Lock);
  });

  test('has an id that no other has', () => {
    assert.notEqual(redislock.createLock(client)._id, redislock.createLock(client)._id);
  });

  test('stores its id, with its timeout, under the key itself', async () => {
    const key = freshKey();
    const lock = redislock.createLock(client, { timeout: 4000 });
    const id = lock._id;
    await lock.acquire(key);
    assert.equal(lock._id, id);
    assert.equal(await server.command('GET', key), id);
    const left = await server.command('PTTL', key);
    assert.ok(left > 2000 && left <= 4000, `${left} ms`);
    await lock.release();
    assert.equal(await server.command('EXISTS', key), 0);
  });

  test('shows that it is held, and what', async () => {
    const key = freshKey();
    const lock = redislock.createLock(client);
    await lock.acquire(key);
    assert.deepEqual([lock._locked, lock._key], [true, key]);
    await lock.release();
    assert.deepEqual([lock._locked, lock._key], [false, null]);
  });

  test('is listed as long as it is held', async () => {
    const lock = redislock.createLock(client);
    assert.deepEqual(redislock.getAcquiredLocks(), []);
    await lock.acquire(freshKey());
    assert.deepEqual(redislock.getAcquiredLocks(), [lock]);
    assert.equal(Lock._acquiredLocks[lock._id], lock);
    await lock.release();
    assert.deepEqual(redislock.getAcquiredLocks(), []);
  });

  test('that is held can not be taken again', async () => {
    const key = freshKey();
    const lock = redislock.createLock(client);
    await lock.acquire(key);
    const error = await rejection(lock.acquire(freshKey()));
    assert.ok(error instanceof LockAcquisitionError);
    assert.equal(error.message, 'Lock already held');
    assert.equal(lock._key, key);
    await lock.release();
  });

  test('can be taken again once it was released', async () => {
    const lock = redislock.createLock(client);
    for (const key of [freshKey(), freshKey()]) {
      await lock.acquire(key);
      assert.equal(await server.command('GET', key), lock._id);
      await lock.release();
    }
  });

  test('asked for twice at once is held once, and the other request leaves no key and takes none away', async () => {
    for (const keys of [new Array(2).fill(freshKey()), [freshKey(), freshKey()]]) {
      const lock = redislock.createLock(client);
      const outcomes = await Promise.allSettled(keys.map((key) => lock.acquire(key)));
      assert.deepEqual(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
      assert.equal(await server.command('GET', lock._key), lock._id);
      const left = await Promise.all([...new Set(keys)].map((key) => server.command('EXISTS', key)));
      assert.equal(left.filter(Boolean).length, 1);
      await lock.release();
    }
  });

  test('is tried for again as often as retries says, after delay', async () => {
    const key = freshKey();
    await server.command('SET', key, 'another');
    const started = performance.now();
    const lock = redislock.createLock(client, { retries: 3, delay: 40 });
    const error = await rejection(lock.acquire(key));
    const took = performance.now() - started;
    assert.ok(error instanceof LockAcquisitionError);
    assert.equal(error.message, `Could not acquire lock on "${key}"`);
    assert.ok(took >= 3 * 40 - 3, `${took} ms`);
    assert.equal(await server.command('GET', key), 'another');
  });

  test('with -1 retries is tried for until it is free', async () => {
    const key = freshKey();
    await server.command('SET', key, 'another');
    const lock = redislock.createLock(client, { retries: -1, delay: 5 });
    const acquiring = lock.acquire(key);
    await untilSets(server, 10);
    await server.command('DEL', key);
    await acquiring;
    assert.equal(await server.command('GET', key), lock._id);
    await lock.release();
  });

  test('is found free by a retry, and keeps what it then takes', async () => {
    const key = freshKey();
    await server.command('SET', key, 'another');
    const lock = redislock.createLock(client, { retries: 500, delay: 10 });
    const acquiring = lock.acquire(key);
    await untilSets(server, 2);
    await server.command('DEL', key);
    await acquiring;
    assert.match(lock._id, UUID);
    await lock.extend(20_000);
    assert.equal(await server.command('GET', key), lock._id);
    await lock.release();
  });

  test('that was never taken can be neither released nor extended', async () => {
    const lock = redislock.createLock(client);
    const released = await rejection(lock.release());
    assert.ok(released instanceof LockReleaseError);
    assert.equal(released.message, 'Lock has not been acquired');
    const extended = await rejection(lock.extend(10));
    assert.ok(extended instanceof LockExtendError);
    assert.equal(extended.message, 'Lock has not been acquired');
  });

  test('is extended by whole numbers only, which is looked at first', async () => {
    const lock = redislock.createLock(client);
    for (const time of [undefined, 0, '10', 1.5, Number.NaN, null]) {
      const error = await rejection(lock.extend(time));
      assert.ok(error instanceof LockExtendError);
      assert.equal(error.message, 'Int time is required to extend lock');
    }
  });

  for (const method of ['release', 'extend']) {
    test(`that had expired is no longer held after ${method}, which says so`, async () => {
      const key = freshKey();
      const lock = redislock.createLock(client);
      await lock.acquire(key);
      await server.command('SET', key, 'another');
      const error = await rejection(lock[method](1000));
      assert.ok(error instanceof { release: LockReleaseError, extend: LockExtendError }[method]);
      assert.equal(error.message, `Lock on "${key}" had expired`);
      assert.deepEqual([lock._locked, lock._key], [false, null]);
      assert.deepEqual(redislock.getAcquiredLocks(), []);
      assert.equal(await server.command('GET', key), 'another');
    });
  }

  test('that its server refuses to release stays held and listed', async (t) => {
    const [guarded] = await startServers(t, 1, { users: ['default on nopass ~* +@all'] });
    const own = CLIENTS['redis-3'](guarded);
    t.after(() => end(own));
    const key = freshKey();
    const lock = redislock.createLock(own);
    await lock.acquire(key);
    await guarded.command('ACL', 'SETUSER', 'default', '-eval', '-evalsha');
    const error = await rejection(lock.release());
    assert.ok(error instanceof LockReleaseError);
    assert.match(error.message, /NOPERM/);
    assert.deepEqual([lock._locked, lock._key], [true, key]);
    assert.deepEqual(redislock.getAcquiredLocks(), [lock]);
    await guarded.command('ACL', 'SETUSER', 'default', '+@all');
    await lock.release();
    assert.deepEqual(redislock.getAcquiredLocks(), []);
  });

  test('that is granted after its timeout is refused, and its key taken away', async (t) => {
    const [slow] = await startServers(t, 1);
    const own = CLIENTS.ioredis(slow);
    t.after(() => own.quit());
    const lock = redislock.createLock(own, { timeout: 60_000 });
    await lock.acquire('warm');
    await lock.release();
    const late = redislock.createLock(own, { timeout: 1000 });
    slow.pause();
    const error = await rejection(late.acquire('late'));
    assert.ok(error instanceof LockAcquisitionError);
    assert.deepEqual([late._locked, late._key], [false, null]);
    slow.resume();
    // Long before its timeout is over.
    await until(async () => (await slow.keys()).length === 0, { timeout: 500, what: 'no key is left' });
  });

  test('whose client is closed is refused with the client’s own words', async () => {
    const own = CLIENTS.ioredis(server);
    const lock = redislock.createLock(own);
    await own.quit();
    const error = await rejection(lock.acquire(freshKey()));
    assert.ok(error instanceof LockAcquisitionError);
    assert.equal(error.message, 'Connection is closed.');
    assert.equal(error.code, 'ERR_REDLOCK_UNAVAILABLE');
    assert.match(error.cause.message, /Connection is closed\./);
  });

  test('with a timeout that Redis would refuse is refused', async () => {
    const error = await rejection(redislock.createLock(client, { timeout: 'x' }).acquire(freshKey()));
    assert.ok(error instanceof LockAcquisitionError);
    assert.match(error.message, /invalid expire time/);
  });

  test('says beside its message why it failed, where printing does not show it', async () => {
    const key = freshKey();
    await server.command('SET', key, 'another');
    const error = await rejection(redislock.createLock(client).acquire(key));
    assert.equal(error.code, 'ERR_REDLOCK_HELD');
    assert.match(error.cause.message, /is held by another/);
    assert.deepEqual(Object.keys(error), ['name', 'message']);
  });

  test('returns promises of bluebird, whose catch has filters', async () => {
    const lock = redislock.createLock(client);
    const promise = lock.release();
    assert.ok(promise instanceof bluebird);
    const caught = await promise
      .catch(LockAcquisitionError, () => assert.fail('the wrong error'))
      .catch(LockReleaseError, (error) => error.message);
    assert.equal(caught, 'Lock has not been acquired');
  });

  test('calls back with null alone, or with the error alone', async () => {
    const key = freshKey();
    const lock = redislock.createLock(client);
    const told = (method, ...args) =>
      new Promise((resolve) => lock[method](...args, (...all) => resolve(all)));
    assert.deepEqual(await told('acquire', key), [null]);
    assert.deepEqual(await told('extend', 5000), [null]);
    assert.deepEqual(await told('release'), [null]);
    const refused = await told('release');
    assert.equal(refused.length, 1);
    assert.ok(refused[0] instanceof LockReleaseError);
  });

  test('returns the promise too where there is a callback, and its rejection counts as handled', async () => {
    const { code, stderr } = await runScript(`
      const Redis = require('ioredis');
      const client = new Redis(${server.port}, '${server.host}');
      const lock = require('redlock-native/redislock').createLock(client);
      const promise = lock.release(() => client.once('ready', () => client.quit()));
      if (typeof promise.then !== 'function') process.exit(2);
    `);
    assert.equal(stderr, '');
    assert.equal(code, 0);
  });

  test('leaves the process free to end, and nothing connected, once its client has ended', async () => {
    const { code, stdout, stderr } = await runScript(`
      const Redis = require('ioredis');
      const client = new Redis(${server.port}, '${server.host}');
      const redislock = require('redlock-native/redislock');
      (async () => {
        const lock = redislock.createLock(client);
        for (let i = 0; i < 50; i++) {
          await lock.acquire('free');
          await lock.release();
        }
        await client.quit();
        console.log('ended');
      })();
    `);
    assert.equal(stderr, '');
    assert.deepEqual([code, stdout], [0, 'ended\n']);
  });

  test('leaves no connection of ours behind once its client has ended', async (t) => {
    const [own] = await startServers(t, 1);
    const ended = CLIENTS.ioredis(own);
    const lock = redislock.createLock(ended);
    const connected = async () => Number((await own.info('clients')).connected_clients);
    // Ours comes on top of the client's and the one that asks.
    await until(
      async () => {
        await lock.acquire('twice');
        await lock.release();
        return (await connected()) > 2;
      },
      { what: 'a connection of our own was made' },
    );
    await ended.quit();
    await until(async () => (await connected()) === 1, { what: 'nothing is connected' });
  });

  test('shares what it asks with all locks of its client', async (t) => {
    const [own] = await startServers(t, 1);
    const shared = CLIENTS.ioredis(own);
    t.after(() => shared.quit());
    const locks = Array.from({ length: 50 }, () => redislock.createLock(shared));
    await Promise.all(locks.map((lock, index) => lock.acquire(`shared:${index}`)));
    await Promise.all(locks.map((lock) => lock.release()));
    const { connected_clients: connected } = await own.info('clients');
    // The client's, one of ours, and those that ask from here.
    assert.ok(Number(connected) < 10, `${connected} connections`);
  });

  test('adds what redislock adds to a client with callbacks, and nothing to others', async (t) => {
    const own = CLIENTS['redis-3'](server);
    t.after(() => end(own));
    redislock.createLock(own);
    await own.setAsync('promised', 'value');
    assert.equal(await own.getAsync('promised'), 'value');
    assert.equal(typeof own.watchAsync, 'function');
    redislock.createLock(client);
    assert.equal(client.getAsync, undefined);
  });
});

describe('options', () => {
  const client = { eval: () => Promise.resolve(1) };

  test('count if they are there, whatever they say', () => {
    const lock = redislock.createLock(client, { timeout: '250', retries: 'x', delay: undefined, other: 1 });
    assert.deepEqual([lock.timeout, lock.retries, lock.delay], [250, 0, 0]);
    assert.equal(lock.other, undefined);
  });

  test('may be null or left out', () => {
    for (const options of [null, undefined]) {
      const { timeout, retries, delay } = redislock.createLock(client, options);
      assert.deepEqual({ timeout, retries, delay }, { timeout: 10_000, retries: 0, delay: 50 });
    }
  });

  test('begin with the defaults as they are when a lock is made', (t) => {
    const before = Lock._defaults;
    t.after(() => {
      Lock._defaults = before;
    });
    Lock._defaults = Object.create({ timeout: 1, retries: 2, delay: 3 });
    const { timeout, retries, delay } = redislock.createLock(client);
    assert.deepEqual([timeout, retries, delay], [1, 2, 3]);
  });

  test('have defaults that are changed in place, except by what is null, undefined or unknown', (t) => {
    const before = Lock._defaults;
    t.after(() => {
      Lock._defaults = before;
    });
    const own = { timeout: 10_000, retries: 0, delay: 50 };
    Lock._defaults = own;
    redislock.setDefaults({ timeout: '999', retries: null, delay: undefined, other: 5 });
    redislock.setDefaults();
    redislock.setDefaults(null);
    assert.equal(Lock._defaults, own);
    assert.deepEqual(own, { timeout: 999, retries: 0, delay: 50 });
  });
});

describe('the list of held locks', () => {
  test('is read when it is asked for', (t) => {
    const before = Lock._acquiredLocks;
    t.after(() => {
      Lock._acquiredLocks = before;
    });
    const lock = {};
    Lock._acquiredLocks = { id: lock };
    assert.deepEqual(redislock.getAcquiredLocks(), [lock]);
  });
});

describe('an error', () => {
  for (const name of ['LockAcquisitionError', 'LockReleaseError', 'LockExtendError']) {
    test(`${name} is made with new, without it, or by what inherits from it`, () => {
      const Type = errors[name];
      assert.equal(redislock[name], Type);
      function Own() {
        Type.call(this, 'mine');
      }
      Own.prototype = Object.create(Type.prototype);
      for (const error of [new Type('mine'), Type('mine'), new Own()]) {
        assert.ok(error instanceof Error);
        assert.ok(error instanceof Type);
        assert.deepEqual(Object.keys(error), ['name', 'message']);
        assert.equal(error.name, name);
        assert.equal(error.message, 'mine');
        assert.ok(error.stack.startsWith(`${name}: mine\n`), error.stack);
      }
      assert.equal(new Type().message, undefined);
      assert.ok(inspect(new Type('mine')).includes('mine'));
    });
  }
});

describe('the entry', () => {
  test('is the same by require and by import, under each of its paths', async () => {
    const module = await import('redlock-native/redislock');
    assert.equal(module.default, redislock);
    assert.equal(module.createLock, redislock.createLock);
    assert.equal(require('redlock-native/redislock/lib/redislock'), redislock);
    assert.equal(require('redlock-native/redislock/lib/redislock.js'), redislock);
    assert.equal(require('redlock-native/redislock/lib/lock.js'), Lock);
    assert.equal((await import('redlock-native/redislock/lib/lock')).default, Lock);
    assert.deepEqual(Object.keys(redislock).sort(), [
      'LockAcquisitionError',
      'LockExtendError',
      'LockReleaseError',
      'createLock',
      'getAcquiredLocks',
      'setDefaults',
    ]);
  });

  test('says that bluebird is missing, and how to get it', async () => {
    const { stdout } = await runScript(`
      const Module = require('node:module');
      const resolve = Module._resolveFilename;
      Module._resolveFilename = function (request, ...rest) {
        if (request === 'bluebird') throw new Error('not found');
        return resolve.call(this, request, ...rest);
      };
      try {
        require('redlock-native/redislock');
      } catch (error) {
        console.log(error.code, error.message);
      }
    `);
    assert.match(stdout, /^ERR_REDLOCK_NO_BLUEBIRD .*npm install bluebird/);
  });

  test('refuses what is no client at once', () => {
    for (const nothing of [undefined, null, {}, 'redis://localhost']) {
      assert.throws(() => redislock.createLock(nothing), {
        name: 'TypeError',
        code: 'ERR_REDLOCK_INVALID_CLIENT',
      });
    }
  });

  test('runs the examples of redislock’s README', async (t) => {
    const [server] = await startServers(t, 1);
    const client = CLIENTS['redis-3'](server);
    t.after(() => end(client));
    await once(client, 'ready');
    const lock = redislock.createLock(client, { timeout: 20_000, retries: 3, delay: 100 });
    await new Promise((resolve, reject) => {
      lock.acquire('app:feature:lock', (failure) => {
        if (failure) return reject(failure);
        lock.release((error) => (error ? reject(error) : resolve()));
      });
    });
    let caught;
    await lock
      .acquire('app:feature:lock')
      .then(() => lock.release())
      .then(() => lock.release())
      .catch(LockAcquisitionError, () => assert.fail('it was free'))
      .catch(LockReleaseError, (error) => {
        caught = error;
      });
    assert.equal(caught.message, 'Lock has not been acquired');
  });
});
