'use strict';

/**
 * Whatever says until when something is valid is looked at when it is handed over, each at its own turn: JavaScript
 * may have been blocked since it came (safety rule 19).
 */

const assert = require('node:assert/strict');
const { describe, before, test } = require('node:test');

const Redlock = require('../..');
const redislock = require('../../compat/redislock/redislock');
const { block } = require('../support/block');
const { namesLike, urlsOf } = require('../support/redlock');
const { FACES } = require('../support/faces');
const { rejection } = require('../support/rejection');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');
const { until } = require('../support/until');

// Long enough for a busy machine to hand over the first of them in time.
const TTL = 1000;
const BLOCKED = 1200;

const newName = namesLike('late-');

for (const [face, { load, lock: take }] of Object.entries(FACES)) {
  describe(`with the face ${face}, JavaScript being blocked past the end of`, () => {
    const suite = endOfSuite();
    let redlock;
    let servers;

    before(async () => {
      servers = await startServers(suite, 3);
      const Class = load();
      redlock = new Class(urlsOf(servers), { retryCount: 0 });
      await take(redlock, newName(), TTL);
      if (redlock.quit) suite.after(() => redlock.quit());
    });

    test('an extension, it is refused and the lock has ended', async () => {
      const lock = await take(redlock, newName(), TTL);
      const extending = lock.extend(TTL);
      process.nextTick(() => block(BLOCKED));
      const error = await rejection(Promise.resolve(extending));
      assert.equal(error.code, 'ERR_REDLOCK_EXPIRED');
      assert.equal(lock.expiration, 0);
    });

    test('one of several locks that come together, only the first is handed over', async () => {
      const names = Array.from({ length: 4 }, newName);
      let isFirst = true;
      const outcomes = await Promise.all(
        names.map((name) =>
          take(redlock, name, TTL).then(
            () => {
              if (isFirst) block(BLOCKED);
              isFirst = false;
              return 'granted';
            },
            ({ code }) => code,
          ),
        ),
      );
      assert.deepEqual(outcomes, ['granted', ...Array(3).fill('ERR_REDLOCK_TOO_SLOW')]);
      for (const server of servers) await until(async () => (await server.command('EXISTS', ...names)) === 0);
    });
  });
}

describe('with the face redislock, JavaScript being blocked past the end of', () => {
  const suite = endOfSuite();
  let server;
  let client;

  before(async () => {
    const Redis = require('ioredis');
    [server] = await startServers(suite, 1);
    client = new Redis(server.port, server.host);
    suite.after(() => client.disconnect());
    const lock = redislock.createLock(client, { timeout: TTL });
    await lock.acquire(newName());
    await lock.release();
  });

  test('an extension, it is refused and the lock is not held', async () => {
    const lock = redislock.createLock(client, { timeout: TTL });
    await lock.acquire(newName());
    const extending = lock.extend(TTL);
    process.nextTick(() => block(BLOCKED));
    const error = await rejection(Promise.resolve(extending));
    assert.equal(error.name, 'LockExtendError');
    assert.match(error.message, /had expired$/);
    assert.equal(lock._locked, false);
  });

  test('one of several locks that come together, only the first is handed over', async () => {
    const locks = Array.from({ length: 4 }, () => redislock.createLock(client, { timeout: TTL }));
    const names = locks.map(newName);
    let isFirst = true;
    const outcomes = await Promise.all(
      locks.map((lock, at) =>
        lock.acquire(names[at]).then(
          () => {
            if (isFirst) block(BLOCKED);
            isFirst = false;
            return 'granted';
          },
          ({ code }) => code,
        ),
      ),
    );
    assert.deepEqual(outcomes, ['granted', ...Array(3).fill('ERR_REDLOCK_TOO_SLOW')]);
    await until(async () => (await server.command('EXISTS', ...names)) === 0);
  });
});

