'use strict';

/** The entries for redlock 0.2 to 4.2 and redlock-async: what each of them has in common with its original. */

const assert = require('node:assert/strict');
const { createHash } = require('node:crypto');
const { EventEmitter } = require('node:events');
const { before, beforeEach, describe, test } = require('node:test');

const bluebird = require('bluebird');
const Redis = require('ioredis');

const main = require('../..');
const { rejection } = require('../support/rejection');
const { runScript } = require('../support/script');
const { untilSets } = require('../support/sets');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');
const { until } = require('../support/until');

const TTL = 10_000;
const LOCK = ['redlock', 'resource', 'value', 'expiration'];
const CLASSIC = ['lock', 'acquire', 'unlock', 'release', 'extend', 'disposer', '_lock', '_random'];
const NONE = 'Redlock must be instantiated with at least one redis server.';

/** What the originals are, read from their releases. */
const ENTRIES = {
  v0: {
    statics: [],
    methods: ['lock', 'unlock', 'extend', '_random'],
    retryCount: 3,
    retryJitter: 0,
    isEndless: false,
    promises: undefined,
    lockKeys: LOCK,
    unlockOfGone: 'resolves',
    unlockOfUnreachable: 'resolves',
    sendsForExpired: false,
  },
  v1: {
    statics: ['LockError'],
    methods: CLASSIC,
    retryCount: 3,
    retryJitter: 0,
    isEndless: false,
    promises: bluebird,
    lockKeys: LOCK,
    unlockOfGone: 'resolves',
    unlockOfUnreachable: 'resolves',
    sendsForExpired: false,
  },
  v2: {
    statics: ['LockError', 'Lock'],
    methods: CLASSIC,
    retryCount: 3,
    retryJitter: 0,
    isEndless: false,
    promises: bluebird,
    lockKeys: LOCK,
    unlockOfGone: 'resolves',
    unlockOfUnreachable: 'rejects',
    sendsForExpired: true,
  },
  v3: {
    statics: ['LockError', 'Lock'],
    methods: [...CLASSIC, 'quit'],
    retryCount: 10,
    retryJitter: 100,
    isEndless: true,
    promises: bluebird,
    lockKeys: [...LOCK, 'attempts'],
    unlockOfGone: 'resolves',
    unlockOfUnreachable: 'rejects',
    sendsForExpired: true,
  },
  v4: {
    statics: ['LockError', 'Lock'],
    methods: [...CLASSIC, 'quit', 'lockWithOptions', 'acquireWithOptions'],
    retryCount: 10,
    retryJitter: 100,
    isEndless: true,
    promises: bluebird,
    lockKeys: [...LOCK, 'attempts', 'attemptsRemaining'],
    unlockOfGone: 'rejects',
    unlockOfUnreachable: 'rejects',
    sendsForExpired: true,
  },
  'redlock-async': {
    statics: ['LockError', 'Lock'],
    methods: [...CLASSIC.filter((name) => name !== 'disposer'), 'quit'],
    retryCount: 10,
    retryJitter: 100,
    isEndless: true,
    promises: Promise,
    lockKeys: [...LOCK, 'attempts'],
    unlockOfGone: 'resolves',
    unlockOfUnreachable: 'rejects',
    sendsForExpired: true,
  },
};
const ALL_METHODS = new Set(Object.values(ENTRIES).flatMap(({ methods }) => methods));

const suite = endOfSuite();
/** @type {import('../../scripts/servers').RedisServer[]} */
let servers;
/** @type {Redis[]} */
let clients;
before(async () => {
  servers = await startServers(suite, 3);
  clients = servers.map((server) => connect(server));
  suite.after(() => {
    for (const client of clients) client.disconnect();
  });
});
beforeEach(() => onAll('FLUSHALL'));

const onAll = (...command) => Promise.all(servers.map((server) => server.command(...command)));
const isEverywhere = (name, value) =>
  until(async () => (await onAll('GET', name)).every((one) => one === value));
const isNowhere = (name) => until(async () => (await onAll('EXISTS', name)).every((count) => count === 0));

function connect({ host, port }) {
  const client = new Redis({ host, port });
  client.on('error', () => {});
  return client;
}

