'use strict';

/** What node:diagnostics_channel tells of calls, holds, losses and connections. */

const assert = require('node:assert/strict');
const { AsyncLocalStorage } = require('node:async_hooks');
const { channel } = require('node:diagnostics_channel');
const { before, describe, test } = require('node:test');
const { inspect } = require('node:util');

const bluebird = require('bluebird');
const Redis = require('ioredis');

const Redlock = require('../..');
const { default: RedlockV5 } = require('../../compat/v5');
const RedlockV0 = require('../../compat/v0');
const RedlockV3 = require('../../compat/v3');
const RedlockV4 = require('../../compat/v4');
const Redislock = require('../../compat/redislock/redislock');
const { allTold } = require('../support/all-told');
const { block } = require('../support/block');
const { IOREDIS, makeClient } = require('../support/clients');
const { namesLike, redlockOver, urlsOf } = require('../support/redlock');
const { rejection } = require('../support/rejection');
const { runScript } = require('../support/script');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');
const { until } = require('../support/until');

const HOUR = 3_600_000;
const PARTS = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'];

const newName = namesLike('channels ');

/**
 * What a tracing channel tells during a test: one entry for each message, with what its context was by then.
 *
 * @param {import('node:test').TestContext} t
 * @param {string} operation
 */
function listenTo(t, operation) {
  const told = [];
  for (const part of PARTS) {
    const one = channel(`tracing:redlock:${operation}:${part}`);
    const listener = (context) => told.push({ part, context, at: { ...context } });
    one.subscribe(listener);
    t.after(() => one.unsubscribe(listener));
  }
  return told;
}

/** @param {import('node:test').TestContext} t */
function listenToPoint(t, name) {
  const told = [];
  const listener = (message) => told.push(message);
  channel(name).subscribe(listener);
  t.after(() => channel(name).unsubscribe(listener));
  return told;
}

/** What a context says already. */
const known = (at) => Object.fromEntries(Object.entries(at).filter(([, value]) => value !== undefined));

const partsOf = (told) => told.map(({ part }) => part);

