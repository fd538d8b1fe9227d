'use strict';

/** Logs are read by many: what is printed has no value, as whoever knows that can unlock. */

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { inspect } = require('node:util');

const { redlockOver } = require('../support/redlock');

const INSTANCES = ['memory://printed-1', 'memory://printed-2', 'memory://printed-3'];

test('a lock is printed with everything but its value, however deep it is', async (t) => {
  const redlock = redlockOver(t, INSTANCES);
  const lock = await redlock.lock('printed', 10_000);
  const kept = await redlock.lock('kept', 10_000, { autoExtend: true });
  for (const one of [lock, kept]) {
    for (const what of [one, [one], { request: { lock: one } }, redlock.restore(JSON.stringify(one))]) {
      const shown = inspect(what, { showHidden: true, getters: true, depth: 5 });
      assert.ok(!shown.includes(one.value), shown);
      assert.match(shown, /Lock \{[^}]*resource: [^}]*expiration: [^}]*attempts: 1/);
    }
  }
  assert.equal(inspect({ a: { b: { c: lock } } }, { depth: 2 }), '{ a: { b: { c: [Lock] } } }');
});

test('an inspection is printed without the value, that of each instance neither', async (t) => {
  const redlock = redlockOver(t, INSTANCES);
  const lock = await redlock.lock('inspected', 10_000);
  const inspection = await redlock.inspect('inspected');
  const shown = inspect(inspection);
  assert.ok(!shown.includes(lock.value), shown);
  assert.match(shown, /^Inspection \{\n {2}resource: 'inspected',/);
  assert.match(shown, /held: true/);
  assert.equal(inspection.value, lock.value);
  assert.equal(inspection.instances[2].value, lock.value);
  assert.match(inspect(await redlock.inspect('free')), /value: undefined/);
});

test('whatever is printed, a lock has its value, also in its JSON', async (t) => {
  const redlock = redlockOver(t, INSTANCES);
  const lock = await redlock.lock('value', 10_000);
  inspect(lock);
  assert.equal(JSON.parse(JSON.stringify(lock)).value, lock.value);
  assert.deepEqual(Object.keys(lock), ['resource', 'value', 'expiration', 'attempts', 'attemptsRemaining']);
  assert.deepEqual(Object.getOwnPropertySymbols({ ...lock }), []);
  await redlock.restore({ ...lock }).unlock();
});
