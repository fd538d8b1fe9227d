'use strict';

/** What callers of the originals rely on, each face beside its own original. */

const assert = require('node:assert/strict');
const fs = require('node:fs');
const Module = require('node:module');
const path = require('node:path');
const { describe, before, beforeEach, test } = require('node:test');
const vm = require('node:vm');

const { FACES } = require('../support/faces');
const { rejection } = require('../support/rejection');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');

const TTL = 20_000;

class ObjectId {
  #hex = '507f1f77bcf86cd799439011';
  toString() {
    return this.#hex;
  }
}

/** @param {any} Class */
function makeRedlock(Class, clients, more = {}) {
  // Through the client alone: a proof would leave a key of its own for a moment.
  const redlock = new Class(clients, { retryCount: 0, connections: 'bridge', ...more });
  redlock.on('error', () => {});
  return redlock;
}

const lockOn = (redlock, name, isFive) => (isFive ? redlock.acquire([name], TTL) : redlock.lock(name, TTL));
const release = (lock) => (lock.release && !lock.unlock ? lock.release() : lock.unlock());

describe('names that are no text', () => {
  const suite = endOfSuite();
  let server;
  let client;
  before(async () => {
    [server] = await startServers(suite, 1);
    const Redis = require('ioredis');
    client = new Redis(server.port, server.host);
    suite.after(() => client.quit());
  });
  beforeEach(() => server.command('FLUSHALL'));

  const NAMES = {
    'a number': 42,
    zero: 0,
    'a fraction': -1.5,
    'a bigint': 12345678901234567890n,
    'an id': new ObjectId(),
    'a Buffer': Buffer.from('grün'),
    'a URL': new URL('https://example.org/a?b#c'),
    'a Date': new Date(0),
    'a text object': Object('text'),
    'a Uint8Array': Uint8Array.of(1, 2),
  };

  for (const [face, { load, original, isFive, isStrict }] of Object.entries(FACES)) {
    for (const [what, name] of Object.entries(NAMES)) {
      test(`${what} is the key that the original makes of it, or refused: ${face}`, async () => {
        const redlock = makeRedlock(load(), [client]);
        if (isStrict) {
          const error = await rejection(lockOn(redlock, name));
          assert.equal(error.code, 'ERR_REDLOCK_INVALID_RESOURCE');
          return;
        }
        const lock = await lockOn(redlock, name, isFive);
        const keys = await server.keys();
        assert.equal(keys.length, 1);
        await lock.extend(TTL).then(release);
        assert.deepEqual(await server.keys(), []);
        if (!original) return;
        const theirs = makeRedlock(original(), [client]);
        const other = await lockOn(theirs, name, isFive);
        assert.deepEqual(await server.keys(), keys);
        await rejection(lockOn(redlock, name, isFive));
        await release(other);
      });
    }

    test(`what says nothing of itself is no name: ${face}`, async () => {
      const redlock = makeRedlock(load(), [client]);
      const throwing = {
        toString() {
          throw new Error('no');
        },
      };
      const odd = [
        {},
        null,
        undefined,
        Number.NaN,
        Symbol('a'),
        () => {},
        Promise.resolve(),
        Buffer.of(0xff),
        throwing,
      ];
      for (const name of [...odd, '', Buffer.alloc(0), Object.create(null)]) {
        const error = await rejection(lockOn(redlock, name, isFive));
        assert.equal(error.code, 'ERR_REDLOCK_INVALID_RESOURCE', String(error));
      }
      assert.deepEqual(await server.keys(), []);
    });
  }
});

