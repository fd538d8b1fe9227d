'use strict';

/**
 * A Redlock or a Lock behind a Proxy, a child or a copy of one, as dependency injection, request-scoped containers and
 * reactive stores make them. Each face beside its original; and none of these lets a lock be believed in beyond what
 * the lock itself allows.
 */

const assert = require('node:assert/strict');
const { describe, before, test } = require('node:test');
const { inspect } = require('node:util');

const { FACES } = require('../support/faces');
const { rejection } = require('../support/rejection');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');
const { until } = require('../support/until');

const TTL = 20_000;

/** A Proxy that wraps all objects that are read through it, and binds what can be called, as reactive stores do. */
function reactive(target) {
  return new Proxy(target, {
    get(object, key, receiver) {
      const value = Reflect.get(object, key, receiver);
      return typeof value === 'object' && value !== null && typeof key === 'symbol' ? reactive(value) : value;
    },
  });
}

/** A Proxy that leads to whatever there is, as nestjs-cls has them. */
const leading = (target) =>
  new Proxy(
    {},
    {
      get(_, key) {
        const value = target[key];
        return typeof value === 'function' ? value.bind(target) : value;
      },
      set: (_, key, value) => Reflect.set(target, key, value),
      has: (_, key) => key in target,
      getPrototypeOf: () => Object.getPrototypeOf(target),
    },
  );

const WRAPS = {
  itself: (object) => object,
  'a Proxy': (object) => new Proxy(object, {}),
  'a Proxy of a Proxy': (object) => new Proxy(new Proxy(object, {}), {}),
  'a Proxy that wraps what is read': reactive,
  'a Proxy that leads to it': leading,
  'what Object.create makes of it': (object) => Object.create(object),
  'a child of a Proxy': (object) => Object.create(new Proxy(object, {})),
  'a copy with its prototype': (object) =>
    Object.assign(Object.create(Object.getPrototypeOf(object)), object),
  'a copy by its descriptors': (object) =>
    Object.create(Object.getPrototypeOf(object), Object.getOwnPropertyDescriptors(object)),
};

const suite = endOfSuite();
let client;
before(async () => {
  const [server] = await startServers(suite, 1);
  const Redis = require('ioredis');
  client = new Redis(server.port, server.host);
  suite.after(() => client.quit());
});

let count = 0;

for (const [face, { load, original, isFive, release }] of Object.entries(FACES)) {
  describe(face, () => {
    const fresh = () => {
      count += 1;
      return isFive ? [`r${count}`] : `r${count}`;
    };
    const make = (Class) => {
      const redlock = new Class([client], { retryCount: 0 });
      redlock.on('error', () => {});
      return redlock;
    };
    const both = [
      ['ours', load],
      ['the original', original],
    ].filter(([, find]) => find);

    for (const [what, wrap] of Object.entries(WRAPS)) {
      for (const [whose, find] of both) {
        test(`a Redlock, ${what}, locks, extends and unlocks: ${whose}`, async () => {
          const redlock = wrap(make(find()));
          const resource = fresh();
          const lock = await redlock.acquire(resource, TTL);
          await rejection(redlock.acquire(resource, TTL));
          const extended = await redlock.extend(lock, TTL);
          await (isFive ? redlock.release(extended) : redlock.unlock(extended));
          await release(await redlock.acquire(resource, TTL));
        });

        test(`a Lock, ${what}, is extended and unlocked: ${whose}`, async () => {
          const redlock = make(find());
          const resource = fresh();
          const lock = wrap(await redlock.acquire(resource, TTL));
          const extended = await lock.extend(TTL);
          await release(extended);
          await release(await redlock.acquire(resource, TTL));
        });
      }

      // A plain copy knows nothing of what happened to the lock, in the originals either; the servers do.
      const isCopy = what.startsWith('a copy');
      test(`a Lock, ${what}, that is released is released for whoever has it`, async () => {
        const redlock = make(load());
        const lock = await redlock.acquire(fresh(), TTL);
        const wrapped = wrap(lock);
        await release(wrapped);
        if (!isCopy) assert.equal(lock.expiration, 0);
        await rejection(lock.extend(TTL));
        await rejection(wrapped.extend(TTL));
        if (face === 'the main class') {
          assert.equal(wrapped.held, false);
          if (!isCopy) assert.equal(lock.held, false);
        }
      });

      test(`a Lock whose holder has released it is not to be had from ${what}`, async () => {
        const redlock = make(load());
        const lock = await redlock.acquire(fresh(), TTL);
        const wrapped = wrap(lock);
        await release(lock);
        await rejection(wrapped.extend(TTL));
        if (face === 'the main class' && !isCopy) assert.equal(wrapped.held, false);
      });
    }

    test('nothing of it shows: keys, JSON, inspect', async () => {
      const redlock = make(load());
      const lock = await redlock.acquire(fresh(), TTL);
      for (const object of [lock, redlock]) {
        assert.deepEqual(
          Object.getOwnPropertySymbols(object).filter(
            (symbol) =>
              Object.prototype.propertyIsEnumerable.call(object, symbol) &&
              /term|locker/.test(String(symbol)),
          ),
          [],
        );
        assert.doesNotMatch(inspect(object, { depth: 0 }), /Symbol\((term|locker)\)/);
        for (const key in object) assert.equal(typeof key, 'string');
      }
      assert.equal(Object.getPrototypeOf(redlock).constructor, load());
      assert.ok(redlock instanceof load());
      assert.equal(lock.constructor.name, 'Lock');
      await release(lock);
    });

    test('a method that has lost its Redlock says so', async () => {
      const { [isFive ? 'acquire' : 'lock']: acquire } = make(load());
      const what = () => acquire.call(undefined, fresh(), TTL);
      await assert.rejects(async () => what(), /this is no Redlock/);
    });
  });
}

