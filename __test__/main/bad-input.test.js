'use strict';

/** What can't be meant is refused with an error that says so, and no command is sent. */

const assert = require('node:assert/strict');
const { describe, before, beforeEach, test } = require('node:test');

const Redlock = require('../..');
const { rejection } = require('../support/rejection');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');

const TTL = 5000;
const LOCK = { resource: 'a', value: 'some value', expiration: Date.now() + 60_000 };

/** What is passed, what the error says, its code, its type. */
const RESOURCES = [
  [undefined, /^resource must be a string or an array of strings, not undefined$/, TypeError],
  [null, /not null$/, TypeError],
  [42, /not 42$/, TypeError],
  [true, /not true$/, TypeError],
  [Symbol('a'), /not Symbol\(a\)$/, TypeError],
  [{ name: 'a' }, /not an object$/, TypeError],
  [() => 'a', /not a function$/, TypeError],
  [Buffer.from('a'), /not an object$/, TypeError],
  [new Set(['a']), /not an object$/, TypeError],
  ['', /^resource must not be an empty string$/, RangeError],
  [[], /^resource must not be an empty array$/, RangeError],
  [['a', ''], /^resource\[1\] must not be an empty string$/, RangeError],
  [['a', 1], /^resource\[1\] must be a string, not 1$/, TypeError],
  [['a', ['b']], /^resource\[1\] must be a string, not an array$/, TypeError],
  [new Array(2), /^resource\[0\] must be a string, not undefined$/, TypeError],
  [['a', 'b', 'a'], /^resource names "a" twice$/, RangeError],
  [['\ud800', '\ud801'], /twice$/, RangeError],
];

const TTLS = [
  [undefined, /^ttl must be a number of milliseconds, not undefined$/, TypeError],
  [null, /not null$/, TypeError],
  ['1000', /not "1000"$/, TypeError],
  [1000n, /not 1000n$/, TypeError],
  [new Date(), /not an object$/, TypeError],
  [() => {}, /not a function$/, TypeError],
  [NaN, /whole number of milliseconds, at least 1, not NaN$/, RangeError],
  [Infinity, /not Infinity$/, RangeError],
  [-Infinity, /not -Infinity$/, RangeError],
  [0, /not 0$/, RangeError],
  [-1, /not -1$/, RangeError],
  [1000.5, /not 1000.5$/, RangeError],
  [1, /^a ttl of 1 ms leaves no time to hold the lock: 2 ms of it/, RangeError],
  [2, /^a ttl of 2 ms leaves no time to hold the lock: 2 ms of it/, RangeError],
  [8.64e15, /^a ttl of 8640000000000000 ms ends beyond the last valid Date$/, RangeError],
  [Number.MAX_SAFE_INTEGER, /beyond the last valid Date$/, RangeError],
  [Number.MAX_VALUE, /beyond the last valid Date$/, RangeError],
];

const LOCKS = [
  [undefined, /^lock must be a Lock, not undefined$/],
  [null, /not null$/],
  ['a', /not "a"$/],
  [1, /not 1$/],
  [[], /not an empty array$/],
  [() => {}, /not a function$/],
  [Promise.resolve(LOCK), /not a promise \(await it first\)$/],
  [{}, /its value must be a non-empty string, not undefined$/],
  [{ ...LOCK, value: 1 }, /its value must be a non-empty string, not 1$/],
  [{ ...LOCK, value: '' }, /its value must be a non-empty string, not ""$/],
  [{ ...LOCK, value: null }, /its value must be a non-empty string, not null$/],
  [{ ...LOCK, expiration: undefined }, /its expiration must be a number, not undefined$/],
  [{ ...LOCK, expiration: NaN }, /its expiration must be a number, not NaN$/],
  [{ ...LOCK, expiration: '1' }, /its expiration must be a number, not "1"$/],
  [{ ...LOCK, expiration: new Date() }, /its expiration must be a number, not an object$/],
  [{ ...LOCK, resource: undefined }, /its resource must be a string or an array of strings, not undefined$/],
  [{ ...LOCK, resource: '' }, /its resource must not be an empty string$/],
  [{ ...LOCK, resource: [] }, /its resource must not be an empty array$/],
  [{ ...LOCK, resource: ['a', 'a'] }, /its resource names "a" twice$/],
  [{ ...LOCK, resource: [1] }, /its resource\[0\] must be a string, not 1$/],
];