for (const [name, facts] of Object.entries(ENTRIES)) {
  const Redlock = require(`redlock-native/${name}`);
  const isOldest = name === 'v0';
  const many = name === 'v4';
  const { LockError = main.LockError } = Redlock;

  /** @returns {any} */
  const over = (members, options) =>
    isOldest ? new Redlock(options, ...members) : new Redlock(members, options);
  const make = (options) => over(clients, { retryCount: 1, retryDelay: 5, ...options });

  /** A method as a promise, whatever it is called with. */
  const call = (object, method, ...args) => {
    if (!isOldest) return object[method](...args);
    return new Promise((resolve, reject) => {
      object[method](...args, (error, value) => (error ? reject(error) : resolve(value)));
    });
  };

  describe(`redlock-native/${name}`, () => {
    test('is the constructor, with its statics, by require and by import', async () => {
      assert.equal(typeof Redlock, 'function');
      assert.deepEqual(Object.keys(Redlock).sort(), [...facts.statics].sort());
      const imported = await import(`redlock-native/${name}`);
      assert.equal(imported.default, Redlock);
      for (const one of facts.statics) assert.equal(imported[one], Redlock[one]);
    });

    test('has the methods of its original, and none of a later one', () => {
      const redlock = make();
      for (const method of ALL_METHODS) {
        const expected = facts.methods.includes(method) ? 'function' : 'undefined';
        assert.equal(typeof redlock[method], expected, method);
      }
      assert.equal(redlock instanceof EventEmitter, !isOldest);
      assert.equal(typeof redlock.on, isOldest ? 'undefined' : 'function');
    });

    test('throws without a client', () => {
      for (const none of isOldest ? [[{}], []] : [[[]], [undefined], [[], {}]]) {
        assert.throws(() => new Redlock(...none), { name: 'Error', message: NONE });
      }
    });

    test('has the defaults of its original', () => {
      for (const options of [undefined, null, {}, { retryCount: '7', driftFactor: null, mode: 'x' }]) {
        const redlock = over(clients, options);
        assert.equal(redlock.driftFactor, 0.01);
        assert.equal(redlock.retryCount, facts.retryCount);
        assert.equal(redlock.retryDelay, 200);
        assert.equal(redlock.retryJitter, facts.retryJitter);
      }
      assert.equal(over(clients, { retryCount: 0 }).retryCount, isOldest ? 3 : 0);
      assert.equal(over(clients, { retryCount: Infinity }).retryCount, Infinity);
    });

    test('says nothing of options that it doesn’t know', async () => {
      const { code, stdout, stderr } = await runScript(`
        process.on('warning', (warning) => console.log(warning.message));
        const Redlock = require('redlock-native/${name}');
        const options = { retries: 3, retryCount: '3' };
        new Redlock(...(${isOldest} ? [options, 'memory://a'] : [['memory://a'], options]));
      `);
      assert.deepEqual([code, stdout, stderr], [0, '', '']);
    });

    test('shows the clients that were passed, and addresses without passwords', () => {
      const { servers: shown } = make();
      assert.deepEqual(shown, clients);
      // The very array, where the original has one.
      if (!isOldest) assert.equal(shown, clients);
      const redlock = over([clients[0], 'redis://u:secret@127.0.0.1:1/2']);
      assert.equal(redlock.servers[0], clients[0]);
      assert.equal(redlock.servers[1], 'redis://127.0.0.1:1/2');
    });

    test('reads its properties at each call', async () => {
      const redlock = make();
      await onAll('SET', 'a', 'other');
      redlock.retryCount = 2;
      redlock.retryDelay = 1;
      const error = await rejection(call(redlock, 'lock', 'a', TTL));
      assert.equal(error.message, 'Exceeded 2 attempts to lock the resource "a".');
      redlock.driftFactor = 0.5;
      const lock = await call(redlock, 'lock', 'b', TTL);
      assert.ok(lock.expiration < Date.now() + 0.51 * TTL);
    });

    test('reads `servers` at each call', async () => {
      const redlock = make();
      const [one, ...others] = clients;
      redlock.servers = [one];
      const lock = await call(redlock, 'lock', 'of one', TTL);
      assert.deepEqual(await onAll('EXISTS', 'of one'), [1, 0, 0]);
      redlock.servers.push(...others);
      const wider = await call(redlock, 'lock', 'of all', TTL);
      await isEverywhere('of all', wider.value);
      await call(wider, 'unlock');
      redlock.servers = [one];
      await call(lock, 'unlock');
      await isNowhere('of one');
      redlock.servers = [];
      assert.equal((await rejection(call(redlock, 'lock', 'of one', TTL))).message, NONE);
    });

    test('gives a lock with the properties of its original', async () => {
      const redlock = make();
      const lock = await call(redlock, 'lock', 'a', TTL);
      assert.deepEqual(Object.keys(lock), facts.lockKeys);
      assert.equal(lock.redlock, redlock);
      assert.deepEqual(lock.resource, many ? ['a'] : 'a');
      assert.match(lock.value, /^[0-9a-f]{32}$/);
      assert.ok(lock.expiration > Date.now() && lock.expiration <= Date.now() + TTL);
      if ('attempts' in lock) assert.equal(lock.attempts, 1);
      if ('attemptsRemaining' in lock) assert.equal(lock.attemptsRemaining, 0);
      if (Redlock.Lock) assert.ok(lock instanceof Redlock.Lock);
      const { redlock: _, ...rest } = lock;
      assert.deepEqual(JSON.parse(JSON.stringify(lock)), rest);
      assert.equal(typeof lock.unlock, 'function');
      assert.equal(typeof lock.extend, 'function');
    });

    test('stores a plain string under the resource’s name, and sees those of others', async () => {
      const redlock = make();
      const lock = await call(redlock, 'lock', 'ours', TTL);
      await isEverywhere('ours', lock.value);
      assert.deepEqual(await onAll('TYPE', 'ours'), ['string', 'string', 'string']);
      assert.ok((await servers[0].command('PTTL', 'ours')) > TTL / 2);
      await onAll('SET', 'theirs', 'somebody else');
      await rejection(call(redlock, 'lock', 'theirs', TTL));
      await call(lock, 'unlock');
      await isNowhere('ours');
      assert.deepEqual(await onAll('GET', 'theirs'), ['somebody else', 'somebody else', 'somebody else']);
    });

    test('a number is the name that a server makes of it', async () => {
      const redlock = make();
      const lock = await call(redlock, 'lock', 42, TTL);
      await isEverywhere('42', lock.value);
      await call(redlock, 'unlock', { resource: 42, value: lock.value });
      await isNowhere('42');
    });

    test('returns the promises of its original', async () => {
      const redlock = make();
      if (isOldest) {
        const lock = await new Promise((resolve) => {
          const returned = redlock.lock('a', TTL, (_error, given) => resolve(given));
          assert.equal(returned, undefined);
        });
        assert.equal(lock.unlock(), undefined);
        return isNowhere('a');
      }
      const Library = facts.promises;
      const locking = redlock.lock('a', TTL);
      assert.ok(locking instanceof Library);
      const lock = await locking;
      const extending = lock.extend(TTL);
      assert.ok(extending instanceof Library);
      await extending;
      const unlocking = lock.unlock();
      assert.ok(unlocking instanceof Library);
      assert.equal(await unlocking, undefined);
      const failing = lock.extend(TTL);
      assert.ok(failing instanceof Library);
      if (Library === bluebird) {
        await failing.catch(LockError, ({ attempts }) => assert.equal(attempts, 0));
        await new Promise((resolve, reject) => redlock.lock('b', TTL).done(resolve, reject));
      } else {
        await rejection(failing);
      }
    });

    test(`${name === 'redlock-async' ? 'doesn’t call' : 'calls'} a callback`, async () => {
      const redlock = make();
      const calls = [];
      const note = (...args) => calls.push(args);
      if (name === 'redlock-async') {
        const lock = await redlock.lock('a', TTL, note);
        await lock.extend(TTL, note);
        await lock.unlock(note);
        assert.deepEqual(calls, []);
        return;
      }
      redlock.lock('a', TTL, note);
      await until(() => calls.length === 1);
      const [[error, lock]] = calls;
      assert.equal(error, null);
      lock.extend(TTL, note);
      await until(() => calls.length === 2);
      assert.equal(calls[1][0], null);
      lock.unlock(note);
      await until(() => calls.length === 3);
      assert.deepEqual(calls[2], isOldest ? [] : [null]);
      lock.expiration = 0;
      lock.extend(TTL, note);
      await until(() => calls.length === 4);
      assert.equal(calls[3].length, 1);
      assert.ok(calls[3][0] instanceof LockError);
    });

    test('fails with a LockError of its own, that says what its original said', async () => {
      const redlock = make({ retryCount: 2, retryDelay: 1 });
      const held = await call(redlock, 'lock', 'a', TTL);
      const error = await rejection(call(redlock, 'lock', 'a', TTL));
      assert.equal(error.message, 'Exceeded 2 attempts to lock the resource "a".');
      assert.equal(error.name, 'LockError');
      assert.equal(error.attempts, 3);
      assert.equal(error.code, 'ERR_REDLOCK_HELD');
      assert.ok(error instanceof LockError);
      // Whatever face it comes from.
      assert.ok(error instanceof main.LockError);
      for (const key of ['name', 'message', 'attempts']) assert.ok(Object.keys(error).includes(key));
      await call(held, 'unlock');
      const late = await rejection(call(held, 'extend', TTL));
      assert.equal(late.message, 'Cannot extend lock on resource "a" because the lock has already expired.');
      assert.equal(late.attempts, 0);
      assert.ok(late instanceof LockError);
      assert.equal(new LockError().message, 'Failed to lock the resource.');
    });

    test(`takes a retryCount of -1 ${facts.isEndless ? 'as without end' : 'as none'}`, async () => {
      const redlock = make({ retryCount: -1, retryDelay: 1, retryJitter: 1 });
      await onAll('SET', 'a', 'other');
      const locking = call(redlock, 'lock', 'a', TTL);
      if (facts.isEndless) {
        // More than its default would make, and what proves the connections.
        await untilSets(servers[0], 3 * facts.retryCount);
        await onAll('DEL', 'a');
        const lock = await locking;
        assert.ok(lock.attempts > facts.retryCount + 1);
      } else {
        const { attempts, message } = await rejection(locking);
        assert.equal(attempts, 1);
        assert.equal(message, 'Exceeded -1 attempts to lock the resource "a".');
      }
    });

    test('unlock invalidates the lock at once', async () => {
      const lock = await call(make(), 'lock', 'a', TTL);
      const unlocking = call(lock, 'unlock');
      assert.equal(lock.expiration, 0);
      await unlocking;
    });

    test(`unlock of a lock whose key is gone ${facts.unlockOfGone}`, async () => {
      const redlock = make();
      for (const key of ['DEL', 'SET']) {
        const lock = await call(redlock, 'lock', 'a', TTL);
        await onAll(key, 'a', ...(key === 'SET' ? ['other'] : []));
        const unlocking = call(lock, 'unlock');
        if (facts.unlockOfGone === 'resolves') {
          assert.equal(await unlocking, undefined);
        } else {
          const error = await rejection(unlocking);
          assert.ok(error instanceof LockError);
          assert.equal(error.message, 'Unable to fully release the lock on resource "a".');
        }
        await onAll('DEL', 'a');
      }
    });

    test(`unlock of an expired lock ${facts.sendsForExpired ? 'asks' : 'doesn’t ask'} the servers`, async () => {
      const asked = [];
      const client = Object.assign(connect(servers[0]), {
        eval: async (...args) => asked.push(args) && 0,
        evalsha: async (...args) => asked.push(args) && 0,
      });
      const redlock = over([client]);
      const lock = { resource: 'a', value: 'x', expiration: Date.now() - 1 };
      await Promise.allSettled([call(redlock, 'unlock', lock)]);
      assert.equal(asked.length > 0, facts.sendsForExpired);
      client.disconnect();
    });

    test(`unlock ${facts.unlockOfUnreachable} where no server can be reached`, async () => {
      const redlock = over(['redis://127.0.0.1:1']);
      const lock = { resource: 'a', value: 'x', expiration: Date.now() + TTL };
      const unlocking = call(redlock, 'unlock', lock);
      if (facts.unlockOfUnreachable === 'resolves') {
        await unlocking;
      } else {
        const error = await rejection(unlocking);
        assert.ok(error instanceof LockError);
        assert.equal(error.message, 'Unable to fully release the lock on resource "a".');
      }
    });

    test(`extend gives ${isOldest ? 'another lock on the same key' : 'the same lock'}`, async () => {
      const lock = await call(make(), 'lock', 'extended', TTL);
      const { value, expiration } = lock;
      const extended = await call(lock, 'extend', 3 * TTL);
      assert.equal(extended === lock, !isOldest);
      assert.equal(extended.value, value);
      assert.ok(extended.expiration > expiration + TTL);
      assert.deepEqual(Object.keys(extended), facts.lockKeys);
      if (isOldest) assert.equal(lock.expiration, expiration);
      await until(async () => (await onAll('PTTL', 'extended')).every((left) => left > 2 * TTL));
      await call(extended, 'unlock');
      await isNowhere('extended');
    });

    test('a failed extension releases nothing', async () => {
      const lock = await call(make({ retryCount: 0 }), 'lock', 'a', TTL);
      await isEverywhere('a', lock.value);
      await servers[0].command('DEL', 'a');
      await servers[1].command('DEL', 'a');
      const error = await rejection(call(lock, 'extend', TTL));
      assert.ok(error instanceof LockError);
      assert.equal(await servers[2].command('GET', 'a'), lock.value);
    });

    test('releases a lock that was rebuilt from stored values in another process', async () => {
      const lock = await call(make(), 'lock', 'a', TTL);
      await isEverywhere('a', lock.value);
      const stored = JSON.stringify(lock);
      const { code, stdout, stderr } = await runScript(`
        const Redlock = require('redlock-native/${name}');
        const urls = ${JSON.stringify(servers.map(({ url }) => url))};
        const { resource, value, expiration } = ${stored};
        const redlock = ${isOldest} ? new Redlock({}, ...urls) : new Redlock(urls);
        if (Redlock.Lock) new Redlock.Lock(redlock, resource, value, expiration).unlock().then(done);
        else redlock.unlock({ resource, value, expiration }, done);
        function done(error) { console.log(error ?? 'released'); }
      `);
      assert.equal(stdout, 'released\n', stderr);
      assert.equal(code, 0);
      await isNowhere('a');
    });

    test('releases what Object.create made of a lock, under its own name', async () => {
      const lock = await call(make(), 'lock', 'a', TTL);
      await onAll('SET', 'b', lock.value);
      const other = Object.create(lock);
      other.resource = 'b';
      await call(other, 'unlock');
      assert.equal(other.expiration, 0);
      assert.notEqual(lock.expiration, 0);
      await isNowhere('b');
      await isEverywhere('a', lock.value);
    });

    test('_random is asked for the value of each attempt, of an object and of a subclass', async () => {
      const values = [];
      class Mine extends Redlock {
        _random() {
          values.push(`mine ${values.length} ${'x'.repeat(40)}`);
          return values.at(-1);
        }
      }
      const options = { retryCount: 2, retryDelay: 1 };
      const redlock = isOldest ? new Mine(options, ...clients) : new Mine(clients, options);
      const lock = await call(redlock, 'lock', 'a', TTL);
      assert.equal(lock.value, values[0]);
      await isEverywhere('a', values[0]);
      assert.equal((await rejection(call(redlock, 'lock', 'a', TTL))).attempts, 3);
      assert.equal(new Set(values).size, 4);
      await call(lock, 'unlock');
      await isNowhere('a');

      const own = make({ retryCount: 100, retryDelay: 5 });
      await onAll('SET', 'b', 'other');
      let asked = 0;
      own._random = () => `ours ${++asked}`;
      const waiting = call(own, 'lock', 'b', TTL);
      await until(() => asked > 1);
      await onAll('DEL', 'b');
      const waited = await waiting;
      assert.equal(waited.value, `ours ${asked}`);
      assert.ok(asked > 1);
      if ('attempts' in waited) assert.equal(waited.attempts, asked);
      // The others' key may have gone from one server later than from the majority.
      const stored = await onAll('GET', 'b');
      assert.ok(stored.filter((value) => value === waited.value).length >= 2);
      own._random = () => 7;
      assert.ok((await rejection(call(own, 'lock', 'c', TTL))) instanceof LockError);
    });

    const wrong = many
      ? [['', TTL], [[], TTL], [['a', 'a'], TTL], [undefined, TTL], ['a', '1000'], ['a', 0.5], ['a']]
      : [
          ['', TTL],
          [['a', 'b'], TTL],
          [undefined, TTL],
          ['a', '1000'],
          ['a', 0.5],
          ['a', Number.NaN],
        ];
    for (const args of wrong) {
      test(`refuses to lock ${JSON.stringify(args)} with a LockError`, async () => {
        const error = await rejection(call(make(), 'lock', ...args));
        assert.ok(error instanceof LockError);
        assert.match(error.code, /^ERR_REDLOCK_INVALID_/);
        assert.equal(error.attempts, 0);
      });
    }

    test('refuses to unlock and to extend what is no lock, with a LockError', async () => {
      for (const method of ['unlock', 'extend']) {
        for (const lock of [undefined, null, 'a', {}]) {
          const args = method === 'extend' ? [lock, TTL] : [lock];
          assert.ok((await rejection(call(make(), method, ...args))) instanceof LockError);
        }
      }
    });

    test('one silent server of three changes nothing', async () => {
      const redlock = make();
      await call(await call(redlock, 'lock', 'warm', TTL), 'unlock');
      servers[2].pause();
      try {
        const lock = await call(redlock, 'lock', 'a', TTL);
        const extended = await call(lock, 'extend', TTL);
        await call(extended, 'unlock');
      } finally {
        servers[2].resume();
      }
      await isNowhere('a');
    });
  });

  if (!isOldest) {
    describe(`redlock-native/${name}`, () => {
      test('emits clientError once per instance and command, before the outcome is told', async () => {
        const redlock = make({ retryCount: 2, retryDelay: 1 });
        await onAll('SADD', 'a', 'member');
        const emitted = [];
        redlock.on('clientError', (error) => emitted.push(error));
        await rejection(redlock.lock('a', TTL));
        assert.equal(emitted.length, 3 * clients.length);
        assert.ok(emitted.every((error) => error instanceof Error && /WRONGTYPE/.test(error.message)));
        await onAll('SET', 'b', 'other');
        await rejection(redlock.lock('b', TTL));
        assert.equal(emitted.length, 3 * clients.length);
      });

      test('_lock locks without a value and extends with one, and counts its attempts', async () => {
        const redlock = make({ retryCount: 5 });
        const lock = await redlock._lock('a', null, TTL);
        if ('attempts' in lock) assert.equal(lock.attempts, 1);
        const extended = await redlock._lock('a', lock.value, 2 * TTL);
        assert.equal(extended.value, lock.value);
        assert.notEqual(extended, lock);
        if ('attempts' in extended) assert.equal(extended.attempts, 1);
        if ('attemptsRemaining' in extended) assert.equal(extended.attemptsRemaining, 4);
        assert.ok((await rejection(redlock._lock('a', 'other', TTL))) instanceof LockError);
        await extended.unlock();
        await isNowhere('a');
      });

      test('the scripts’ texts are readable, writable, and read at each call', async () => {
        const redlock = make({ lockScript: (text) => `${text}\n-- mine` });
        assert.match(redlock.lockScript, /redis\.call(.|\n)*-- mine$/);
        for (const script of ['lockScript', 'unlockScript', 'extendScript']) {
          assert.equal(typeof redlock[script], 'string');
        }
        await (await redlock.lock('a', TTL)).unlock();
        redlock.lockScript = `redis.call('INCR', 'count') ${redlock.lockScript}`;
        await (await redlock.lock('a', TTL)).unlock();
        await isEverywhere('count', '1');
      });
    });
  }

  if (!isOldest && !many) {
    test(`redlock-native/${name} takes a custom script’s reply as its original did: by its truth`, async () => {
      const script = 'return redis.call("set", KEYS[1], ARGV[1], "NX", "PX", ARGV[2])';
      const redlock = make({ lockScript: () => script, extendScript: () => 'return "yes"' });
      const lock = await redlock.lock('a', TTL);
      await isEverywhere('a', lock.value);
      await rejection(redlock.lock('a', TTL));
      assert.equal(await lock.extend(TTL), lock);
      await lock.unlock();
      redlock.lockScript = 'return redis.error_reply("MINE no")';
      assert.ok((await rejection(redlock.lock('a', TTL))) instanceof LockError);
    });
  }

  if (facts.methods.includes('disposer')) {
    describe(`redlock-native/${name}’s disposer`, () => {
      test('releases after the routine', async () => {
        const redlock = make();
        let seen;
        const result = await bluebird.using(redlock.disposer('a', TTL), async (lock) => {
          await isEverywhere('a', lock.value);
          seen = lock;
          return 'the result';
        });
        assert.equal(result, 'the result');
        assert.equal(seen.expiration, 0);
        await isNowhere('a');
      });

      test('swallows a release that failed, and tells its handler', async () => {
        const redlock = make();
        const told = [];
        await onAll('SADD', 'set', 'member');
        const spoil = (lock) => {
          lock.resource = 'set';
        };
        await bluebird.using(redlock.disposer('a', TTL), spoil);
        await onAll('DEL', 'a');
        await bluebird.using(
          redlock.disposer('a', TTL, (error) => told.push(error)),
          spoil,
        );
        // In redlock 1 no unlock fails.
        assert.equal(told.length, name === 'v1' ? 0 : 1);
      });
    });
  }

  if (facts.methods.includes('quit')) {
    test(`redlock-native/${name}’s quit quits the clients and gives their answers`, async () => {
      const own = servers.map(connect);
      const redlock = over(own);
      await (await redlock.lock('a', TTL)).unlock();
      assert.deepEqual(await redlock.quit(), ['OK', 'OK', 'OK']);
      await until(() => own.every(({ status }) => status === 'end'));
      const error = await rejection(redlock.lock('a', TTL));
      assert.ok(error instanceof LockError);
      assert.match(error.message, /quit/);
    });
  }

  if (facts.promises) {
    test(`redlock-native/${name}: a rejection with a callback counts as handled`, async () => {
      const isAsync = name === 'redlock-async';
      const { stdout, stderr } = await runScript(`
        process.on('unhandledRejection', ({ message }) => console.log('unhandled', message));
        const Redlock = require('redlock-native/${name}');
        new Redlock(['memory://a']).lock('', 1, ({ message }) => console.log('callback'));
      `);
      assert.match(stdout, isAsync ? /^unhandled .*\n$/ : /^callback\n$/, stderr);
    });
  }

  test(`redlock-native/${name} ${facts.promises === bluebird ? 'needs' : 'does without'} bluebird`, async () => {
    const { stdout, stderr } = await runScript(`
      const Module = require('node:module');
      const resolve = Module._resolveFilename;
      Module._resolveFilename = function (name, ...rest) {
        if (name === 'bluebird') throw Object.assign(new Error('no bluebird'), { code: 'MODULE_NOT_FOUND' });
        return resolve.call(this, name, ...rest);
      };
      try { console.log(typeof require('redlock-native/${name}')); }
      catch (error) { console.log(error.code, error.message); }
    `);
    const expected =
      facts.promises === bluebird
        ? /^ERR_REDLOCK_NO_BLUEBIRD redlock-native\/v\d returns bluebird's promises.*npm install bluebird/
        : /^function\n$/;
    assert.match(stdout, expected, stderr);
  });
}

