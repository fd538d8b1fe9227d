'use strict';

const assert = require('node:assert/strict');

const Redlock = require('redlock-native');
const Async = require('redlock-native/redlock-async');
const V5 = require('redlock-native/v5');

for (const name of ['Redlock', 'Lock', 'LockError', 'InstanceError', 'ConnectionError']) {
  assert.equal(Redlock[name].name, name);
}
for (const name of ['Lock', 'ExecutionError', 'ResourceLockedError']) assert.equal(V5[name].name, name);

/** An app that uses several entries has one of what is behind them. */
async function main() {
  const redlock = new Redlock(['memory://a'], { retryCount: 0 });
  const lock = await redlock.lock('invoice', 5000);
  const refused = await new V5.default(['memory://a'], { retryCount: 0 })
    .acquire(['invoice'], 5000)
    .catch((error) => error);
  assert.ok(refused instanceof V5.ExecutionError);
  assert.match((await redlock.lock('invoice', 5000).catch((error) => error)).stack, /at async main/);
  await new Async(['memory://a']).unlock(lock);
  assert.equal(lock.held, false);
  console.log('released');
}

main();