describe('one of several that come together, whoever was told first having blocked JavaScript past its end', () => {
  const suite = endOfSuite();
  let servers;
  let redlock;

  before(async () => {
    servers = await startServers(suite, 3);
    redlock = new Redlock(urlsOf(servers), { retryCount: 0 });
    suite.after(() => redlock.quit());
    await (await redlock.lock(newName(), TTL)).unlock();
  });

  /** Calls one after the other, each once the one before has blocked; what came of the others is looked at. */
  async function outcomes(calls) {
    let isFirst = true;
    const first = () => {
      if (isFirst) block(BLOCKED);
      isFirst = false;
    };
    const asked = calls.map((call) => call());
    // All of them are answered by then, and none is heard of.
    process.nextTick(() => block(50));
    return Promise.allSettled(
      asked.map(async (one) => {
        const result = await one;
        first();
        return { result, at: performance.now(), remaining: result?.remaining };
      }),
    );
  }

  for (const [what, take] of [
    ['is a lock', (name) => () => redlock.lock(name, TTL)],
    ['is a lock that may be waited for', (name) => () => redlock.lock(name, TTL, { maxWait: 5000 })],
    [
      'is a lock with a signal',
      (name) => () => redlock.lock(name, TTL, { signal: new AbortController().signal }),
    ],
    ['is a lock in one attempt', (name) => () => redlock.lock(name, TTL, { tryLock: true })],
  ]) {
    test(`${what}: it is refused as too slow, and its keys go`, async () => {
      const names = Array.from({ length: 5 }, newName);
      const [first, ...others] = await outcomes(names.map(take));
      assert.equal(first.status, 'fulfilled');
      for (const other of others) {
        assert.equal(other.reason?.code, 'ERR_REDLOCK_TOO_SLOW');
        assert.match(other.reason.cause.message, /was granted, but so late/);
      }
      for (const server of servers) {
        await until(async () => (await server.command('EXISTS', ...names)) === 0);
      }
    });
  }

  test('is an extension: it is refused, and the lock has ended', async () => {
    const locks = await Promise.all(Array.from({ length: 5 }, () => redlock.lock(newName(), 5000)));
    const [first, ...others] = await outcomes(locks.map((lock) => () => lock.extend(TTL)));
    assert.equal(first.status, 'fulfilled');
    for (const [at, other] of others.entries()) {
      assert.equal(other.reason?.code, 'ERR_REDLOCK_EXPIRED');
      const lock = locks[at + 1];
      assert.deepEqual([lock.expiration, lock.held, lock.remaining()], [0, false, 0]);
    }
  });

  test('is an extension of a lock that is extended by itself: it is as good as that', async () => {
    const locks = await Promise.all(
      Array.from({ length: 3 }, () => redlock.lock(newName(), TTL, { autoExtend: true })),
    );
    const extended = await outcomes(locks.map((lock) => () => lock.extend(TTL)));
    assert.deepEqual(
      extended.map(({ status }) => status),
      Array(3).fill('fulfilled'),
    );
    for (const lock of locks) {
      assert.equal(lock.held, true);
      await lock.unlock();
    }
  });

  test('is told to a callback: it is refused too', async () => {
    let isFirst = true;
    const told = [];
    await new Promise((resolve) => {
      for (let at = 0; at < 5; at++) {
        redlock.lock(newName(), TTL, (error) => {
          told.push(error?.code);
          if (isFirst) block(BLOCKED);
          isFirst = false;
          if (told.length === 5) resolve();
        });
      }
      process.nextTick(() => block(50));
    });
    assert.deepEqual(
      told,
      [null, ...Array(4).fill('ERR_REDLOCK_TOO_SLOW')].map((code) => code ?? undefined),
    );
  });

  test('is a lock with values of _random', async (t) => {
    const own = new Redlock(urlsOf(servers), { retryCount: 3 });
    t.after(() => own.quit());
    const value = () => `value-${newName()}`;
    own._random = value;
    await (await own.lock(newName(), TTL)).unlock();
    const names = Array.from({ length: 5 }, newName);
    const [, ...others] = await outcomes(names.map((name) => () => own.lock(name, TTL)));
    for (const { reason } of others)
      assert.deepEqual([reason?.code, reason?.attempts], ['ERR_REDLOCK_TOO_SLOW', 1]);
    for (const server of servers) await until(async () => (await server.command('EXISTS', ...names)) === 0);
  });

  test('is what `inspect` found: what has ended since is not held, what remains is less', async () => {
    const short = await redlock.lock(newName(), TTL);
    const long = await redlock.lock(newName(), 10_000);
    const names = [long.resource[0], short.resource[0], long.resource[0]];
    const [, ended, left] = await outcomes(names.map((name) => () => redlock.inspect(name)));
    assert.deepEqual(
      [ended.value.result.held, ended.value.result.value, ended.value.result.remaining],
      [undefined, undefined, undefined],
    );
    for (const one of ended.value.result.instances) assert.equal(one.held, undefined);
    assert.equal(left.value.result.held, true);
    assert.ok(left.value.result.remaining <= 10_000 - BLOCKED, String(left.value.result.remaining));
  });
});