describe('redlock-native/v0', () => {
  const Redlock = require('redlock-native/v0');
  const make = () => new Redlock({ retryDelay: 5 }, ...clients);
  const called = (start) => new Promise((resolve) => start((...args) => resolve(args)));

  test('lock with a value extends what has it', async () => {
    const redlock = make();
    const [, lock] = await called((done) => redlock.lock('a', TTL, done));
    const [error, extended] = await called((done) => redlock.lock('a', lock.value, 3 * TTL, done));
    assert.equal(error, null);
    assert.equal(extended.value, lock.value);
    await until(async () => (await onAll('PTTL', 'a')).every((left) => left > 2 * TTL));
    const [refused] = await called((done) => redlock.lock('a', 'other', TTL, done));
    assert.equal(refused.name, 'LockError');
    await called((done) => redlock.unlock(extended, done));
    await isNowhere('a');
  });

  test('without a callback nothing is locked: it throws a LockError', async () => {
    const redlock = make();
    for (const start of [() => redlock.lock('a', TTL), () => redlock.extend({}, TTL)]) {
      assert.throws(start, { name: 'LockError', message: /callback must be a function/ });
    }
    assert.deepEqual(await onAll('EXISTS', 'a'), [0, 0, 0]);
  });
});

describe('redlock-native/v4', () => {
  const Redlock = require('redlock-native/v4');
  const make = (options) => new Redlock(clients, { retryDelay: 5, ...options });

  test('locks several resources or none', async () => {
    const redlock = make({ retryCount: 0 });
    const lock = await redlock.lock(['a', 'b'], TTL);
    assert.deepEqual(lock.resource, ['a', 'b']);
    await isEverywhere('b', lock.value);
    const error = await rejection(redlock.lock(['b', 'c'], TTL));
    assert.equal(error.message, 'Exceeded 0 attempts to lock the resource "b,c".');
    await isNowhere('c');
    await lock.unlock();
    await isNowhere('a');
  });

  for (const method of ['lockWithOptions', 'acquireWithOptions']) {
    test(`${method} has options for one call, of which a retryCount of 0 counts`, async () => {
      const redlock = make();
      const lock = await redlock[method]('a', TTL, { retryCount: 10, retryDelay: 1 });
      assert.equal(lock.attemptsRemaining, 9);
      assert.equal((await rejection(redlock[method]('a', TTL, { retryCount: 0 }))).attempts, 1);
      const [error] = await new Promise((resolve) =>
        redlock[method]('a', TTL, { retryCount: 1, retryDelay: 1 }, (...args) => resolve(args)),
      );
      assert.equal(error.attempts, 2);
      await lock.unlock();
    });
  }

  test('_lock takes its callback in both forms', async () => {
    const redlock = make();
    const [, older] = await new Promise((done) => redlock._lock('a', null, TTL, (...args) => done(args)));
    await older.unlock();
    const options = { retryCount: 3 };
    const [, newer] = await new Promise((done) =>
      redlock._lock('a', null, TTL, options, (...args) => done(args)),
    );
    assert.equal(newer.attemptsRemaining, 2);
    await newer.unlock();
  });

  test('`scripts` and the properties are the same texts, whichever is set', async () => {
    const redlock = make();
    const { value, hash } = redlock.scripts.lockScript;
    assert.equal(redlock.lockScript, value);
    assert.equal(hash, createHash('sha1').update(value).digest('hex'));
    redlock.scripts.lockScript.value = 'return 0';
    assert.equal(redlock.lockScript, 'return 0');
    redlock.retryCount = 0;
    assert.equal((await rejection(redlock.lock('a', TTL))).attempts, 1);
    redlock.lockScript = value;
    assert.deepEqual(redlock.scripts.lockScript, { value, hash });
    await (await redlock.lock('a', TTL)).unlock();
  });
});

