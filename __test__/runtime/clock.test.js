'use strict';

/** Setting the wall clock changes what `expiration` says, and nothing else. */

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { setTimeout: sleep } = require('node:timers/promises');

const Redlock = require('../..');
const { redlockOver } = require('../support/redlock');
const { rejection } = require('../support/rejection');

const HOUR = 3_600_000;

describe('when the wall clock is set', () => {
  function setClock(t, by) {
    const { now } = Date;
    t.mock.method(Date, 'now', () => now.call(Date) + by);
  }

  function open(t) {
    const redlock = new Redlock(['memory://clock'], { retryCount: 0 });
    t.after(() => redlock.quit());
    return redlock;
  }

  for (const [what, by] of [
    ['forward', HOUR],
    ['back', -HOUR],
  ]) {
    test(`${what}, a lock can still be extended, and says its new end by the new clock`, async (t) => {
      const redlock = open(t);
      const lock = await redlock.lock(`extend-${what}`, 5000);
      setClock(t, by);
      assert.equal(await lock.extend(10_000), lock);
      assert.ok(lock.expiration > Date.now() + 9000 && lock.expiration < Date.now() + 10_000);
      await lock.unlock();
    });

    test(`${what}, nobody else gets a lock that is held`, async (t) => {
      const redlock = open(t);
      const lock = await redlock.lock(`held-${what}`, 5000);
      setClock(t, by);
      assert.equal((await rejection(redlock.lock(`held-${what}`, 5000))).code, 'ERR_REDLOCK_HELD');
      await lock.unlock();
    });
  }

  test('back, a lock that has ended is not extended', async (t) => {
    const redlock = open(t);
    const lock = await redlock.lock('ended', 30);
    setClock(t, -HOUR);
    await sleep(50);
    assert.ok(lock.expiration > Date.now(), 'by the wall clock it would be valid');
    const error = await rejection(lock.extend(5000));
    assert.equal(error.code, 'ERR_REDLOCK_EXPIRED');
    assert.equal(error.attempts, 0);
    assert.equal(lock.expiration, 0);
  });

  for (const [what, by] of [
    ['forward', HOUR],
    ['back', -HOUR],
  ]) {
    for (const [how, restore] of [
      ['restored', (redlock, stored) => redlock.restore(stored)],
      [
        'rebuilt',
        (redlock, stored) => {
          const { resource, value, expiration } = JSON.parse(stored);
          const lock = new Redlock.Lock(redlock, resource, value, expiration);
          assert.equal(lock.held, true);
          return lock;
        },
      ],
    ]) {
      test(`${what}, a lock that was ${how} before that lives as long as ever, and no longer`, async (t) => {
        const redlock = open(t);
        const lock = await redlock.lock(`${how}-${what}`, 1000);
        const other = restore(redlock, JSON.stringify(lock));
        setClock(t, by);
        assert.equal(other.held, true);
        // Both clocks are read in whole milliseconds there.
        const most = lock.remaining() + 1;
        const left = other.remaining();
        assert.ok(left <= most, `${left} of ${most}`);
        await sleep(left + 20);
        assert.deepEqual([other.held, other.remaining()], [false, 0]);
        assert.equal((await rejection(other.extend(5000))).code, 'ERR_REDLOCK_EXPIRED');
      });
    }
  }

  test('back, a lock that is restored after that lasts no longer than its ttl', async (t) => {
    const redlock = open(t);
    const lock = await redlock.lock('ahead', 5000);
    await lock.extend(9000);
    const stored = JSON.stringify(lock);
    setClock(t, -HOUR);
    for (const one of [stored, JSON.parse(stored)]) {
      const restored = redlock.restore(one);
      assert.ok(restored.remaining() <= 9000 && restored.remaining() > 5000, String(restored.remaining()));
    }
    const { ttl, ...old } = JSON.parse(stored);
    assert.equal(ttl, 9000);
    assert.ok(redlock.restore(old).remaining() > HOUR, 'an older version has not said for how long');
    for (const odd of [0, -1, 1.5, '5000', null]) {
      assert.throws(() => redlock.restore({ ...old, ttl: odd }), { code: 'ERR_REDLOCK_INVALID_LOCK' });
    }
    await lock.unlock();
  });

  test('forward, a lock rebuilt from stored values is as old as its expiration says', async (t) => {
    const redlock = open(t);
    const lock = await redlock.lock('stored', 5000);
    const stored = JSON.parse(JSON.stringify(lock));
    setClock(t, HOUR);
    assert.equal((await rejection(redlock.extend(stored, 5000))).code, 'ERR_REDLOCK_EXPIRED');
    await redlock.unlock(stored);
  });

  for (const [what, now] of Object.entries({
    throws: () => {
      throw new Error('no time');
    },
    'is no function': undefined,
    'gives undefined': () => undefined,
    'gives no number': () => Number.NaN,
    'gives a Date': () => new Date(),
    'gives a BigInt': () => 5n,
    'gives infinity': () => Number.POSITIVE_INFINITY,
  })) {
    test(`to one that ${what}, locks are had, extended, kept and released, then and later`, async (t) => {
      const redlock = redlockOver(t, ['memory://odd-clock'], { retryCount: 0 });
      const own = Object.getOwnPropertyDescriptor(Date, 'now');
      const back = () => Object.defineProperty(Date, 'now', own);
      t.after(back);
      const before = await redlock.lock(`before ${what}`, 5000);
      Object.defineProperty(Date, 'now', { ...own, value: now });
      const lock = await redlock.lock(`meanwhile ${what}`, 5000);
      assert.equal(lock.held, true);
      assert.ok(Math.abs(lock.expiration - own.value() - 5000) < 1000, `${lock.expiration}`);
      await lock.extend(5000);
      await before.unlock();
      const kept = await redlock.lock(`kept ${what}`, 200, { autoExtend: true });
      await sleep(300);
      assert.equal(kept.held, true);
      await kept.unlock();
      back();
      await lock.unlock();
      assert.equal((await redlock.inspect(`meanwhile ${what}`)).held, false);
      await (await redlock.lock(`later ${what}`, 5000)).unlock();
    });
  }

  test('builtins that throw meanwhile cost no answer', async (t) => {
    const redlock = redlockOver(t, ['memory://odd-clock'], { retryCount: 0 });
    const lock = await redlock.lock('builtins', 5000);
    for (const [object, name] of [
      [JSON, 'parse'],
      [Math, 'floor'],
    ]) {
      const mock = t.mock.method(object, name, () => {
        throw new Error('replaced');
      });
      assert.equal((await rejection(redlock.lock('builtins', 5000))).code, 'ERR_REDLOCK_HELD');
      await lock.extend(5000);
      mock.mock.restore();
    }
    await lock.unlock();
  });
});

test('a lock that is unlocked while it is extended does not come back to life', async (t) => {
  const redlock = new Redlock(['memory://revive'], { retryCount: 0 });
  t.after(() => redlock.quit());
  const lock = await redlock.lock('a', 5000);
  const extending = rejection(lock.extend(60_000));
  const unlocking = lock.unlock();
  const error = await extending;
  assert.equal(error.code, 'ERR_REDLOCK_NOT_HELD');
  assert.equal(lock.expiration, 0);
  await unlocking;
  assert.equal(lock.expiration, 0);
});
