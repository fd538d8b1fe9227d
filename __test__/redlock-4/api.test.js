'use strict';

/** The rest of redlock 4's face: its README's examples, disposers, scripts, promise libraries, `_lock`. */

const assert = require('node:assert/strict');
const { createHash } = require('node:crypto');
const { afterEach, describe, before, beforeEach, test } = require('node:test');

const bluebird = require('bluebird');

const Redlock = require('../..');
const { rejection } = require('../support/rejection');
const { runScript } = require('../support/script');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');
const { until } = require('../support/until');

const TTL = 10_000;
const { Lock, LockError } = Redlock;

const suite = endOfSuite();
/** @type {import('../../scripts/servers').RedisServer[]} */
let servers;
let redlock;
before(async () => {
  servers = await startServers(suite, 3);
  redlock = make();
});
beforeEach(() => onAll('FLUSHALL'));

const urls = () => servers.map(({ url }) => url);
const onAll = (...command) => Promise.all(servers.map((server) => server.command(...command)));
const make = (options) => {
  const made = new Redlock(urls(), { retryCount: 0, ...options });
  suite.after(() => made.quit());
  return made;
};
const isEverywhere = (name, value) =>
  until(async () => (await onAll('GET', name)).every((one) => one === value));
const isNowhere = (name) => until(async () => (await onAll('EXISTS', name)).every((count) => count === 0));
/** With the callback that `call` hands on; resolves with what it is given. */
const called = (call) => new Promise((resolve) => call((...args) => resolve(args)));

describe('the examples of redlock 4’s README', () => {
  const resource = 'locks:account:322456';

  test('promises', async () => {
    await redlock.lock(resource, TTL).then((lock) => lock.unlock().catch(assert.fail));
    await redlock.lock(resource, TTL).then((lock) =>
      lock.extend(TTL).then((extended) => {
        assert.equal(extended, lock);
        return extended.unlock();
      }),
    );
    await isNowhere(resource);
  });

  test('callbacks', async () => {
    const args = await called((done) => {
      redlock.lock(resource, TTL, (error, lock) => {
        assert.equal(error, null);
        lock.extend(TTL, (again, extended) => {
          assert.equal(again, null);
          extended.unlock((last) => done(last, extended === lock));
        });
      });
    });
    assert.deepEqual(args, [null, true]);
    const [error, lock] = await called((done) => redlock.lock([resource, 'b'], TTL, done));
    assert.equal(error, null);
    assert.deepEqual(await called((done) => redlock.unlock(lock, done)), [null]);
  });

  test('disposers', async () => {
    let seen;
    const result = await bluebird.using(redlock.disposer('disposed', TTL), async (lock) => {
      assert.ok(lock instanceof Lock);
      await isEverywhere('disposed', lock.value);
      await lock.extend(2 * TTL);
      seen = lock;
      return 'the result';
    });
    assert.equal(result, 'the result');
    assert.equal(seen.expiration, 0);
    await isNowhere('disposed');
  });

  test('clientError', async () => {
    const own = make({ lockScript: (text) => `${text}\n` });
    const errors = [];
    own.on('clientError', (error) => errors.push(error));
    await onAll('SADD', 'taken', 'x');
    // The servers know the scripts from here on: the one that came last in a majority’s lock, too.
    const known = await own.lock('free', TTL);
    await isEverywhere('free', known.value);
    await known.unlock();
    await rejection(own.lock('taken', TTL));
    assert.equal(errors.length, 3);
  });

  test('custom scripts', async () => {
    const own = make({
      lockScript: (text) => `redis.call('INCR', 'locked')\n${text}`,
      unlockScript: (text) => `redis.call('INCR', 'unlocked')\n${text}`,
      extendScript: (text) => `redis.call('INCR', 'extended')\n${text}`,
    });
    // A server that does not know a script yet is asked again, but not for what was unlocked meanwhile.
    const lock = await own.lock(['a', 'b'], TTL);
    await isEverywhere('locked', '1');
    await lock.extend(2 * TTL);
    await isEverywhere('extended', '1');
    await lock.unlock();
    await isEverywhere('unlocked', '1');
    await isNowhere('a');
  });
});

