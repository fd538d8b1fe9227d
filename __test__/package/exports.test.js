'use strict';

/** However the package is loaded, it is one and the same class. */

const assert = require('node:assert/strict');
const { EventEmitter } = require('node:events');
const { describe, test } = require('node:test');
const { inspect } = require('node:util');

const Redlock = require('redlock-native');

describe('the package', () => {
  test('required is the class itself, with its companions on it', () => {
    assert.equal(typeof Redlock, 'function');
    assert.equal(Redlock.name, 'Redlock');
    assert.ok(Redlock.prototype instanceof EventEmitter);
    assert.equal(Redlock.default, Redlock);
    assert.equal(Redlock.Redlock, Redlock);
    for (const name of ['Lock', 'LockError', 'InstanceError', 'ConnectionError'])
      assert.equal(Redlock[name].name, name);
  });

  test('imported is the same, by default and by name', async () => {
    const module = await import('redlock-native');
    assert.equal(module.default, Redlock);
    assert.deepEqual(
      { ...module },
      {
        default: Redlock,
        Redlock,
        Lock: Redlock.Lock,
        LockError: Redlock.LockError,
        InstanceError: Redlock.InstanceError,
        ConnectionError: Redlock.ConnectionError,
      },
    );
  });

  test('has a package.json that can be required', () => {
    assert.equal(require('redlock-native/package.json').name, 'redlock-native');
  });
});

describe('a Redlock and a lock', () => {
  test('show nothing of each other when they are printed or serialised', async () => {
    const redlock = new Redlock(['memory://shown', 'redis://u:s3cr3t@127.0.0.1:1']);
    const lock = new Redlock.Lock(redlock, 'a', 'value', 1);
    assert.equal(
      JSON.stringify(lock),
      '{"resource":["a"],"value":"value","expiration":1,"attempts":0,"attemptsRemaining":0}',
    );
    assert.equal(Object.keys(lock).includes('redlock'), false);
    assert.equal(lock.redlock, redlock);
    for (const shown of [
      inspect([lock, redlock], { showHidden: true, depth: null, getters: true, showProxy: true }),
      JSON.stringify([lock, redlock]),
    ]) {
      assert.ok(!/s3cr3t|u:/.test(shown), shown);
    }
    await redlock.quit();
  });

  test('can be cloned as far as a lock is data', () => {
    const lock = new Redlock.Lock(new Redlock(['memory://clone']), ['a', 'b'], 'value', 1, 2, 3);
    const data = { resource: ['a', 'b'], value: 'value', expiration: 1, attempts: 2, attemptsRemaining: 3 };
    assert.deepEqual(structuredClone(lock), data);
    assert.deepEqual({ ...lock }, data);
    assert.deepEqual(Object.create(lock).toJSON(), data);
  });
});