describe('the main class', () => {
  const open = (t, more = {}) => {
    const Redlock = require('../..');
    const redlock = new Redlock(['memory://wrapped'], { retryCount: 0, ...more });
    t.after(() => redlock.quit());
    return redlock;
  };

  test('what Object.create makes of a Redlock has settings of its own, as in redlock 4', async (t) => {
    const redlock = open(t, { retryCount: 3, retryDelay: 1, retryJitter: 0 });
    const lock = await redlock.lock('a', TTL);
    const child = Object.create(redlock, { retryCount: { value: 1, writable: true } });
    assert.equal((await rejection(child.lock('a', TTL))).attempts, 2);
    assert.equal((await rejection(redlock.lock('a', TTL))).attempts, 4);
    await lock.unlock();
  });

  test('a lock with another resource or value than was granted is as one from elsewhere', async (t) => {
    const redlock = open(t);
    const lock = await redlock.lock('b', TTL);
    const renamed = Object.create(lock, { resource: { value: ['c'], writable: true, enumerable: true } });
    assert.equal((await rejection(renamed.unlock())).code, 'ERR_REDLOCK_NOT_HELD');
    assert.equal(lock.held, true, 'which does not end the lock');
    const revalued = new Proxy(lock, {
      get: (target, key) => (key === 'value' ? 'other' : Reflect.get(target, key)),
    });
    assert.equal((await rejection(redlock.unlock(revalued))).code, 'ERR_REDLOCK_NOT_HELD');
    // Its expiration decides whether it is asked for at all.
    const past = Object.assign(Object.create(Object.getPrototypeOf(lock)), lock, {
      expiration: Date.now() - 1,
    });
    assert.equal((await rejection(past.extend(TTL))).code, 'ERR_REDLOCK_EXPIRED');
    await redlock.unlock(await redlock.lock('d', TTL));
  });

  test('what inherits from a lock and has an end of its own is held no longer than that', async (t) => {
    const redlock = open(t);
    const lock = await redlock.lock('e', TTL);
    const child = Object.create(lock);
    child.expiration = Date.now() - 1;
    assert.equal(child.held, false);
    assert.equal(lock.held, true);
    child.expiration = Date.now() + 5000;
    assert.ok(child.remaining() <= 5000 && lock.remaining() > 5000);
    await lock.unlock();
    assert.equal(child.held, false, 'once the lock was released, it is not held either');
    assert.equal((await rejection(child.extend(TTL))).code, 'ERR_REDLOCK_EXPIRED');
  });

  test('an extension through a Proxy or a child is known to the lock', async (t) => {
    const redlock = open(t);
    for (const wrap of [(lock) => new Proxy(lock, {}), (lock) => Object.create(lock)]) {
      const lock = await redlock.lock('f', 2000);
      await wrap(lock).extend(TTL);
      assert.ok(lock.remaining() > 10_000);
      assert.ok(lock.expiration > Date.now() + 10_000);
      await lock.unlock();
    }
  });

  test('a lock that is kept through a Proxy is kept after that is gone', async (t) => {
    const redlock = open(t);
    const lock = await redlock.lock('g', 1000);
    const { expiration } = lock;
    new Proxy(lock, {}).autoExtend();
    Object.create(lock).autoExtend();
    await until(() => lock.expiration > expiration + 1000);
    assert.equal(lock.held, true);
    await lock.unlock();
  });

  test('a frozen lock is extended and unlocked, and so is what stands for one', async (t) => {
    const redlock = open(t);
    for (const wrap of Object.values(WRAPS)) {
      const lock = wrap(Object.freeze(await redlock.lock('h', TTL)));
      await redlock.extend(lock, TTL);
      await redlock.unlock(lock);
    }
  });

  test('a lock of another copy of the module is as one from elsewhere', async (t) => {
    const redlock = open(t);
    const lock = await redlock.lock('i', TTL);
    const file = require.resolve('../../lib/lock-state.js');
    const kept = require.cache[file];
    delete require.cache[file];
    const other = require('../../lib/lock-state.js');
    require.cache[file] = kept;
    assert.equal(other.ownStateOf(lock), undefined);
    await lock.unlock();
  });
});
