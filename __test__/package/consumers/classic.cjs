'use strict';

const assert = require('node:assert/strict');

const PACKAGE = 'redlock-native';

for (const entry of ['v1', 'v2', 'v3', 'v4', 'redlock-async']) {
  const Redlock = require(`${PACKAGE}/${entry}`);
  new Redlock([`memory://${entry}`]).lock('invoice', 5000).then((lock) => lock.unlock());
  assert.equal(typeof Redlock.LockError, 'function');
}
const Redlock = require(`${PACKAGE}/v0`);
new Redlock({}, 'memory://v0').lock('invoice', 5000, (error, lock) => {
  assert.ifError(error);
  lock.unlock(() => console.log('released'));
});
