'use strict';

/**
 * How answers get their turns: by the function with which Node.js does ticks and microtasks between two timers, and
 * where that can't be used, by calls of native's.
 */

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');

const { runScript } = require('../support/script');

/** Takes locks that come together: `first` is done by whoever is told first. Prints what came of each. */
const taking = (first, before = '') => `
  ${before}
  const Redlock = require(${JSON.stringify(require.resolve('../..'))});
  const { block } = require(${JSON.stringify(require.resolve('../support/block'))});
  const { Mailbox } = require(${JSON.stringify(require.resolve('../../binding.js'))});
  let calls = 0;
  const { wakeAgain } = Mailbox.prototype;
  Mailbox.prototype.wakeAgain = function (times) {
    calls += 1;
    return wakeAgain.call(this, times);
  };
  const thrown = [];
  process.on('uncaughtException', (error) => thrown.push(error.message));
  const warnings = [];
  process.on('warning', ({ code }) => warnings.push(code));
  const redlock = new Redlock(['memory://a'], { retryCount: 0 });
  let isFirst = true;
  const told = () => {
    if (!isFirst) return;
    isFirst = false;
    ${first}
  };
  (async () => {
    await (await redlock.lock('x', 1000)).unlock();
    const asked = ['a', 'b', 'c', 'd'].map((name) => redlock.lock(name, 1000));
    process.nextTick(() => block(50));
    const codes = await Promise.all(asked.map((one) => one.then(() => told(), ({ code }) => code)));
    await redlock.quit();
    console.log(JSON.stringify({ codes: codes.map((code) => code ?? 'granted'), calls, thrown, warnings }));
  })();
`;

async function take(first, { before = '', flags = [] } = {}) {
  const { code, stdout, stderr } = await runScript(taking(first, before), { flags });
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

const LATE = ['granted', ...Array(3).fill('ERR_REDLOCK_TOO_SLOW')];

describe('of locks that come together, and whoever is told first blocks the thread past their end,', () => {
  for (const [where, first] of [
    ['at once', 'block(1200);'],
    [
      'in the tenth microtask',
      'let one = Promise.resolve(); for (let n = 0; n < 10; n++) one = one.then(() => {}); one.then(() => block(1200));',
    ],
    [
      'in the third tick',
      'process.nextTick(() => process.nextTick(() => process.nextTick(() => block(1200))));',
    ],
    [
      'in a microtask of a tick',
      'process.nextTick(() => queueMicrotask(() => queueMicrotask(() => block(1200))));',
    ],
  ]) {
    test(`${where}, the others are refused`, async () => {
      const { codes, calls } = await take(first);
      assert.deepEqual(codes, LATE);
      assert.equal(calls, 0, 'native was asked for calls');
    });

    test(`${where}, the others are refused where Node.js has no function for it`, async () => {
      const { codes, calls } = await take(first, { before: 'delete process._tickCallback;' });
      assert.deepEqual(codes, LATE);
      assert.ok(calls > 0);
    });
  }

  test('nobody is warned of a function that is deprecated', async () => {
    const { codes, warnings } = await take('block(1200);', { flags: ['--pending-deprecation'] });
    assert.deepEqual(codes, LATE);
    assert.deepEqual(warnings, []);
  });

  test('a function in its place that does nothing is noticed', async () => {
    const before = 'process._tickCallback = function runNextTicks() {};';
    const { codes, calls } = await take('block(1200);', { before });
    assert.deepEqual(codes, LATE);
    assert.ok(calls > 0);
  });
});

test('what is thrown in a tick of whoever is told first is an uncaught exception, and the others are told', async () => {
  const { codes, thrown } = await take("process.nextTick(() => { throw new Error('odd'); });");
  assert.deepEqual(codes, Array(4).fill('granted'));
  assert.deepEqual(thrown, ['odd']);
});

describe('of a lock that comes with the answer to a release, and whoever is told of that blocks the thread past its end,', () => {
  const script = (/** @type {string} */ before) => `
    ${before}
    const Redlock = require(${JSON.stringify(require.resolve('../..'))});
    const { block } = require(${JSON.stringify(require.resolve('../support/block'))});
    const redlock = new Redlock(['memory://a'], { retryCount: 0 });
    (async () => {
      const held = await redlock.lock('x', 5000);
      const released = held.unlock().then(() => block(1200));
      const asked = redlock.lock('a', 1000).then(() => 'granted', ({ code }) => code);
      process.nextTick(() => block(50));
      await released;
      console.log(await asked);
      await redlock.quit();
    })();
  `;

  for (const [where, before] of [
    ['', ''],
    [' where Node.js has no function for turns', 'delete process._tickCallback;'],
  ]) {
    test(`it is refused${where}`, async () => {
      const { code, stdout, stderr } = await runScript(script(before));
      assert.equal(code, 0, stderr);
      assert.equal(stdout.trim(), 'ERR_REDLOCK_TOO_SLOW');
    });
  }
});