describe('disposer', () => {
  afterEach(() => {
    Redlock.Promise = Promise;
  });

  test('releases after an exception too', async () => {
    const failing = bluebird.using(redlock.disposer(['a', 'b'], TTL), async () => {
      throw new Error('mine');
    });
    assert.equal((await rejection(failing)).message, 'mine');
    await isNowhere('a');
    await isNowhere('b');
  });

  test('doesn’t call the routine without the lock', async () => {
    const lock = await redlock.lock('a', TTL);
    const error = await rejection(bluebird.using(redlock.disposer('a', TTL), () => assert.fail('called')));
    assert.ok(error instanceof LockError);
    assert.equal(error.code, 'ERR_REDLOCK_HELD');
    await lock.unlock();
  });

  test('says what is wrong with its arguments', async () => {
    const error = await rejection(bluebird.using(redlock.disposer('', TTL), () => assert.fail('called')));
    assert.equal(error.code, 'ERR_REDLOCK_INVALID_RESOURCE');
  });

  test('tells its handler of a release that failed, and nobody else', async () => {
    const told = [];
    const routine = async (lock) => {
      await lock.unlock();
      return 'the result';
    };
    const handled = bluebird.using(
      redlock.disposer('a', TTL, (error) => told.push(error)),
      routine,
    );
    assert.equal(await handled, 'the result');
    assert.equal(told.length, 1);
    assert.equal(told[0].message, 'Unable to fully release the lock on resource "a".');
    assert.equal(await bluebird.using(redlock.disposer('a', TTL), routine), 'the result');
  });

  test('takes Redlock.Promise if that has disposers', async () => {
    const Own = bluebird.getNewLibraryCopy();
    Redlock.Promise = Own;
    const held = await Own.using(redlock.disposer('a', TTL), (lock) => lock.value);
    assert.match(held, /^[0-9a-f]{32}$/);
    await isNowhere('a');
  });

  test('throws where there is no bluebird, before anything is locked', async () => {
    const { code, stdout, stderr } = await runScript(`
      const Module = require('node:module');
      const resolve = Module._resolveFilename;
      Module._resolveFilename = function (name, ...rest) {
        if (name === 'bluebird') throw Object.assign(new Error('no bluebird'), { code: 'MODULE_NOT_FOUND' });
        return resolve.call(this, name, ...rest);
      };
      const redlock = new (require('redlock-native'))(['memory://a'], { retryCount: 0 });
      try { redlock.disposer('a', 5000); } catch (error) { console.log(error.code, error.message); }
      redlock.lock('a', 5000).then(() => console.log('free'));
    `);
    assert.equal(code, 0, stderr);
    assert.match(
      stdout,
      /^ERR_REDLOCK_NO_DISPOSERS disposer\(\) needs bluebird.*install bluebird.*\nfree\n$/,
    );
  });
});

