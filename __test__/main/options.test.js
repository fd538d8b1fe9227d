'use strict';

/** Options that can't be used are told of in one warning and ignored. */

const assert = require('node:assert/strict');
const { describe, test, beforeEach, afterEach } = require('node:test');

const Redlock = require('../..');
const { rejection } = require('../support/rejection');

const SETTINGS = ['driftFactor', 'retryCount', 'retryDelay', 'retryJitter'];
const DEFAULTS = [0.01, 10, 200, 100];

describe('options', () => {
  let warnings;
  const listener = (warning) => warnings.push(warning);
  beforeEach(() => {
    warnings = [];
    process.on('warning', listener);
  });
  afterEach(async () => {
    await settled();
    process.off('warning', listener);
  });

  /** Warnings are emitted in the next tick. */
  const settled = () => new Promise(setImmediate);
  const settings = (redlock) => SETTINGS.map((name) => redlock[name]);

  for (const options of [
    undefined,
    null,
    {},
    { retryCount: undefined },
    { driftFactor: 0, retryCount: 0, retryDelay: 0, retryJitter: 0 },
    { retryCount: -1 },
    { retryCount: Infinity },
    { retryCount: 2, retryDelay: 0.5, retryJitter: 0.5 },
    { deadlineFloor: 50, deadlineCeiling: 500 },
    { wakeups: 'auto' },
    { wakeups: false },
  ]) {
    test(`${show(options)} are taken without a word`, async () => {
      const redlock = new Redlock(['memory://options'], options);
      await settled();
      assert.deepEqual(warnings, []);
      assert.deepEqual(
        settings(redlock),
        SETTINGS.map((name, index) => options?.[name] ?? DEFAULTS[index]),
      );
      await (await redlock.lock(`options-${show(options)}`, 1000)).unlock();
      await redlock.quit();
    });
  }

  for (const [options, ...words] of [
    [{ retryCount: '3' }, /"retryCount" must be a whole number from 0, or -1 for no end, not "3"/],
    [{ retryCount: NaN }, /"retryCount" must be a whole number .*, not NaN/],
    [{ retryCount: null }, /"retryCount" must be a whole number .*, not null/],
    [{ retryCount: 3n }, /"retryCount" must be a whole number .*, not 3n/],
    [{ retryCount: -2 }, /"retryCount" must be a whole number .*, not -2/],
    [{ retryCount: 1.5 }, /"retryCount" must be a whole number .*, not 1.5/],
    [{ retryDelay: -1 }, /"retryDelay" must be a finite number from 0, not -1/],
    [{ retryJitter: -10 }, /"retryJitter" must be a finite number from 0, not -10/],
    [{ retryDelay: '200' }, /"retryDelay" must be a finite number from 0, not "200"/],
    [{ wakeups: true }, /"wakeups" must be 'auto' or false, not true/],
    [{ wakeups: 'no' }, /"wakeups" must be 'auto' or false, not "no"/],
    [{ retryDelay: Infinity }, /"retryDelay" must be a finite number from 0, not Infinity/],
    [{ retryJitter: {} }, /"retryJitter" must be a finite number from 0, not an object/],
    [{ retryJitter: () => 1 }, /"retryJitter" must be a finite number from 0, not a function/],
    [{ driftFactor: -0.1 }, /"driftFactor" must be a finite number from 0, not -0.1/],
    [{ driftFactor: NaN }, /"driftFactor" must be a finite number from 0, not NaN/],
    [{ driftFactor: true }, /"driftFactor" must be a finite number from 0, not true/],
    [{ deadlineFloor: 0 }, /"deadlineFloor" must be a finite number above 0, not 0/],
    [{ deadlineCeiling: '1s' }, /"deadlineCeiling" must be a finite number above 0, not "1s"/],
    // Of earlier versions, which nobody could name a use for.
    [
      { deadlineShare: 0.1, releaseDeadline: 1 },
      /"deadlineShare" is unknown/,
      /"releaseDeadline" is unknown/,
    ],
    [{ retries: 3 }, /"retries" is unknown: did you mean "retryCount"\?/],
    [
      { timeout: 3 },
      /"timeout" is unknown: did you mean "maxWait" of each call, as in lock\(.*maxWait: 5000/,
    ],
    [{ maxWait: 3 }, /"maxWait" is one of each call, as in lock\(resource, ttl, \{ maxWait: 5000 \}\)/],
    [{ autoExtend: true }, /"autoExtend" is one of each call, as in lock\(/],
    [{ tryLock: true }, /"tryLock" is one of each call, as in lock\(/],
    [{ signal: undefined }, /"signal" is one of each call, as in lock\(/],
    [{ lockScript: 'return 1' }, /"lockScript" must be a function from our script to yours, not "return 1"/],
    ['options', /options must be an object, not "options"/],
    [[], /options must be an object, not an empty array/],
    [{ retryCount: 'x', retryDelay: 'y', foo: 1 }, /"retryCount"/, /"retryDelay"/, /"foo" is unknown/],
  ]) {
    test(`${show(options)} are told of in one warning and ignored`, async () => {
      const redlock = new Redlock(['memory://options'], options);
      await settled();
      assert.equal(warnings.length, 1);
      assert.equal(warnings[0].name, 'RedlockWarning');
      for (const word of words) assert.match(warnings[0].message, word);
      assert.deepEqual(settings(redlock), DEFAULTS);
      await redlock.quit();
    });
  }

  test('of the right type beside wrong ones are taken', async () => {
    const redlock = new Redlock(['memory://options'], { retryCount: 'x', retryDelay: 5 });
    assert.deepEqual(settings(redlock), [0.01, 10, 5, 100]);
    await redlock.quit();
  });

  test('of a call are told of once, however often it is made, and ignored', async () => {
    const redlock = new Redlock(['memory://options'], { retryCount: 1, retryDelay: 1, retryJitter: 0 });
    const lock = await redlock.lock('call', 5000);
    for (let i = 0; i < 5; i++) {
      for (const lockIt of ['lockWithOptions', 'acquireWithOptions']) {
        const error = await rejection(redlock[lockIt]('call', 1000, { retryCount: 'x', timeout: 1 }));
        assert.equal(error.attempts, 2);
      }
      await lock.extend(5000, { retryCount: 'x', timeout: 1 });
    }
    await settled();
    assert.equal(warnings.length, 1);
    assert.match(
      warnings[0].message,
      /"retryCount" must be a whole number .*, not "x"; the option "timeout" is unknown: did you mean "maxWait"\?/,
    );
    await redlock.quit();
  });

  test('of a call that are unknown are refused by lock, tryLock and using, with the one that was meant', async () => {
    const redlock = new Redlock(['memory://options']);
    const calls = {
      lock: (options) => redlock.lock('misspelt', 1000, options),
      acquire: (options) => redlock.acquire('misspelt', 1000, options),
      tryLock: (options) => redlock.tryLock('misspelt', 1000, options),
      using: (options) => redlock.using('misspelt', 1000, options, () => assert.fail('it ran')),
    };
    for (const call of Object.values(calls)) {
      for (const [options, message] of [
        [{ autoextend: true }, 'the option "autoextend" is unknown: did you mean "autoExtend"?'],
        [{ maxwait: 100 }, 'the option "maxwait" is unknown: did you mean "maxWait"?'],
        [{ try_lock: true }, 'the option "try_lock" is unknown: did you mean "tryLock"?'],
        [{ retrycount: 1 }, 'the option "retrycount" is unknown: did you mean "retryCount"?'],
        [{ retyrDelay: 1 }, 'the option "retyrDelay" is unknown: did you mean "retryDelay"?'],
        [{ banana: 1 }, 'the option "banana" is unknown'],
        [
          { max_wait: 1, singal: 2 },
          'the option "max_wait" is unknown: did you mean "maxWait"?; ' +
            'the option "singal" is unknown: did you mean "signal"?',
        ],
      ]) {
        const error = await rejection(call(options));
        assert.ok(error instanceof RangeError);
        assert.equal(error.code, 'ERR_REDLOCK_INVALID_OPTIONS');
        assert.equal(error.message, message);
      }
      const inner = await rejection(call({ autoExtend: { maxhold: 1 } }));
      assert.match(inner.message, /autoExtend has the unknown key "maxhold": did you mean "maxHold"\?/);
      // What may be a secret isn't shown.
      const hidden = await rejection(call({ 'p4ss:w0rd': 1 }));
      assert.equal(hidden.message, 'the option (1 not shown here) is unknown');
    }
    assert.equal((await redlock.inspect('misspelt')).held, false);
    // Of a wrong type they are told of as before, and extend ignores what it doesn't know.
    const lock = await redlock.lock('misspelt', 5000, { retryCount: 'x' });
    await lock.extend(5000, { maxwait: 1 });
    await redlock.lockWithOptions('another', 1000, { autoextend: true });
    await settled();
    assert.match(
      warnings.map(({ message }) => message).join(),
      /"autoextend" is unknown: did you mean "autoExtend"\?/,
    );
    await redlock.quit();
  });

  test('with which nothing could ever be locked are refused', () => {
    for (const driftFactor of [1, 2]) {
      assert.throws(() => new Redlock(['memory://options'], { driftFactor }), {
        name: 'RangeError',
        code: 'ERR_REDLOCK_INVALID_OPTIONS',
        message: new RegExp(`"driftFactor" must be less than 1, not ${driftFactor}`),
      });
    }
  });

  test('of a call that are no object are told of once each, and ignored as in redlock 4', async () => {
    const redlock = new Redlock(['memory://options']);
    for (const options of [5, 'x', true, [], 5]) {
      for (const method of ['lock', 'tryLock', 'lockWithOptions']) {
        const lock = await redlock[method]('no-object', 1000, options);
        await lock.extend(1000, options);
        await lock.unlock();
      }
    }
    await (await redlock.lock('no-object', 1000, null)).unlock();
    await settled();
    assert.deepEqual(
      warnings.map(({ message }) => message),
      ['5', '"x"', 'true', 'an empty array'].map(
        (shown) => `redlock-native: options must be an object, not ${shown} (ignored)`,
      ),
    );
    await redlock.quit();
  });

  test('of a call are honoured where they are 0', async () => {
    const redlock = new Redlock(['memory://options'], { retryCount: 3, retryDelay: 1, retryJitter: 0 });
    const lock = await redlock.lock('zero', 5000);
    assert.equal((await rejection(redlock.lock('zero', 1000, { retryCount: 0 }))).attempts, 1);
    const other = await redlock.lock('other', 5000, { driftFactor: 0 });
    assert.ok(other.expiration >= Date.now() + 5000 - 2 - 1000);
    await lock.unlock();
    await redlock.quit();
  });

  test('of a call don’t stay', async () => {
    const redlock = new Redlock(['memory://options'], { retryCount: 0 });
    const lock = await redlock.lock('stay', 5000, { retryCount: 7 });
    assert.equal(lock.attemptsRemaining, 6);
    assert.equal(redlock.retryCount, 0);
    assert.equal((await rejection(redlock.lock('stay', 1000))).attempts, 1);
    await redlock.quit();
  });

  test('that were set to something wrong later are told of once, and the default holds', async () => {
    const redlock = new Redlock(['memory://options'], { retryCount: 0 });
    redlock.retryCount = 'many';
    for (let i = 0; i < 3; i++) {
      const lock = await redlock.lock(`later-${i}`, 5000);
      assert.equal(lock.attemptsRemaining, 9);
    }
    await settled();
    assert.equal(warnings.length, 1);
    assert.match(warnings[0].message, /"retryCount" must be a whole number .*, not "many"/);
    await redlock.quit();
  });
});

function show(value) {
  return (
    JSON.stringify(value, (_key, inner) => (typeof inner === 'object' ? inner : String(inner))) ?? 'none'
  );
}