describe('clients of no known library are asked as the original asks them', () => {
  const NOSCRIPT = new Error('NOSCRIPT No matching script. Please use EVAL.');

  /** By how a mock answers: what it has, and which faces can use it. */
  const MOCKS = {
    'an evalsha that calls back': {
      mock: () => ({ evalsha: (_, __, done) => done(null, 1) }),
      works: 'four',
    },
    'an evalsha that calls back later': {
      mock: () => ({ evalsha: (_, __, done) => void setImmediate(done, null, 1) }),
      works: 'four',
    },
    'an evalsha of promises': { mock: () => ({ evalsha: async () => 1 }), works: 'five' },
    'an eval that calls back': {
      mock: () => ({ eval: (...args) => args.at(-1)(null, 1) }),
      works: 'text',
    },
    'an evalsha that knows no script, and an eval, of callbacks': {
      mock: () => ({
        evalsha: (_, __, done) => done(NOSCRIPT),
        eval: (words, done) => done(null, Array.isArray(words) && words[1] === 1 ? 1 : 0),
      }),
      works: 'four',
    },
    'an evalsha that knows no script, and an eval, of promises': {
      mock: () => ({
        evalsha: async () => {
          throw NOSCRIPT;
        },
        eval: async (_, count, words) => (count === 1 && words.length >= 2 ? 1 : 0),
      }),
      works: 'five',
    },
    'a stub instance of ioredis whose evalsha alone answers': {
      mock() {
        const stub = Object.create(require('ioredis').prototype);
        for (const name of ['eval', 'quit', 'get', 'sendCommand']) stub[name] = () => undefined;
        stub.evalsha = (_, __, done) => done(null, 1);
        return stub;
      },
      works: 'four',
    },
    'a stub instance of redis 3 whose evalsha alone answers': {
      mock() {
        const stub = Object.create(require('redis-3').RedisClient.prototype);
        stub.eval = () => undefined;
        stub.evalsha = (_, __, done) => done(null, 1);
        return stub;
      },
      works: 'four',
    },
  };

  const kindOf = ({ isFive, isByText }) => (isFive ? 'five' : isByText ? 'text' : 'four');

  for (const [face, what] of Object.entries(FACES)) {
    const { load, original, isFive } = what;
    for (const [title, { mock, works }] of Object.entries(MOCKS)) {
      if (works !== kindOf(what)) continue;
      test(`${title}: ${face}`, async () => {
        for (const find of [original, load].filter(Boolean)) {
          const redlock = makeRedlock(find(), [mock()]);
          const lock = await lockOn(redlock, 'a', isFive);
          await release(lock);
        }
      });
    }

    test(`an evalsha that was replaced on a client of ioredis is called as the original does: ${face}`, async () => {
      if (what.isByText) return;
      for (const find of [original, load]) {
        const seen = [];
        const client = new (require('ioredis'))({ lazyConnect: true });
        client.evalsha = isFive
          ? async (...args) => seen.push(args)
          : (...args) => {
              seen.push(args);
              args.at(-1)(null, 1);
            };
        await lockOn(makeRedlock(find(), [client]), 'a', isFive).catch(() => {});
        const [digest, ...rest] = seen[0];
        assert.match(digest, /^[0-9a-f]{40}$/);
        const words = isFive ? rest[1] : rest[0];
        assert.deepEqual(isFive ? [rest[0], words[0]] : words.slice(0, 2), [1, 'a']);
        assert.equal(typeof rest.at(-1), isFive ? 'object' : 'function');
        client.disconnect();
      }
    });
  }

  for (const face of ['v0', 'v1', 'v2', 'v3', 'redlock-async']) {
    test(`scripts are asked for by their texts alone: ${face}`, async (t) => {
      const [server] = await startServers(t, 1, { args: ['--rename-command', 'EVALSHA', ''] });
      const client = new (require('ioredis'))(server.port, server.host);
      t.after(() => client.quit());
      const Redlock = require(`../../compat/${face}`);
      const options = { retryCount: 0, connections: 'bridge' };
      const redlock = face === 'v0' ? new Redlock(options, client) : new Redlock([client], options);
      const lock = await new Promise((resolve, reject) => {
        const done = (error, value) => (error ? reject(error) : resolve(value));
        const promise = redlock.lock('a', TTL, done);
        promise?.then(resolve, reject);
      });
      assert.deepEqual(await server.keys(), ['a']);
      await lock.unlock();
    });
  }

  test('scripts are asked for by their texts alone: redislock', async (t) => {
    const [server] = await startServers(t, 1, { args: ['--rename-command', 'EVALSHA', ''] });
    const client = new (require('ioredis'))(server.port, server.host);
    t.after(() => client.quit());
    const lock = require('../../compat/redislock/redislock').createLock(client);
    await lock.acquire('a');
    await lock.release();
    assert.deepEqual(await server.keys(), []);
  });
});