describe('Redlock.Promise', () => {
  test('is the native one by default', async () => {
    assert.equal(Redlock.Promise, Promise);
    const locking = redlock.lock('a', TTL);
    assert.equal(locking.constructor, Promise);
    await (await locking).unlock();
  });

  test('is what the methods return promises of', async () => {
    Redlock.Promise = bluebird;
    try {
      const locking = redlock.lock('a', TTL);
      assert.ok(locking instanceof bluebird);
      const lock = await locking;
      const extending = lock.extend(TTL);
      assert.ok(extending instanceof bluebird);
      await extending.tap((extended) => assert.equal(extended, lock));
      const unlocking = lock.unlock();
      assert.ok(unlocking instanceof bluebird);
      await unlocking;
      await lock
        .unlock()
        .then(assert.fail)
        .catch(LockError, ({ code }) => assert.equal(code, 'ERR_REDLOCK_NOT_HELD'));
      assert.ok(redlock._lock('b', null, TTL) instanceof bluebird);
      assert.ok(new Redlock(['memory://promise']).quit() instanceof bluebird);
    } finally {
      Redlock.Promise = Promise;
    }
  });

  test('of another library doesn’t make a rejection with a callback an unhandled one', async () => {
    const { stdout, stderr } = await runScript(`
      const Redlock = require('redlock-native');
      Redlock.Promise = require('bluebird');
      process.on('unhandledRejection', (error) => console.log('unhandled', error.message));
      new Redlock(['memory://a']).lock('', 1, (error) => console.log('callback', error.code));
    `);
    assert.equal(stdout, 'callback ERR_REDLOCK_INVALID_RESOURCE\n', stderr);
  });
});

describe('options of one call', () => {
  for (const method of ['lockWithOptions', 'acquireWithOptions', 'lock', 'acquire']) {
    test(method, async () => {
      const options = { retryCount: 2, retryDelay: 1, retryJitter: 0 };
      const lock = await redlock[method]('a', TTL, options);
      assert.equal(lock.attemptsRemaining, 1);
      const error = await rejection(redlock[method]('a', TTL, options));
      assert.equal(error.message, 'Exceeded 2 attempts to lock the resource "a".');
      assert.equal(error.attempts, 3);
      const none = make({ retryCount: 5 });
      assert.equal((await rejection(none[method]('a', TTL, { retryCount: 0 }))).attempts, 1);
      const [failed] = await called((done) => redlock[method]('a', TTL, options, done));
      assert.equal(failed.attempts, 3);
      await lock.unlock();
      const [free, again] = await called((done) => redlock[method](['a', 'b'], TTL, options, done));
      assert.equal(free, null);
      await again.unlock();
    });
  }
});

describe('_lock', () => {
  test('without a value locks, in both forms', async () => {
    for (const call of [
      () => redlock._lock('a', null, TTL),
      () => redlock._lock(['a'], undefined, TTL, {}),
      () => redlock._lock('a', null, TTL, null),
    ]) {
      const lock = await call();
      assert.ok(lock instanceof Lock);
      await isEverywhere('a', lock.value);
      await lock.unlock();
    }
    const [, older] = await called((done) => redlock._lock('a', null, TTL, done));
    assert.equal((await rejection(redlock._lock('a', null, TTL))).code, 'ERR_REDLOCK_HELD');
    await older.unlock();
    const [, newer] = await called((done) => redlock._lock('a', null, TTL, { retryCount: 3 }, done));
    assert.equal(newer.attemptsRemaining, 2);
    await newer.unlock();
  });

  test('with a value extends what has it, in both forms', async () => {
    const { value } = await redlock.lock('a', TTL);
    const extended = await redlock._lock('a', value, 2 * TTL);
    assert.ok(extended instanceof Lock);
    assert.equal(extended.value, value);
    assert.ok(extended.expiration > Date.now() + TTL);
    const [, older] = await called((done) => redlock._lock('a', value, 3 * TTL, done));
    assert.equal(older.value, value);
    const [, newer] = await called((done) => redlock._lock(['a'], value, 3 * TTL, {}, done));
    await until(async () => (await onAll('PTTL', 'a')).every((left) => left > 2 * TTL));
    await newer.unlock();
    await isNowhere('a');
  });

  test('with a value that nobody has takes nothing', async () => {
    assert.ok((await rejection(redlock._lock('a', 'x', TTL))) instanceof LockError);
    assert.deepEqual(await onAll('EXISTS', 'a'), [0, 0, 0]);
    await onAll('SET', 'a', 'other');
    assert.ok((await rejection(redlock._lock('a', 'x', TTL))) instanceof LockError);
    assert.deepEqual(await onAll('GET', 'a'), ['other', 'other', 'other']);
    const [error] = await called((done) => redlock._lock('a', 'x', TTL, done));
    assert.ok(error instanceof LockError);
  });
});

