'use strict';

const assert = require('node:assert/strict');

const Redlock = require('redlock-native');

assert.equal(Redlock.default, Redlock);
assert.equal(Redlock.Redlock, Redlock);
const { Lock, LockError } = Redlock;

async function main() {
  const redlock = new Redlock(['memory://a', 'memory://b', 'memory://c'], { retryCount: 0 });
  const lock = await redlock.lock('invoice', 5000);
  assert.ok(lock instanceof Lock);
  await assert.rejects(redlock.lock('invoice', 5000), LockError);
  await lock.unlock();
  await redlock.lock('invoice', 5000);
  console.log('released');
}

main();
