'use strict';

/** `retryDelay` as a function of the attempt. */

const assert = require('node:assert/strict');
const { before, describe, mock, test } = require('node:test');

const Redlock = require('../..');
const { namesLike } = require('../support/redlock');
const { rejection } = require('../support/rejection');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');

const newName = namesLike('retry delay ');

let servers;

describe('retryDelay as a function', () => {
  const suite = endOfSuite();
  before(async () => {
    servers = await startServers(suite, 3);
  });

  async function open(t, options) {
    const redlock = new Redlock(
      servers.map(({ url }) => url),
      { retryJitter: 0, ...options },
    );
    t.after(() => redlock.quit());
    return redlock;
  }

  /** Locks of somebody else. */
  async function hold(t) {
    const other = await open(t);
    return other.lock(newName(), 60_000);
  }

  test('is asked after each attempt that failed, but for the last, and waited for', async (t) => {
    const held = await hold(t);
    const asked = [];
    const retryDelay = (attempt) => {
      asked.push([attempt, performance.now()]);
      return attempt * 40;
    };
    const redlock = await open(t, { retryCount: 3, retryDelay });
    assert.equal(redlock.retryDelay, retryDelay);
    const started = performance.now();
    const error = await rejection(redlock.lock(held.resource, 5000));
    assert.equal(error.code, 'ERR_REDLOCK_HELD');
    assert.equal(error.message, `Exceeded 3 attempts to lock the resource "${held.resource}".`);
    assert.equal(error.attempts, 4);
    assert.ok(performance.now() - started >= 40 + 80 + 120 - 1);
    assert.deepEqual(
      asked.map(([attempt]) => attempt),
      [1, 2, 3],
    );
    assert.ok(asked[1][1] - asked[0][1] >= 39);
    assert.ok(asked[2][1] - asked[1][1] >= 79);
  });

  test('is not asked where the first attempt succeeds, or is the only one', async (t) => {
    const held = await hold(t);
    const redlock = await open(t, { retryDelay: () => assert.fail('it was asked') });
    const lock = await redlock.lock(newName(), 5000);
    assert.equal(lock.attempts, 1);
    await lock.extend(5000);
    await lock.unlock();
    assert.equal(await redlock.lock(held.resource, 5000, { tryLock: true }), null);
    assert.equal((await rejection(redlock.lock(held.resource, 5000, { retryCount: 0 }))).attempts, 1);
  });

  for (const retryCount of [-1, Infinity]) {
    test(`goes on without end with a retryCount of ${retryCount}, until it is granted`, async (t) => {
      const held = await hold(t);
      const redlock = await open(t, { retryCount });
      const retryDelay = (attempt) => {
        if (attempt === 5) held.unlock();
        return 20;
      };
      const lock = await redlock.lock(held.resource, 5000, { retryDelay });
      assert.ok(lock.attempts > 5);
      assert.ok(lock.held);
      await lock.unlock();
    });
  }

  test('gives way to maxWait and to a signal', async (t) => {
    const held = await hold(t);
    const redlock = await open(t, { retryCount: -1, retryDelay: () => 3_600_000 });
    const late = await rejection(redlock.lock(held.resource, 5000, { maxWait: 100 }));
    assert.equal(late.code, 'ERR_REDLOCK_TIMEOUT');
    assert.ok(late.votes.filter(({ vote }) => vote === 'held').length >= 2);
    const giving = new AbortController();
    const asked = redlock.lock(held.resource, 5000, { signal: giving.signal });
    setTimeout(() => giving.abort(), 50);
    assert.equal((await rejection(asked)).name, 'AbortError');
  });

  test('ends with quit()', async (t) => {
    const held = await hold(t);
    const redlock = await open(t, { retryCount: -1, retryDelay: () => 3_600_000 });
    const refused = rejection(redlock.lock(held.resource, 5000));
    await redlock.quit();
    assert.equal((await refused).code, 'ERR_REDLOCK_CLOSED');
  });

  test('holds for an extension, within what is left of the lock', async (t) => {
    const own = await startServers(t, 3);
    const redlock = new Redlock(
      own.map(({ url }) => url),
      { retryCount: 3, retryJitter: 0 },
    );
    t.after(() => redlock.quit());
    const lock = await redlock.lock(newName(), 60_000);
    const asked = [];
    await Promise.all(own.slice(1).map((server) => server.kill()));
    const retryDelay = (attempt) => {
      asked.push(attempt);
      return 10;
    };
    const error = await rejection(lock.extend(60_000, { retryDelay }));
    assert.equal(error.code, 'ERR_REDLOCK_UNAVAILABLE');
    assert.equal(error.attempts, 4);
    assert.deepEqual(asked, [1, 2, 3]);
    assert.ok(lock.held);
    const beyond = await rejection(lock.extend(60_000, { retryDelay: () => 3_600_000 }));
    assert.equal(beyond.attempts, 1);
  });

  test('may be set later, as the other settings', async (t) => {
    const held = await hold(t);
    const redlock = await open(t, { retryCount: 2 });
    const asked = [];
    redlock.retryDelay = (attempt) => asked.push(attempt);
    await rejection(redlock.lock(held.resource, 5000));
    assert.deepEqual(asked, [1, 2]);
    const kept = await redlock.lock(newName(), 300, { autoExtend: true });
    const end = Date.now() + 600;
    while (Date.now() < end) await new Promise(setImmediate);
    assert.ok(kept.held);
    await kept.unlock();
  });

  test('waits on real time, whatever fakes the timers', async (t) => {
    const held = await hold(t);
    const redlock = await open(t, { retryCount: 3, retryDelay: () => 20 });
    mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'setImmediate', 'Date'] });
    t.after(() => mock.timers.reset());
    assert.equal((await rejection(redlock.lock(held.resource, 5000))).attempts, 4);
  });

  for (const [what, given, message] of [
    ['NaN', NaN, /must return a number of ms from 0 to 2147483647, not NaN \(for attempt 1\)/],
    ['less than nothing', -1, /not -1 /],
    ['too much', 2 ** 31, /not 2147483648 /],
    ['Infinity', Infinity, /not Infinity /],
    ['text', '20', /not "20" /],
    ['nothing', undefined, /not undefined /],
    ['a promise', Promise.resolve(20), /not a promise/],
  ]) {
    test(`is refused if it returns ${what}, and nothing stays locked`, async (t) => {
      const held = await hold(t);
      const redlock = await open(t, { retryDelay: () => given });
      const error = await rejection(redlock.lock(held.resource, 5000));
      assert.equal(error.code, 'ERR_REDLOCK_INVALID_OPTIONS');
      assert.match(error.message, message);
      await held.unlock();
      assert.equal((await redlock.inspect(held.resource[0])).held, false);
    });
  }

  test('is refused if it returns a promise that rejects, which ends no process', async (t) => {
    const held = await hold(t);
    const unhandled = [];
    const listener = (error) => unhandled.push(error);
    process.on('unhandledRejection', listener);
    t.after(() => process.off('unhandledRejection', listener));
    const fail = async () => {
      throw new Error('no delay');
    };
    const redlock = await open(t, { retryDelay: fail });
    assert.match((await rejection(redlock.lock(held.resource, 5000))).message, /not a promise/);
    redlock._random = fail;
    assert.match((await rejection(redlock.lock(newName(), 5000))).message, /not a promise|not an object/);
    await assert.rejects(open(t, { lockScript: fail }), /not a promise/);
    await new Promise(setImmediate);
    assert.deepEqual(unhandled, []);
  });

  test('is refused if it throws, with what it threw as the cause', async (t) => {
    const held = await hold(t);
    const own = new Error('secret');
    const redlock = await open(t, {
      retryDelay() {
        throw own;
      },
    });
    const error = await rejection(redlock.lock(held.resource, 5000));
    assert.equal(error.code, 'ERR_REDLOCK_INVALID_OPTIONS');
    assert.equal(error.message, 'the option "retryDelay" threw when it was asked for attempt 1');
    assert.equal(error.cause, own);
  });
});
