'use strict';

/**
 * Locks, arrays and options that answer differently each time, that throw, that are frozen or inherit what they
 * have: each property is read once, and nobody else's request suffers (safety rule 20).
 */

const assert = require('node:assert/strict');
const { describe, before, test } = require('node:test');

const Redlock = require('../..');
const { namesLike } = require('../support/redlock');
const { rejection } = require('../support/rejection');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');

const TTL = 60_000;

const newName = namesLike('odd-');

/** Faces whose locks are plain objects too: how each is asked. */
const FACES = {
  main: {
    open: (urls, options) => new Redlock(urls, { retryCount: 0, ...options }),
    key: 'resource',
    lock: (redlock, name) => redlock.lock(name, TTL),
    unlock: (redlock, lock) => redlock.unlock(lock),
    extend: (redlock, lock) => redlock.extend(lock, TTL),
  },
  ...Object.fromEntries(['v1', 'v2', 'v3', 'v4', 'redlock-async'].map((name) => [name, classic(name)])),
  v5: {
    open(urls) {
      const { default: Class } = require('../../compat/v5');
      return new Class(urls, { retryCount: 0 });
    },
    key: 'resources',
    lock: (redlock, name) => redlock.acquire([name], TTL),
    unlock: (redlock, lock) => redlock.release(lock),
    extend: (redlock, lock) => redlock.extend(lock, TTL),
  },
};

function classic(name) {
  return {
    open(urls) {
      const Class = require(`../../compat/${name}.js`);
      return new Class(urls, { retryCount: 0 });
    },
    key: 'resource',
    lock: (redlock, one) => redlock.lock(one, TTL),
    unlock: (redlock, lock) => redlock.unlock(lock),
    extend: (redlock, lock) => redlock.extend(lock, TTL),
  };
}

/** An object whose properties are told once as they should be and differently from then on; and how often each was read. */
function changing(properties, later) {
  const reads = {};
  const object = {};
  for (const [key, value] of Object.entries(properties)) {
    Object.defineProperty(object, key, {
      enumerable: true,
      get() {
        reads[key] = (reads[key] ?? 0) + 1;
        return reads[key] === 1 ? value : later;
      },
      set() {},
    });
  }
  return { object, reads };
}

