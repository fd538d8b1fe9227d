import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

import Redlock, { Lock, LockError, Redlock as Named } from 'redlock-native';

assert.equal(Named, Redlock);
// An app in which both are used has one class, not two.
assert.equal(createRequire(import.meta.url)('redlock-native'), Redlock);

const redlock = new Redlock(['memory://a', 'memory://b', 'memory://c'], { retryCount: 0 });
const lock = await redlock.lock('invoice', 5000);
assert.ok(lock instanceof Lock);
await assert.rejects(redlock.lock('invoice', 5000), LockError);
await lock.unlock();
await redlock.lock('invoice', 5000);
console.log('released');