const CASES = [
  ...RESOURCES.map(([resource, message, type]) => ({
    what: `lock(${describeValue(resource)}, ttl)`,
    call: (redlock) => redlock.lock(resource, TTL),
    code: 'ERR_REDLOCK_INVALID_RESOURCE',
    message,
    type,
  })),
  ...TTLS.flatMap(([ttl, message, type]) => [
    {
      what: `lock("a", ${describeValue(ttl)})`,
      call: (redlock) => redlock.lock('a', ttl),
      code: 'ERR_REDLOCK_INVALID_TTL',
      message,
      type,
    },
    {
      what: `extend(lock, ${describeValue(ttl)})`,
      call: (redlock) => redlock.extend({ ...LOCK }, ttl),
      code: 'ERR_REDLOCK_INVALID_TTL',
      message,
      type,
    },
  ]),
  ...LOCKS.flatMap(([lock, message]) => [
    {
      what: `unlock(${describeValue(lock)})`,
      call: (redlock) => redlock.unlock(lock),
      code: 'ERR_REDLOCK_INVALID_LOCK',
      message,
      type: TypeError,
    },
    {
      what: `extend(${describeValue(lock)}, ttl)`,
      call: (redlock) => redlock.extend(lock, TTL),
      code: 'ERR_REDLOCK_INVALID_LOCK',
      message,
      type: TypeError,
    },
  ]),
  {
    what: 'options after the routine of using',
    call: (redlock) => redlock.using('a', TTL, () => assert.fail('it ran'), { maxWait: 10 }),
    code: 'ERR_REDLOCK_INVALID_OPTIONS',
    message: /^options come before the routine: using\(resource, ttl, options, routine\)$/,
    type: TypeError,
  },
  {
    what: 'using without a ttl',
    call: (redlock) => redlock.using('a', () => assert.fail('it ran')),
    code: 'ERR_REDLOCK_INVALID_TTL',
    message: /^the ttl is missing: using\(resource, ttl, routine\)/,
    type: TypeError,
  },
  {
    what: 'a ttl that a driftFactor of 1 leaves nothing of',
    call: (redlock) => redlock.lock('a', TTL, { driftFactor: 1 }),
    code: 'ERR_REDLOCK_INVALID_TTL',
    message: /^a ttl of 5000 ms leaves no time to hold the lock: 5002 ms of it/,
    type: RangeError,
  },
  {
    what: 'a ttl below 0, of which a driftFactor above 1 makes more than 0',
    call: (redlock) => redlock.lock('a', -TTL, { driftFactor: 2 }),
    code: 'ERR_REDLOCK_INVALID_TTL',
    message: /^ttl must be a whole number of milliseconds, at least 1, not -5000$/,
    type: RangeError,
  },
];

describe('refused, with nothing sent', () => {
  const suite = endOfSuite();
  let server;
  let redlock;
  let closed;

  before(async () => {
    [server] = await startServers(suite, 1);
    redlock = new Redlock([server.url]);
    closed = new Redlock([server.url]);
    // Both are connected, so that what they do send is seen.
    await (await redlock.lock('warm', TTL)).unlock();
    await (await closed.lock('warm', TTL)).unlock();
    await closed.quit();
    suite.after(() => redlock.quit());
  });
  beforeEach(() => server.command('CONFIG', 'RESETSTAT'));

  const assertNothingSent = async () => {
    const stats = Object.keys(await server.info('commandstats'));
    assert.deepEqual(
      stats.filter((stat) => !/^cmdstat_(config|info)/.test(stat)),
      [],
    );
  };

  for (const { what, call, code, message, type } of CASES) {
    test(what, async () => {
      const error = await rejection(call(redlock));
      assert.match(error.message, message);
      assert.equal(error.code, code);
      assert.equal(error.constructor, type);
      await assertNothingSent();
    });
  }

  test('the shortest ttl there is at the default drift is 3', async () => {
    await rejection(redlock.lock('a', 2, { retryCount: 0 }));
    await assertNothingSent();
    // It is asked for, whether or not 1 ms is enough to get it.
    await redlock.lock('a', 3, { retryCount: 0 }).catch(() => {});
    assert.notDeepEqual(
      Object.keys(await server.info('commandstats')).filter((stat) => stat === 'cmdstat_set'),
      [],
    );
  });

  test('an expired lock that is none of ours is not extended', async () => {
    const lock = { ...LOCK, expiration: Date.now() - 1 };
    const error = await rejection(redlock.extend(lock, TTL));
    assert.equal(error.code, 'ERR_REDLOCK_EXPIRED');
    assert.equal(error.attempts, 0);
    await assertNothingSent();
  });

  for (const [what, call] of [
    ['lock', () => closed.lock('a', TTL)],
    ['acquire', () => closed.acquire(['a', 'b'], TTL)],
    ['unlock', () => closed.unlock({ ...LOCK })],
    ['extend', () => closed.extend({ ...LOCK }, TTL)],
    ['lock.unlock', () => new Redlock.Lock(closed, 'a', 'value', LOCK.expiration).unlock()],
    ['lock.extend', () => new Redlock.Lock(closed, 'a', 'value', LOCK.expiration).extend(TTL)],
  ]) {
    test(`${what} after quit()`, async () => {
      const error = await rejection(call());
      assert.ok(error instanceof Redlock.LockError);
      assert.equal(error.code, 'ERR_REDLOCK_CLOSED');
      assert.match(error.message, /^Cannot \w+ resource "a(,b)?": this Redlock was closed with quit\(\)\.$/);
      assert.equal(error.attempts, 0);
      await assertNothingSent();
    });
  }

  test('a lock that can’t be unlocked because of quit() is not invalidated', async () => {
    const lock = { ...LOCK };
    await rejection(closed.unlock(lock));
    assert.equal(lock.expiration, LOCK.expiration);
  });

  test('quit() a second time does no harm', async () => {
    assert.deepEqual(await closed.quit(), ['OK']);
  });
});

function describeValue(value) {
  if (typeof value === 'bigint' || typeof value === 'symbol') return String(value);
  if (value instanceof Promise) return 'a promise';
  return JSON.stringify(value) ?? String(value);
}