for (const [title, face] of Object.entries(FACES)) {
  describe(`with the face ${title}`, () => {
    const suite = endOfSuite();
    let urls;
    let servers;
    let redlock;

    before(async () => {
      servers = await startServers(suite, 1);
      urls = servers.map(({ url }) => url);
      redlock = face.open(urls);
      if (redlock.quit) suite.after(() => redlock.quit());
    });

    const storedAs = (name) => servers[0].command('GET', name);

    for (const [what, later] of [
      ['a number', 12_345],
      ['a longer text', 'x'.repeat(1000)],
      ['nothing', undefined],
      ['a symbol', Symbol('odd')],
    ]) {
      for (const operation of ['unlock', 'extend']) {
        test(`a lock whose properties are ${what} from the second reading on: ${operation}`, async () => {
          const names = [newName(), newName(), newName()];
          const held = await face.lock(redlock, names[1]);
          const { object, reads } = changing(
            { [face.key]: [names[1]], value: held.value, expiration: Date.now() + TTL },
            later,
          );
          const [first, odd, last] = await Promise.allSettled([
            face.lock(redlock, names[0]),
            face[operation](redlock, object),
            face.lock(redlock, names[2]),
          ]);
          assert.deepEqual([first.status, odd.status, last.status], Array(3).fill('fulfilled'), odd.reason);
          assert.deepEqual(reads, { [face.key]: 1, value: 1, expiration: 1 });
          assert.equal(await storedAs(names[0]), first.value.value);
          assert.equal(await storedAs(names[1]), operation === 'unlock' ? null : held.value);
          assert.equal(await storedAs(names[2]), last.value.value);
        });
      }
    }

    test('an array of names whose elements change or throw later', async () => {
      for (const later of [5, 'other', undefined]) {
        const name = newName();
        const held = await face.lock(redlock, name);
        let reads = 0;
        const names = [name];
        Object.defineProperty(names, 0, {
          enumerable: true,
          get() {
            reads += 1;
            if (reads === 1) return name;
            if (later === undefined) throw new Error('no');
            return later;
          },
        });
        const other = face.lock(redlock, newName());
        await face.unlock(redlock, { [face.key]: names, value: held.value, expiration: Date.now() + TTL });
        assert.equal(reads, 1);
        assert.equal(await storedAs(name), null);
        await other;
      }
    });

    for (const key of ['value', 'expiration', face.key]) {
      test(`a lock whose ${key} throws is refused, and says so`, async () => {
        const lock = { [face.key]: ['a'], value: 'v', expiration: Date.now() + TTL };
        Object.defineProperty(lock, key, {
          get() {
            throw new Error('hunter2');
          },
        });
        const other = face.lock(redlock, newName());
        const error = await rejection(Promise.resolve(face.unlock(redlock, lock)));
        assert.equal(error.code, 'ERR_REDLOCK_INVALID_LOCK');
        assert.match(error.message, /can't be read/);
        assert.ok(!`${error.stack}${error.cause?.stack}`.includes('hunter2'));
        await other;
      });
    }

    test('a Proxy, an heir and a class with getters are locks too', async () => {
      class Kept {
        #lock;
        constructor(lock) {
          this.#lock = lock;
        }
        get [face.key]() {
          return this.#lock[face.key];
        }
        get value() {
          return this.#lock.value;
        }
        get expiration() {
          return this.#lock.expiration;
        }
      }
      for (const wrap of [
        (lock) => new Proxy(lock, {}),
        (lock) => Object.create(lock),
        (lock) => new Kept(lock),
        (lock) => new Proxy({}, { get: (_, key) => lock[key] }),
      ]) {
        const name = newName();
        const lock = wrap(await face.lock(redlock, name));
        const extended = await face.extend(redlock, lock);
        assert.equal(await storedAs(name), extended.value);
        await face.unlock(redlock, title === 'v5' ? extended : lock);
        assert.equal(await storedAs(name), null);
      }
    });

    test('a frozen lock is extended and unlocked, and not extended after that', async () => {
      const name = newName();
      const lock = Object.freeze(await face.lock(redlock, name));
      const plain = Object.freeze({ [face.key]: [name], value: lock.value, expiration: lock.expiration });
      await face.extend(redlock, plain);
      const extended = await face.extend(redlock, title === 'v5' ? plainOf(plain) : lock);
      await face.unlock(redlock, Object.freeze(extended));
      assert.equal(await storedAs(name), null);
      const error = await rejection(Promise.resolve(face.extend(redlock, extended)));
      assert.match(String(error.message), /expired/);
    });

    function plainOf(lock) {
      return Object.freeze({ ...lock });
    }
  });
}

describe('options', () => {
  const suite = endOfSuite();
  let redlock;
  before(() => {
    redlock = new Redlock(['memory://odd-options'], { retryCount: 0 });
    suite.after(() => redlock.quit());
  });

  test('of a call are read once each', async () => {
    const { object, reads } = changing(
      { retryCount: 0, maxWait: 1000, tryLock: true, autoExtend: false },
      NaN,
    );
    const lock = await redlock.lock(newName(), TTL, object);
    assert.deepEqual(reads, { retryCount: 1, maxWait: 1, tryLock: 1, autoExtend: 1 });
    await lock.unlock();
  });

  test('of a Redlock are read once each, and what they inherit counts', async (t) => {
    const { object, reads } = changing(
      { retryCount: 3, lockScript: undefined, connections: 'auto' },
      'other',
    );
    const own = new Redlock(['memory://odd-options'], Object.create(object));
    t.after(() => own.quit());
    assert.equal(own.retryCount, 3);
    assert.deepEqual(reads, { retryCount: 1, lockScript: 1, connections: 1 });
  });

  test('that throw are refused without what they throw', async () => {
    const options = {
      get maxWait() {
        throw new Error('hunter2');
      },
    };
    const error = await rejection(redlock.lock(newName(), TTL, options));
    assert.equal(error.code, 'ERR_REDLOCK_INVALID_OPTIONS');
    assert.match(error.message, /"maxWait" can't be read/);
    assert.ok(!error.stack.includes('hunter2'));
    assert.throws(
      () =>
        new Redlock([
          {
            host: 'h',
            get password() {
              throw new Error('hunter2');
            },
          },
        ]),
      ({ code, message, cause }) => {
        assert.equal(code, 'ERR_REDLOCK_INVALID_INSTANCE');
        assert.match(message, /^instances\[0\]\.password can't be read/);
        return cause === undefined;
      },
    );
  });
});

describe('a lock that was unlocked', () => {
  const suite = endOfSuite();
  let redlock;
  const lost = [];
  before(() => {
    redlock = new Redlock(['memory://odd-unlocked'], { retryCount: 0 });
    redlock.on('lost', (error) => lost.push(error));
    suite.after(() => redlock.quit());
  });

  for (const [what, end] of [
    ['by itself', async (lock) => lock.unlock()],
    ['frozen', async (lock) => Object.freeze(lock).unlock()],
    ['after it was extended', async (lock) => (await lock.extend(TTL)).unlock()],
    ['through a Proxy', async (lock) => redlock.unlock(new Proxy(lock, {}))],
  ]) {
    test(`${what} is not lost when its signal is read, and can't be kept`, async () => {
      const lock = await redlock.lock(newName(), TTL);
      await end(lock);
      assert.equal(lock.signal.aborted, false);
      assert.throws(() => lock.autoExtend(), { code: 'ERR_REDLOCK_NOT_HELD', name: 'LockError' });
      // Whoever was told would have been by now: the next answer comes behind it.
      await redlock.inspect(lock.resource[0]);
      assert.equal(lock.signal.aborted, false);
      assert.deepEqual(lost, []);
    });
  }

  test('or has expired is not extended by itself, and nobody is told', async () => {
    const { value } = await redlock.lock(newName(), TTL);
    const lock = new Redlock.Lock(redlock, newName(), value, Date.now() - 1);
    assert.throws(() => lock.autoExtend({ ttl: TTL }), { code: 'ERR_REDLOCK_EXPIRED', name: 'LockError' });
    await redlock.inspect(newName());
    assert.deepEqual(lost, []);
  });
});

describe('a Redlock whose own members throw', () => {
  /** @type {[string, (redlock: any) => void][]} */
  const ways = [
    [
      'listenerCount',
      (redlock) => {
        redlock.listenerCount = () => {
          throw new Error('no');
        };
      },
    ],
    [
      '_random',
      (redlock) => {
        Object.defineProperty(redlock, '_random', {
          get() {
            throw new Error('no');
          },
        });
      },
    ],
  ];
  for (const [what, spoil] of ways) {
    test(`as ${what}, rejects, and throws at nobody`, async () => {
      const redlock = new Redlock([`memory://odd-${what}`], { retryCount: 0 });
      const lock = await redlock.lock('held', TTL);
      spoil(redlock);
      assert.equal((await rejection(redlock.lock('a', TTL))).message, 'no');
      if (what === 'listenerCount') {
        assert.equal((await rejection(lock.unlock())).message, 'no');
        assert.ok(lock.expiration > 0, 'it counts as released');
      }
      await redlock.quit();
    });
  }
});