describe('node:diagnostics_channel', () => {
  const suite = endOfSuite();
  let servers;
  before(async () => {
    servers = await startServers(suite, 3);
  });

  describe('a call is told', () => {
    test('from its start to its end, with what came of it', async (t) => {
      const redlock = redlockOver(t, urlsOf(servers));
      const name = newName();
      const [lock, extend, unlock] = ['lock', 'extend', 'unlock'].map((operation) => listenTo(t, operation));
      const held = await redlock.lock([name, `${name}/2`], HOUR);
      await held.extend(2 * HOUR);
      await held.unlock();
      await allTold();

      assert.deepEqual(partsOf(lock), ['start', 'end', 'asyncStart', 'asyncEnd']);
      assert.deepEqual(known(lock[0].at), { resource: [name, `${name}/2`], ttl: HOUR });
      for (const { context } of lock) assert.equal(context, lock[0].context);
      const { waited, ...rest } = lock.at(-1).at;
      assert.ok(waited > 0, `${waited}`);
      assert.deepEqual(rest.outcome, 'granted');
      assert.equal(rest.attempts, 1);
      assert.ok(rest.votes.filter(({ vote }) => vote === 'granted').length >= 2);
      assert.deepEqual(partsOf(extend), ['start', 'end', 'asyncStart', 'asyncEnd']);
      assert.equal(extend.at(-1).at.outcome, 'extended');
      assert.equal(extend.at(-1).at.ttl, 2 * HOUR);
      assert.equal(unlock.at(-1).at.outcome, 'released');
      assert.deepEqual(unlock[0].at.resource, [name, `${name}/2`]);
      const all = inspect([lock, extend, unlock], { depth: 9, showHidden: true });
      assert.ok(!all.includes(held.value), all);
    });

    test('with its error, the code and the votes, where it fails', async (t) => {
      const redlock = redlockOver(t, urlsOf(servers), { retryCount: 0 });
      const name = newName();
      await redlock.lock(name, HOUR);
      const told = listenTo(t, 'lock');
      const error = await rejection(redlock.lock(name, HOUR));
      await allTold();
      assert.deepEqual(partsOf(told), ['start', 'end', 'error', 'asyncStart', 'asyncEnd']);
      const { at } = told.at(-1);
      assert.equal(at.error.message, error.message);
      assert.equal(at.error.name, 'LockError');
      assert.equal(at.outcome, 'held');
      assert.equal(at.code, 'ERR_REDLOCK_HELD');
      assert.equal(at.attempts, 1);
      assert.deepEqual(
        at.votes.map(({ vote }) => vote),
        error.votes.map(({ vote }) => vote),
      );
    });

    test('where tryLock finds it held, which is no error', async (t) => {
      const redlock = redlockOver(t, urlsOf(servers));
      const name = newName();
      await redlock.lock(name, HOUR);
      const told = listenTo(t, 'lock');
      assert.equal(await redlock.tryLock(name, HOUR), null);
      await allTold();
      assert.deepEqual(partsOf(told), ['start', 'end', 'asyncStart', 'asyncEnd']);
      const { outcome, code, votes } = told.at(-1).at;
      assert.deepEqual({ outcome, code }, { outcome: 'held', code: 'ERR_REDLOCK_HELD' });
      assert.ok(votes.filter(({ vote }) => vote === 'held').length >= 2);
    });

    test('where its arguments are refused, and where its caller gives it up', async (t) => {
      const redlock = redlockOver(t, urlsOf(servers), { retryCount: -1 });
      const name = newName();
      await redlock.lock(name, HOUR);
      const told = listenTo(t, 'lock');
      await rejection(redlock.lock(name, -1));
      await allTold();
      assert.equal(told.at(-1).at.outcome, 'invalid');
      const signal = AbortSignal.abort(new Error('no more'));
      await rejection(redlock.lock(name, HOUR, { signal }));
      await allTold();
      assert.equal(told.at(-1).at.outcome, 'aborted');
      assert.equal(told.at(-1).at.error.message, 'no more');
      await rejection(redlock.lock(name, HOUR, { maxWait: 1 }));
      await allTold();
      assert.equal(told.at(-1).at.outcome, 'timeout');
    });

    test('in a store that is bound to its start', async (t) => {
      const redlock = redlockOver(t, urlsOf(servers));
      const storage = new AsyncLocalStorage();
      const start = channel('tracing:redlock:lock:start');
      start.bindStore(storage, (context) => ({ of: context }));
      t.after(() => start.unbindStore(storage));
      await allTold();
      const seen = [];
      const asyncEnd = channel('tracing:redlock:lock:asyncEnd');
      const listener = (context) => seen.push([storage.getStore()?.of, context]);
      asyncEnd.subscribe(listener);
      t.after(() => asyncEnd.unsubscribe(listener));
      await (await redlock.lock(newName(), HOUR)).unlock();
      await allTold();
      assert.equal(seen.length, 1);
      assert.equal(seen[0][0], seen[0][1]);
      assert.equal(storage.getStore(), undefined);
    });

    test('of the entries for other packages too', async (t) => {
      const client = await makeClient(t, IOREDIS, servers[0]);
      const [lock, extend, unlock] = ['lock', 'extend', 'unlock'].map((operation) => listenTo(t, operation));
      const hold = listenTo(t, 'hold');
      const outcomes = async () => {
        await allTold();
        return [lock, extend, unlock, hold].map((told) => told.splice(0).at(-1)?.at.outcome);
      };
      const all = ['granted', 'extended', 'released', 'released'];

      const v5 = new RedlockV5([client]);
      const five = await v5.acquire([newName()], HOUR);
      await (await five.extend(HOUR)).release();
      assert.deepEqual(await outcomes(), all);

      const v3 = new RedlockV3([client]);
      const three = await v3.lock(newName(), HOUR);
      await three.extend(HOUR);
      await three.unlock();
      assert.deepEqual(await outcomes(), all);

      const one = Redislock.createLock(client);
      await one.acquire(newName());
      await one.extend(HOUR);
      await one.release();
      assert.deepEqual(await outcomes(), all);
    });

    test('with the promises of another library', async (t) => {
      class Own extends Redlock {
        static Promise = bluebird;
      }
      const redlock = new Own(urlsOf(servers));
      t.after(() => redlock.quit());
      const told = listenTo(t, 'lock');
      const promise = redlock.lock(newName(), HOUR);
      assert.ok(promise instanceof bluebird);
      await promise;
      await allTold();
      assert.equal(told.at(-1).at.outcome, 'granted');
    });
  });

  describe('a hold is told', () => {
    test('from the grant to the release', async (t) => {
      const redlock = redlockOver(t, urlsOf(servers));
      const told = listenTo(t, 'hold');
      const name = newName();
      const lock = await redlock.lock(name, HOUR);
      await allTold();
      assert.deepEqual(partsOf(told), ['start', 'end']);
      assert.deepEqual(known(told[0].at), { resource: [name], ttl: HOUR });
      await lock.extend(HOUR);
      await allTold();
      assert.equal(told.length, 2);
      await lock.unlock();
      await allTold();
      assert.deepEqual(partsOf(told), ['start', 'end', 'asyncStart', 'asyncEnd']);
      const { outcome, held } = told.at(-1).at;
      assert.equal(outcome, 'released');
      assert.ok(held > 0);
    });

    test('of a routine', async (t) => {
      const redlock = redlockOver(t, urlsOf(servers));
      const told = listenTo(t, 'hold');
      await redlock.using(newName(), HOUR, async () => {
        await allTold();
        assert.deepEqual(partsOf(told), ['start', 'end']);
      });
      await allTold();
      assert.equal(told.at(-1).at.outcome, 'released');
    });

    test('until it is lost, with the reason', async (t) => {
      const redlock = redlockOver(t, urlsOf(servers));
      const told = listenTo(t, 'hold');
      const lost = listenToPoint(t, 'redlock:lost');
      const name = newName();
      const lock = await redlock.lock(name, HOUR, { autoExtend: { threshold: HOUR - 50 } });
      await Promise.all(servers.map((server) => server.command('DEL', name)));
      await until(() => lost.length > 0);
      await allTold();
      assert.deepEqual(partsOf(told), ['start', 'end', 'error', 'asyncStart', 'asyncEnd']);
      const { outcome, code, error } = told.at(-1).at;
      assert.deepEqual({ outcome, code }, { outcome: 'lost', code: 'ERR_REDLOCK_NOT_HELD' });
      assert.equal(error.message, lock.signal.reason.message);
      assert.deepEqual(lost[0].resource, [name]);
      assert.equal(lost[0].code, code);
      assert.equal(lost[0].error.message, error.message);
      assert.equal(lost[0].votes.length, 3);
      const all = inspect([told, lost], { depth: 9, showHidden: true });
      assert.ok(!all.includes(lock.value), all);
    });

    test('until its validity ends, where nobody releases it', async (t) => {
      const redlock = redlockOver(t, urlsOf(servers));
      const told = listenTo(t, 'hold');
      await redlock.lock(newName(), 100);
      await until(() => partsOf(told).includes('asyncEnd'));
      const { outcome, code, held } = told.at(-1).at;
      assert.deepEqual({ outcome, code }, { outcome: 'lost', code: 'ERR_REDLOCK_EXPIRED' });
      assert.ok(held >= 90, `${held}`);
    });

    test('as released by a quit that unlocks', async (t) => {
      const redlock = redlockOver(t, urlsOf(servers));
      const told = listenTo(t, 'hold');
      await redlock.lock(newName(), HOUR);
      await redlock.lock(newName(), HOUR, { autoExtend: true });
      await redlock.quit({ unlock: true });
      await allTold();
      const ends = told.filter(({ part }) => part === 'asyncEnd');
      assert.deepEqual(
        ends.map(({ at }) => at.outcome),
        ['released', 'released'],
      );
    });
  });

  test('a connection is told as the event has it', async (t) => {
    const told = listenToPoint(t, 'redlock:connection');
    const redlock = new Redlock(urlsOf(servers));
    t.after(() => redlock.quit());
    const events = [];
    redlock.on('connection', (connection) => events.push(connection));
    await until(() => redlock.connections.every(({ state }) => state === 'ready'));
    assert.deepEqual(told, events);
    assert.ok(told.length > 0);
  });

  describe('whoever listens and takes long', () => {
    const TTL = 400;
    const CHANNELS = [
      'lock:start',
      'lock:asyncStart',
      'lock:asyncEnd',
      'hold:start',
      'extend:asyncStart',
      'extend:asyncEnd',
    ];
    const FACES = {
      'the main class': async () => {
        const redlock = new Redlock(urlsOf(servers));
        const lock = (options) => redlock.lock(newName(), TTL, options);
        return {
          quit: () => redlock.quit(),
          ways: [() => lock(), () => lock({ maxWait: HOUR }), async () => (await lock()).extend(2 * TTL)],
        };
      },
      'redlock 4': async () => {
        const redlock = new RedlockV4(urlsOf(servers));
        const lock = () => redlock.lock(newName(), TTL);
        return { quit: () => redlock.quit(), ways: [lock, async () => (await lock()).extend(2 * TTL)] };
      },
      'redlock 5': async () => {
        const redlock = new RedlockV5(urlsOf(servers));
        const lock = () => redlock.acquire([newName()], TTL);
        return { quit: () => redlock.quit(), ways: [lock, async () => (await lock()).extend(2 * TTL)] };
      },
    };
    for (const [face, open] of Object.entries(FACES)) {
      test(`delays nobody who gets a lock: ${face}`, async (t) => {
        const { ways, quit } = await open();
        t.after(quit);
        const slow = () => block(TTL + 100);
        for (const way of ways) {
          for (const one of CHANNELS) {
            const slowed = channel(`tracing:redlock:${one}`);
            slowed.subscribe(slow);
            const left = (await way()).expiration - Date.now();
            slowed.unsubscribe(slow);
            assert.ok(left > 0, `${one}: ${left} ms are left`);
            await allTold();
          }
        }
      });
    }
  });

  test('quit() resolves once all has been told', async () => {
    const redlock = new Redlock(urlsOf(servers));
    const told = [];
    const asyncEnd = channel('tracing:redlock:hold:asyncEnd');
    const listener = ({ outcome }) => told.push(outcome);
    asyncEnd.subscribe(listener);
    await redlock.lock(newName(), HOUR);
    await redlock.quit({ unlock: true });
    asyncEnd.unsubscribe(listener);
    assert.deepEqual(told, ['released']);
  });

  test('subscribers that lock do not nest, and get messages in the order of what happened', async (t) => {
    const redlock = redlockOver(t, ['memory://nesting'], { retryCount: 0 });
    const locks = await Promise.all(Array.from({ length: 2000 }, () => redlock.lock(newName(), HOUR)));
    let depth = 0;
    let deepest = 0;
    const order = [];
    const holds = Array.from({ length: 2 }, (_, which) => {
      const one = channel('tracing:redlock:hold:asyncEnd');
      const listener = ({ resource }) => {
        depth += 1;
        deepest = Math.max(deepest, depth);
        if (which === 0) redlock.lock(newName(), HOUR).catch(() => {});
        else order.push(resource[0]);
        depth -= 1;
      };
      one.subscribe(listener);
      return () => one.unsubscribe(listener);
    });
    t.after(() => {
      for (const end of holds) end();
    });
    // They are told of holds that begin from then on.
    const more = await Promise.all(Array.from({ length: 2000 }, () => redlock.lock(newName(), HOUR)));
    await Promise.all([...locks, ...more].map((lock) => lock.unlock()));
    await until(() => order.length >= 2000);
    assert.equal(deepest, 1);
    assert.deepEqual(
      order.slice(0, 2000),
      more.map(({ resource }) => resource[0]),
    );
  });

  test('a message that somebody has frozen is told as it is, and changes nothing of the call', async (t) => {
    const redlock = redlockOver(t, urlsOf(servers), { retryCount: 0 });
    for (const operation of ['lock', 'extend', 'unlock', 'hold']) {
      const start = channel(`tracing:redlock:${operation}:start`);
      start.subscribe(Object.freeze);
      t.after(() => start.unsubscribe(Object.freeze));
    }
    const told = listenTo(t, 'lock');
    const name = newName();
    const lock = await redlock.lock(name, HOUR);
    await allTold();
    assert.equal((await rejection(redlock.lock(name, HOUR))).code, 'ERR_REDLOCK_HELD');
    await lock.extend(HOUR);
    await lock.unlock();
    await allTold();
    const failed = ['start', 'end', 'error', 'asyncStart', 'asyncEnd'];
    assert.deepEqual(partsOf(told), ['start', 'end', 'asyncStart', 'asyncEnd', ...failed]);
    assert.ok(told.every(({ at }) => at.outcome === undefined));
  });

  test('a hold by redlock 5’s using goes on with its extensions', async (t) => {
    const redlock = new RedlockV5(urlsOf(servers));
    t.after(() => redlock.quit());
    const told = listenTo(t, 'hold');
    await redlock.using([newName()], 400, { automaticExtensionThreshold: 200 }, (signal) => {
      return new Promise((resolve) => setTimeout(() => resolve(signal.aborted), 1000));
    });
    await allTold();
    const { outcome, held } = told.at(-1).at;
    assert.equal(outcome, 'released');
    assert.ok(held >= 990, `${held}`);
  });

  test('a hold goes on where an extension is refused whose result is another lock', async (t) => {
    const redlock = new RedlockV0({}, await makeClient(t, IOREDIS, servers[0]));
    const told = listenTo(t, 'hold');
    const call = (object, method, ...args) =>
      new Promise((resolve, reject) => {
        object[method](...args, (error, value) => (error ? reject(error) : resolve(value)));
      });
    const lock = await call(redlock, 'lock', newName(), HOUR);
    await rejection(call(lock, 'extend', -1));
    await call(lock, 'unlock');
    await allTold();
    assert.equal(told.at(-1).at.outcome, 'released');
  });

  test('no message has what a client’s error has: the command with the value, or a password', async (t) => {
    const user = 'locker on >pass-word ~* -@all +get +del +ping +info +role';
    const [server] = await startServers(t, 1, { users: [user] });
    const told = ['lock', 'extend', 'unlock', 'hold'].map((operation) => listenTo(t, operation));
    told.push(listenToPoint(t, 'redlock:vote'), listenToPoint(t, 'redlock:connection'));
    for (const password of ['pass-word', 'wrong-word']) {
      const client = new Redis({
        port: server.port,
        host: server.host,
        username: 'locker',
        password,
        lazyConnect: true,
      });
      client.on('error', () => {});
      t.after(() => client.disconnect());
      const redlock = redlockOver(t, [client], { retryCount: 0, connections: 'bridge' });
      redlock._random = () => `the-value-${password}`;
      const error = await rejection(redlock.lock(newName(), HOUR));
      assert.equal(error.code, 'ERR_REDLOCK_UNAVAILABLE');
    }
    assert.ok(told[0].length >= 4 && told.at(-2).length >= 2);
    const all = inspect(told, { depth: 20, showHidden: true, maxArrayLength: null, maxStringLength: null });
    for (const secret of ['the-value', 'pass-word', 'wrong-word']) assert.ok(!all.includes(secret), all);
  });

  test('a subscriber that throws costs nobody a lock', async () => {
    const code = `
      const assert = require('node:assert/strict');
      const { channel } = require('node:diagnostics_channel');
      const Redlock = require('./index.js');
      let thrown = 0;
      process.on('uncaughtException', (error) => {
        assert.equal(error.message, 'a subscriber');
        thrown += 1;
      });
      for (const operation of ['lock', 'extend', 'unlock', 'hold']) {
        for (const part of ['start', 'end', 'asyncStart', 'asyncEnd', 'error']) {
          channel('tracing:redlock:' + operation + ':' + part).subscribe(() => { throw new Error('a subscriber'); });
        }
      }
      (async () => {
        const redlock = new Redlock(['memory://throwing']);
        const lock = await redlock.lock('a', 10_000);
        assert.equal(await redlock.tryLock('a', 10_000), null);
        await lock.extend(10_000);
        await lock.unlock();
        await redlock.using('a', 10_000, async () => {});
        await redlock.quit();
        console.log(thrown);
      })();
    `;
    const { stdout } = await runScript(code);
    assert.ok(Number(stdout) > 20, stdout);
  });
});