describe('properties', () => {
  test('servers has an address for each, without passwords, and nobody prints it', async () => {
    const own = new Redlock(['memory://x', 'redis://u:secret@127.0.0.1:1/2?keyPrefix=p', '/nowhere.sock']);
    assert.deepEqual(own.servers, ['memory://x', 'redis://127.0.0.1:1/2', 'unix:///nowhere.sock']);
    assert.equal(own.servers.length, own.connections.length);
    assert.ok(!Object.keys(own).includes('servers'));
    await own.quit();
  });

  test('the scripts’ texts are readable, with their SHA-1', () => {
    for (const name of ['lockScript', 'unlockScript', 'extendScript']) {
      const { value, hash } = redlock.scripts[name];
      assert.equal(redlock[name], value);
      assert.match(value, /redis\.call/);
      assert.equal(hash, createHash('sha1').update(value).digest('hex'));
    }
  });

  test('options that are functions are given our text, once, and theirs is what is readable', () => {
    const given = [];
    const own = make({
      lockScript: (...args) => {
        given.push(args);
        return `${args[0]}\n-- mine`;
      },
    });
    assert.deepEqual(given, [[redlock.lockScript]]);
    assert.equal(own.lockScript, `${redlock.lockScript}\n-- mine`);
    assert.equal(own.scripts.lockScript.value, own.lockScript);
    assert.equal(own.unlockScript, redlock.unlockScript);
  });
});