describe('redlock-native itself', () => {
  test('takes the form of redlock 0.x too', async () => {
    const redlock = new main({ retryCount: 0, retryDelay: 7 }, clients[0], servers[1].url, clients[2]);
    assert.equal(redlock.retryDelay, 7);
    assert.equal(redlock.servers.length, 3);
    const lock = await redlock.lock('a', TTL);
    await isEverywhere('a', lock.value);
    await lock.unlock();
    assert.equal(new main(undefined, clients[0]).servers.length, 1);
    assert.equal(new main(null, servers[0].url).servers.length, 1);
    assert.throws(() => new main({ retryCount: 1 }), { code: 'ERR_REDLOCK_INVALID_INSTANCES' });
    assert.throws(() => new main(clients[0], clients[1]), { code: 'ERR_REDLOCK_INVALID_INSTANCES' });
  });

  test('asks an overridden _random for the value of each attempt', async () => {
    const redlock = new main(clients, { retryCount: 2, retryDelay: 1 });
    let calls = 0;
    redlock._random = () => `value ${++calls}`;
    const lock = await redlock.lock(['a', 'b'], TTL);
    assert.equal(lock.value, 'value 1');
    assert.equal(lock.attempts, 1);
    assert.equal(lock.attemptsRemaining, 1);
    const error = await rejection(redlock.lock('a', TTL));
    assert.equal(error.attempts, 3);
    assert.equal(error.message, 'Exceeded 2 attempts to lock the resource "a".');
    assert.equal(calls, 4);
    assert.equal(await lock.extend(TTL), lock);
    await lock.unlock();
    await isNowhere('b');
    redlock._random = () => '';
    assert.equal((await rejection(redlock.lock('a', TTL))).name, 'TypeError');
  });

  test('counts the attempts of _lock with a value', async () => {
    const redlock = new main(clients);
    const { value } = await redlock.lock('a', TTL);
    const extended = await redlock._lock('a', value, TTL);
    assert.equal(extended.attempts, 1);
    assert.equal(extended.attemptsRemaining, 9);
    await extended.unlock();
  });
});