describe('servers that are set later', () => {
  for (const face of ['the main class', 'v4', 'v3', 'v2']) {
    test(`a Redlock of nothing yet is made, and used once it has some: ${face}`, async () => {
      const { load, original } = FACES[face];
      // An original's callback is its last argument, wherever that is.
      const client = {
        eval: (...args) => args.at(-1)(null, 1),
        evalsha: (...args) => args.at(-1)(null, 1),
      };
      for (const find of [original, load]) {
        const redlock = makeRedlock(find(), [{}]);
        await rejection(new Promise((_, reject) => redlock.lock('a', TTL).catch(reject)));
        redlock.servers = [client];
        await (await redlock.lock('a', TTL)).unlock();
        assert.deepEqual([...redlock.servers], [client]);
      }
    });
  }

  test('the main class looks at its servers at each call', async () => {
    const Redlock = require('../..');
    const redlock = new Redlock(['memory://one'], { retryCount: 0 });
    const lock = await redlock.lock('a', TTL);
    redlock.servers = ['memory://two'];
    const other = await redlock.lock('a', TTL);
    assert.equal((await rejection(lock.unlock())).code, 'ERR_REDLOCK_NOT_HELD');
    await other.unlock();
    redlock.servers = ['redis://:hunter2@127.0.0.1:1'];
    await rejection(redlock.lock('a', TTL));
    assert.deepEqual(redlock.servers, ['redis://127.0.0.1:1']);
    redlock.servers = 'memory://one';
    assert.equal((await rejection(redlock.lock('a', TTL))).code, 'ERR_REDLOCK_INVALID_INSTANCES');
    await redlock.quit();
  });
});

describe('v5’s _random', () => {
  test('counts where it is overridden, once for each attempt', async (t) => {
    const [server] = await startServers(t, 1);
    const client = new (require('ioredis'))(server.port, server.host);
    t.after(() => client.quit());
    for (const Class of [require('redlock-5').default, require('../../compat/v5').default]) {
      let count = 0;
      class Own extends Class {
        _random() {
          count += 1;
          return `value-${count}`;
        }
      }
      const redlock = makeRedlock(Own, [client], { retryCount: 2, retryDelay: 1, retryJitter: 0 });
      const lock = await redlock.acquire(['a'], TTL);
      assert.equal(lock.value, 'value-1');
      assert.equal(await server.command('GET', 'a'), 'value-1');
      const error = await rejection(redlock.acquire(['a'], TTL));
      assert.equal(error.attempts.length, 3);
      for (const attempt of error.attempts) assert.equal((await attempt).votesAgainst.size, 1);
      const extended = await lock.extend(TTL);
      assert.equal(extended.value, 'value-1');
      await extended.release();
      const routine = await redlock.using(['a'], TTL, async () => server.command('GET', 'a'));
      assert.equal(routine, `value-${count}`);
    }
  });

  test('that gives no text is refused', async () => {
    const { default: Redlock } = require('../../compat/v5');
    const redlock = new Redlock(['memory://random']);
    for (const odd of [undefined, '', 5, {}]) {
      redlock._random = () => odd;
      assert.equal((await rejection(redlock.acquire(['a'], TTL))).code, 'ERR_REDLOCK_INVALID_OPTIONS');
    }
    await redlock.quit();
  });
});

test('a bluebird that was bundled is found', () => {
  const file = path.join(__dirname, '..', '..', 'lib', 'promises.js');
  const bluebird = require('bluebird');
  // In a bundle there is nothing to resolve, and what was required by name is inside.
  const inside = (name) => {
    if (name === 'bluebird') return bluebird;
    throw new Error(`Cannot find module '${name}'`);
  };
  inside.resolve = () => {
    throw new Error('there are no folders');
  };
  const module = { exports: {} };
  vm.runInThisContext(Module.wrap(fs.readFileSync(file, 'utf8')), { filename: file })(
    module.exports,
    inside,
    module,
  );
  assert.equal(module.exports.findBluebird(), bluebird);
  assert.equal(module.exports.withDisposers(Promise), bluebird);
});