describe('custom scripts', () => {
  const LOCK = (reply) => () =>
    `
    for _, key in ipairs(KEYS) do
      if redis.call('EXISTS', key) == 1 then return 0 end
    end
    for _, key in ipairs(KEYS) do
      redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
      redis.call('SET', key .. ':seen', #KEYS .. ' ' .. #ARGV .. ' ' .. ARGV[1] .. ' ' .. ARGV[2])
    end
    return ${reply}`;

  for (const [what, reply] of [
    ['the number of keys', '#KEYS'],
    ['the same as text', 'tostring(#KEYS)'],
  ]) {
    for (const names of ['a', ['a', 'b', 'c']]) {
      test(`apply if they answer ${what} (${[names].flat().length})`, async () => {
        const own = make({ lockScript: LOCK(reply) });
        const lock = await own.lock(names, TTL);
        await isEverywhere('a', lock.value);
        await isEverywhere('a:seen', `${[names].flat().length} 2 ${lock.value} ${TTL}`);
        assert.equal((await rejection(own.lock(names, TTL))).code, 'ERR_REDLOCK_HELD');
        await lock.unlock();
        await isNowhere('a');
      });
    }
  }

  for (const reply of ['0', "'0'", '#KEYS + 1', 'nil', 'false']) {
    test(`don’t apply if they answer ${reply}`, async () => {
      const own = make({ lockScript: () => `return ${reply}` });
      const error = await rejection(own.lock('a', TTL));
      assert.ok(error instanceof LockError);
      assert.equal(error.message, 'Exceeded 0 attempts to lock the resource "a".');
    });
  }

  for (const [what, text] of [
    ['that isn’t Lua', 'this is no Lua'],
    ['that fails', "return redis.error_reply('MINE no')"],
    ['that throws', "error('mine')"],
  ]) {
    test(`a script ${what} is a vote with its cause`, async () => {
      const own = make({ lockScript: () => text });
      const errors = [];
      own.on('clientError', (error) => errors.push(error));
      const error = await rejection(own.lock('a', TTL));
      assert.equal(error.code, 'ERR_REDLOCK_UNAVAILABLE');
      // What comes too late for the outcome is none.
      const refused = error.votes.filter((vote) => vote.error?.code === 'ERR_REDLOCK_REFUSED');
      assert.ok(refused.length >= 2);
      assert.ok(errors.length >= 2);
    });
  }

  test('survive SCRIPT FLUSH and a restart', async (t) => {
    const [server] = await startServers(t, 1);
    const own = new Redlock([server.url], { lockScript: LOCK('#KEYS'), retryCount: 100, retryDelay: 20 });
    t.after(() => own.quit());
    await (await own.lock('a', TTL)).unlock();
    await server.command('SCRIPT', 'FLUSH');
    await (await own.lock('a', TTL)).unlock();
    await server.restart();
    await (await own.lock('a', TTL)).unlock();
  });

  test('a script that is replaced counts from the next call on', async () => {
    const own = make();
    await (await own.lock('a', TTL)).unlock();
    const original = own.scripts.lockScript;
    const value = LOCK('#KEYS')();
    own.scripts.lockScript = { value, hash: createHash('sha1').update(value).digest('hex') };
    const lock = await own.lock('a', TTL);
    await isEverywhere('a:seen', `1 2 ${lock.value} ${TTL}`);
    await lock.unlock();
    own.scripts.lockScript.value = 'return 0';
    assert.ok((await rejection(own.lock('a', TTL))) instanceof LockError);
    own.scripts.lockScript = original;
    await onAll('FLUSHALL');
    await (await own.lock('a', TTL)).unlock();
    assert.deepEqual(await onAll('EXISTS', 'a:seen'), [0, 0, 0]);
  });

  test('of one Redlock are none of another’s', async () => {
    const own = make({ lockScript: () => 'return 0' });
    const [refused, granted] = await Promise.allSettled([own.lock('a', TTL), redlock.lock('a', TTL)]);
    assert.deepEqual([refused.status, granted.status], ['rejected', 'fulfilled']);
    await granted.value.unlock();
  });

  test('that aren’t functions are ignored', async () => {
    const { stdout } = await runScript(`
      process.on('warning', ({ code, message }) => console.log(code, message));
      const redlock = new (require('redlock-native'))(['memory://a'], { lockScript: 'return 0' });
      redlock.lock('a', 5000).then(() => console.log('locked'));
    `);
    assert.match(stdout, /REDLOCK_OPTIONS.*"lockScript" must be a function/);
    assert.match(stdout, /^locked$/m);
  });

  test('must be text', () => {
    for (const text of [undefined, null, 1, {}]) {
      assert.throws(() => new Redlock(urls(), { unlockScript: () => text }), {
        name: 'TypeError',
        code: 'ERR_REDLOCK_INVALID_OPTIONS',
        message: /the option "unlockScript" must return a script's text/,
      });
    }
  });

  test('can’t be run in memory', () => {
    assert.throws(() => new Redlock([urls()[0], 'memory://a'], { lockScript: () => 'return 1' }), {
      name: 'RangeError',
      code: 'ERR_REDLOCK_INVALID_OPTIONS',
      message: /instances\[1\] is in this process, where Lua scripts can't be run/,
    });
    // Nothing is changed, so there is nothing to run.
    new Redlock(['memory://a'], { lockScript: (text) => text });
  });
});

describe('a lock of Object.create', () => {
  test('with other resources is released under those', async () => {
    const lock = await redlock.lock('a', TTL);
    for (const resource of ['b', ['b'], ['b', 'c']]) {
      for (const name of [resource].flat()) await onAll('SET', name, lock.value, 'PX', TTL);
      const other = Object.create(lock);
      other.resource = resource;
      assert.ok(other instanceof Lock);
      assert.equal(await other.extend(2 * TTL), other);
      await other.unlock();
      for (const name of [resource].flat()) await isNowhere(name);
    }
    await isEverywhere('a', lock.value);
    assert.ok(lock.expiration > Date.now());
    await lock.unlock();
  });
});
