import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

import Ioredis from 'ioredis';
import { createClient } from 'redis';
import Redlock from 'redlock-native';
import V4 from 'redlock-native/v4';
import * as V5 from 'redlock-native/v5';

import { smoke } from './smoke.cjs';

const NAMES = {
  '': ['Lock', 'LockError', 'InstanceError', 'ConnectionError'],
  '/v0': [],
  '/v1': ['LockError'],
  '/v2': ['Lock', 'LockError'],
  '/v3': ['Lock', 'LockError'],
  '/v4': ['Lock', 'LockError'],
  '/v5': ['Lock', 'ExecutionError', 'ResourceLockedError'],
  '/redlock-async': ['Lock', 'LockError'],
  '/redislock': ['createLock', 'LockAcquisitionError'],
};

// Who imports an entry and who requires it have the same.
const require = createRequire(import.meta.url);
for (const [entry, names] of Object.entries(NAMES)) {
  const imported = await import(`redlock-native${entry}`);
  const required = require(`redlock-native${entry}`);
  assert.equal(imported.default, required.default ?? required, entry);
  for (const name of names) {
    assert.ok(required[name], `${entry} ${name}`);
    assert.equal(imported[name], required[name], `${entry} ${name}`);
  }
}

await smoke('ESM', { Redlock, V4, V5, Ioredis, createClient });
