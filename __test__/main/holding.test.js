'use strict';

/** Locks that are kept: extended in the engine's own thread, lost at the right moment, let go of. */

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const { before, describe, test } = require('node:test');
const { setTimeout: sleep } = require('node:timers/promises');

const Redlock = require('../..');
const { block } = require('../support/block');
const { IOREDIS, makeClient } = require('../support/clients');
const { assertValue, namesLike, promoted, urlsOf, valuesAt } = require('../support/redlock');
const { rejection } = require('../support/rejection');
const { runScript } = require('../support/script');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');
const { until } = require('../support/until');

const MINUTE = 60_000;

/** Each way to the servers by which a lock can be kept while JavaScript is blocked. */
const ROUTES = {
  URLs: async (_t, servers, options) => new Redlock(urlsOf(servers), options),
  'promoted clients': async (t, servers, options) => {
    const clients = await Promise.all(servers.map((server) => makeClient(t, IOREDIS, server)));
    const redlock = new Redlock(clients, options);
    await promoted(redlock);
    return redlock;
  },
};

function open(t, servers, options) {
  const redlock = new Redlock(urlsOf(servers), options);
  t.after(() => redlock.quit());
  return redlock;
}

const newName = namesLike('holding ');

/** Deletes a lock's key, once it has come to all of these servers. */
async function remove(servers, name) {
  await until(async () => (await valuesAt(servers, name)).every(Boolean));
  await Promise.all(servers.map((server) => server.command('DEL', name)));
}

/** Waits for its event; a signal keeps no process alive by itself. */
async function abortOf(signal) {
  // It may be lost before what has its loss come about is answered.
  if (signal.aborted) return;
  const awake = setInterval(() => signal, 1000);
  await once(signal, 'abort');
  clearInterval(awake);
}

/** When a lock ends, as performance.now() counts. */
function endOf(lock) {
  return performance.now() + lock.remaining();
}

/** Waits until a lock has been extended so often, as far as can be seen. */
async function extensions(lock, count) {
  for (let seen = 0; seen < count; seen += 1) {
    const end = endOf(lock);
    await until(() => endOf(lock) > end + 10, { what: 'the lock is extended' });
  }
}

let servers;

describe('a lock that is kept', () => {
  const suite = endOfSuite();
  before(async () => {
    servers = await startServers(suite, 3);
  });

  describe('while JavaScript is blocked for five times the ttl', () => {
    const PREPARE = `
      const { writeSync } = require('node:fs');
      const { once } = require('node:events');
      const [name, urls, route] = JSON.parse(process.env.CASE);
      const tell = (line) => writeSync(1, line + '\\n');
      async function hold(signal, value) {
        tell('held ' + value);
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2000);
        tell('unblocked ' + signal.aborted);
        process.stdin.resume();
        await once(process.stdin, 'end');
      }
      async function open(options) {
        const Redlock = require('redlock-native');
        if (route === 'URLs') return new Redlock(urls, options);
        const Redis = require('ioredis');
        const redlock = new Redlock(urls.map((url) => new Redis(url)), options);
        await require('./__test__/support/redlock').promoted(redlock);
        return redlock;
      }
    `;
    const HOLDERS = {
      using: `open().then((redlock) => redlock
        .using(name, 400, (signal, lock) => hold(signal, lock.value))).then(() => process.exit())`,
      lock: `open().then((redlock) => redlock.lock(name, 400, { autoExtend: true })).then(async (lock) => {
          await hold(lock.signal, lock.value);
          await lock.unlock();
          process.exit();
        })`,
      'redlock 5': `
        const Redis = require('ioredis');
        const other = new (require('redlock-5').default)(urls.map((url) => new Redis(url)), {
          automaticExtensionThreshold: 200,
        });
        other.on('error', () => {});
        other.using([name], 400, (signal) => hold(signal, 'unknown')).catch(() => {}).then(() => process.exit())`,
    };

    /** What another process sees of it, and gets, until the holder has come to itself. */
    async function contend(t, holder, route) {
      const name = newName();
      const child = spawn(process.execPath, ['-e', PREPARE + HOLDERS[holder]], {
        cwd: path.join(__dirname, '..', '..'),
        stdio: ['pipe', 'pipe', 'inherit'],
        env: { ...process.env, CASE: JSON.stringify([name, urlsOf(servers), route]) },
      });
      const ended = once(child, 'exit');
      t.after(async () => {
        child.kill('SIGKILL');
        await ended;
      });
      let said = '';
      child.stdout.setEncoding('utf8').on('data', (chunk) => {
        said += chunk;
      });
      const redlock = open(t, servers);
      await until(() => said.includes('held '), { timeout: 15_000, what: 'it is held' });
      const value = /held (\S+)/.exec(said)?.[1];
      const got = [];
      let tries = 0;
      let bare = 0;
      while (!said.includes('unblocked')) {
        const [lock, values] = await Promise.all([
          redlock.lock(name, 400, { tryLock: true }),
          valuesAt(servers, name),
        ]);
        tries += 1;
        if (lock) got.push(lock);
        if (values.filter((one) => one === value).length < 2) bare += 1;
        await sleep(20);
      }
      child.stdin.end();
      await ended;
      return { got: got.length, tries, bare, said };
    }

    for (const [holder, route] of [
      ['using', 'URLs'],
      ['using', 'promoted clients'],
      ['lock', 'URLs'],
    ]) {
      test(`${holder} over ${route} holds it on a majority all the time`, async (t) => {
        const { got, tries, bare, said } = await contend(t, holder, route);
        assert.ok(tries > 10, `${tries} tries`);
        assert.deepEqual({ got, bare }, { got: 0, bare: 0 });
        assert.match(said, /unblocked false/);
      });
    }

    test('redlock 5 loses it in the same case', async (t) => {
      const { got } = await contend(t, 'redlock 5', 'URLs');
      assert.ok(got > 0);
    });
  });

  describe('when all instances have stopped', () => {
    for (const [route, openBy] of Object.entries(ROUTES)) {
      for (const autoExtend of [true, false]) {
        const how = autoExtend ? 'with' : 'without';
        test(`is lost at its deadline, over ${route} ${how} extension`, async (t) => {
          const own = await startServers(t, 3);
          const redlock = await openBy(t, own);
          t.after(() => redlock.quit());
          const delays = [];
          for (let run = 0; run < 3; run += 1) {
            const lock = await redlock.lock(newName(), 400, { autoExtend });
            for (const server of own) server.pause();
            const end = endOf(lock);
            const { signal } = lock;
            const timer = sleep(Math.ceil(end - performance.now())).then(() => performance.now() - end);
            await abortOf(signal);
            const late = performance.now() - end;
            // The clocks that are compared have their grain.
            assert.ok(late > -1, `${-late} ms before its deadline`);
            assert.equal(lock.remaining(), 0);
            assert.equal(signal.reason.code, 'ERR_REDLOCK_EXPIRED');
            if (autoExtend) assert.ok(signal.reason.votes.every(({ vote }) => vote !== 'granted'));
            delays.push(late - Math.max(0, await timer));
            for (const server of own) server.resume();
            await Promise.all(own.map((server) => until(() => server.command('PING'))));
          }
          // Others compute on this machine too: the best of the runs is ours.
          assert.ok(Math.min(...delays) < 20, `late by ${delays} ms`);
        });
      }
    }
  });

  describe('is seen to be lost at the first look after JavaScript was blocked beyond its end', () => {
    function look(lock) {
      const { signal } = lock;
      const { aborted, reason } = signal;
      assert.equal(aborted, true);
      assert.ok(reason instanceof Redlock.LockError);
      assert.equal(reason.code, 'ERR_REDLOCK_EXPIRED');
      assert.throws(
        () => signal.throwIfAborted(),
        (error) => error === reason,
      );
      assert.equal(lock.held, false);
      assert.equal(lock.remaining(), 0);
      return reason;
    }

    for (const autoExtend of [false, true]) {
      test(autoExtend ? 'extended, without an instance' : 'not extended', async (t) => {
        const own = autoExtend ? await startServers(t, 3) : servers;
        const redlock = open(t, own);
        const lock = await redlock.lock(newName(), 150, { autoExtend });
        const aborts = [];
        const losses = [];
        lock.signal.addEventListener('abort', (event) => aborts.push(event));
        redlock.on('lost', (...what) => losses.push(what));
        if (autoExtend) for (const server of own) server.pause();
        block(300);
        const reason = look(lock);
        assert.deepEqual([aborts.length, losses.length], [0, 0], 'who looks runs no listeners');
        await until(() => aborts.length && losses.length);
        // Whatever else there were to be told would have come by then.
        await sleep(50);
        assert.equal(aborts.length, 1);
        assert.deepEqual(losses.length, 1);
        assert.equal(losses[0][0], reason);
        assert.equal(losses[0][1], lock);
        assert.equal(lock.signal.reason, reason);
      });
    }
  });

  describe('whose keys are deleted', () => {
    for (const [where, count] of Object.entries({ 'all instances': 3, 'a majority': 2 })) {
      test(`on ${where} is lost at the next extension, and using still gives its result`, async (t) => {
        const redlock = open(t, servers);
        const name = newName();
        const result = { its: 'own' };
        const given = await redlock.using(name, 900, async (signal, lock) => {
          const end = endOf(lock);
          await remove(servers.slice(0, count), name);
          await abortOf(signal);
          assert.ok(performance.now() < end, 'not only at its end');
          assert.equal(signal.reason.code, 'ERR_REDLOCK_NOT_HELD');
          assert.equal(lock.held, false);
          return result;
        });
        assert.equal(given, result);
      });
    }

    test('on a minority is not lost', async (t) => {
      const redlock = open(t, servers);
      const name = newName();
      await redlock.using(name, 300, async (signal, lock) => {
        await remove(servers.slice(0, 1), name);
        await extensions(lock, 3);
        assert.equal(signal.aborted, false);
      });
    });
  });

  describe('using', () => {
    test("gives the routine's own result, also one that is no promise, and releases", async (t) => {
      const redlock = open(t, servers);
      const name = newName();
      assert.equal(await redlock.using(name, 5000, () => 7), 7);
      assert.equal(await redlock.using(name, 5000, { autoExtend: { maxHold: 6000 } }, async () => 8), 8);
      await assertValue(servers, name, null);
    });

    test("gives the routine's own error, thrown or rejected, as it is", async (t) => {
      const redlock = open(t, servers);
      const name = newName();
      const own = new Error('own');
      const thrown = redlock.using(name, 5000, () => {
        throw own;
      });
      assert.equal(await rejection(thrown), own);
      assert.equal(await rejection(redlock.using(name, 5000, async () => Promise.reject(own))), own);
      await assertValue(servers, name, null);
    });

    test('tells of a release that failed by an event, not its caller', async (t) => {
      const own = await startServers(t, 3);
      const redlock = open(t, own, { retryCount: 0 });
      const told = [];
      redlock.on('unlockError', (...what) => told.push(what));
      let lock;
      const result = await redlock.using('a', 5000, async (_signal, held) => {
        lock = held;
        await Promise.all(own.map((server) => server.kill()));
        return 'result';
      });
      assert.equal(result, 'result');
      assert.equal(told.length, 1);
      assert.ok(told[0][0] instanceof Redlock.LockError);
      assert.equal(told[0][0].code, 'ERR_REDLOCK_UNAVAILABLE');
      assert.equal(told[0][1], lock);

      await Promise.all(own.map((server) => server.restart()));
      await until(() => redlock.connections.every(({ state }) => state === 'ready'), { timeout: 15_000 });
      const error = new Error('own');
      const failed = redlock.using('b', 5000, async () => {
        await Promise.all(own.map((server) => server.kill()));
        throw error;
      });
      assert.equal(await rejection(failed), error);
      assert.equal(told.length, 2);
    });

    test('a listener that throws then is an uncaught exception, and costs no result', async (t) => {
      const own = await startServers(t, 3);
      const running = runScript(
        `const Redlock = require('redlock-native');
        const redlock = new Redlock(JSON.parse(process.env.URLS), { retryCount: 0 });
        process.on('uncaughtException', (error) => console.log('uncaught', error.message));
        redlock.on('unlockError', () => { throw new Error('from the listener'); });
        redlock.using('a', 5000, async () => {
          for (const pid of JSON.parse(process.env.PIDS)) process.kill(pid, 'SIGKILL');
          return 'result';
        }).then((result) => {
          console.log('gave', result);
          setImmediate(() => process.exit());
        });`,
        { env: { URLS: JSON.stringify(urlsOf(own)), PIDS: JSON.stringify(own.map(({ pid }) => pid)) } },
      );
      const { stdout } = await running;
      assert.deepEqual(stdout.trim().split('\n').sort(), ['gave result', 'uncaught from the listener']);
    });
  });

  for (const [what, by] of Object.entries({ back: -MINUTE, forward: MINUTE })) {
    test(`does not notice the wall clock stepping ${what} by a minute`, async (t) => {
      const redlock = open(t, servers);
      const name = newName();
      const { now } = Date;
      await redlock.using(name, 300, async (signal, lock) => {
        t.mock.method(Date, 'now', () => now.call(Date) + by);
        await extensions(lock, 3);
        assert.equal(signal.aborted, false);
        assert.equal(lock.held, true);
        assert.ok(Math.abs(lock.expiration - Date.now() - lock.remaining()) < 50, 'told by the new clock');
        assert.equal(await redlock.lock(name, 300, { tryLock: true }), null);
      });
      await assertValue(servers, name, null);
    });
  }

  test('is extended in time beside tens of thousands who wait for another', async (t) => {
    const redlock = new Redlock(urlsOf(servers), { retryCount: -1, retryDelay: 100, retryJitter: 50 });
    const lock = await redlock.lock(newName(), 3000, { autoExtend: true });
    const contended = newName();
    const other = await redlock.lock(contended, MINUTE);
    const waiting = Array.from({ length: 30_000 }, () => redlock.lock(contended, MINUTE));
    const settled = Promise.allSettled(waiting);
    await extensions(lock, 4);
    assert.equal(lock.signal.aborted, false);
    await Promise.all([lock.unlock(), redlock.quit()]);
    const outcomes = await settled;
    const granted = outcomes.filter(({ status }) => status === 'fulfilled');
    assert.deepEqual(granted, [], 'nobody gets what another holds');
    const own = open(t, servers);
    await own.unlock(other);
  });

  test('may have a ttl that no timer can wait for', async (t) => {
    const ttl = 2 ** 31 + 1_000_000;
    const redlock = new Redlock(urlsOf(servers));
    const name = newName();
    const lock = await redlock.lock(name, ttl, { autoExtend: true });
    const { signal } = lock;
    const left = ttl - Math.round(ttl * 0.01) - 2;
    assert.ok(lock.remaining() <= left && lock.remaining() > left - 5000, String(lock.remaining()));
    for (const server of servers) {
      // The lock is there with a majority; the last server may still be asked.
      await until(async () => (await server.command('EXISTS', name)) === 1);
      const pttl = await server.command('PTTL', name);
      assert.ok(pttl <= ttl && pttl > ttl - 5000, String(pttl));
    }
    const warned = [];
    const listener = (warning) => warned.push(warning.name);
    process.on('warning', listener);
    t.after(() => process.off('warning', listener));
    await redlock.quit();
    // A timer that overflows ends at once.
    await sleep(50);
    assert.equal(signal.aborted, false);
    assert.deepEqual(warned, []);
    await remove(servers, name);
  });

  describe('with maxHold', () => {
    test('ends no later than that, at the servers too', async (t) => {
      const redlock = open(t, servers);
      const name = newName();
      const ttl = 300;
      const maxHold = 800;
      const asked = performance.now();
      const lock = await redlock.lock(name, ttl, { autoExtend: { maxHold } });
      const latest = performance.now() + maxHold;
      const { signal } = lock;
      let extended = false;
      let lastHeld = 0;
      while (!signal.aborted) {
        assert.ok(endOf(lock) <= latest + 1, 'it is not believed in for longer');
        const before = performance.now();
        const pttl = await servers[0].command('PTTL', name);
        // Unbounded, it would be kept for a whole ttl more; an extension is under way for a while.
        assert.ok(before + pttl <= latest + ttl / 2, 'nor kept for longer');
        const now = performance.now();
        if (!signal.aborted) lastHeld = now;
        extended ||= now > asked + ttl;
        await sleep(2);
      }
      assert.ok(extended, 'it was extended');
      assert.ok(lastHeld <= latest, `still held ${lastHeld - latest} ms later`);
      assert.equal(signal.reason.code, 'ERR_REDLOCK_MAX_HOLD');
      assert.ok(performance.now() - asked > maxHold - ttl / 3, 'it was held for about as long');
    });

    test('can be extended beyond it by hand, and ends then', async (t) => {
      const redlock = open(t, servers);
      const lock = await redlock.lock(newName(), 200, { autoExtend: { maxHold: 300 } });
      const latest = performance.now() + 300;
      await lock.extend(600);
      assert.ok(endOf(lock) > latest + 100);
      const end = endOf(lock);
      await abortOf(lock.signal);
      assert.ok(performance.now() > end - 1);
    });
  });

  describe('is extended no more', () => {
    test('after its release', async (t) => {
      const redlock = open(t, servers);
      const name = newName();
      const lock = await redlock.lock(name, 300, { autoExtend: true });
      const { signal } = lock;
      await extensions(lock, 1);
      await lock.unlock();
      // The same value once more: were it still extended, this would live on.
      for (const server of servers) await server.command('SET', name, lock.value, 'PX', 300);
      await until(async () => (await valuesAt(servers, name)).every((value) => value === null), {
        timeout: 3000,
      });
      assert.equal(signal.aborted, false, 'a release is no loss');
      assert.equal(lock.held, false);
    });

    test('after quit(), and its signal still tells its end', async () => {
      const redlock = new Redlock(urlsOf(servers));
      const name = newName();
      const lock = await redlock.lock(name, 300, { autoExtend: true });
      const { signal } = lock;
      const losses = [];
      signal.addEventListener('abort', () => losses.push(performance.now()));
      await redlock.quit();
      const end = endOf(lock);
      // What it waits for keeps no process.
      await until(() => losses.length, { what: 'the signal is aborted' });
      assert.ok(losses[0] > end - 1);
      assert.equal(signal.reason.code, 'ERR_REDLOCK_EXPIRED');
      await until(async () => (await valuesAt(servers, name)).every((value) => value === null));
    });

    for (const kept of [false, true]) {
      test(
        kept ? 'but goes on while the signal is referenced' : 'once it was garbage-collected',
        async () => {
          const name = newName();
          const { stdout, stderr } = await runScript(
            `const Redlock = require('redlock-native');
          const { setTimeout: sleep } = require('node:timers/promises');
          const redlock = new Redlock(JSON.parse(process.env.URLS));
          async function take() {
            const lock = await redlock.lock(process.env.NAME, 300, { autoExtend: true });
            return lock.signal;
          }
          async function main() {
            globalThis.signal = await take();
            if (!process.env.KEPT) globalThis.signal = undefined;
            const end = performance.now() + (process.env.KEPT ? 1200 : 8000);
            let seen = 'x';
            while (performance.now() < end && seen !== null) {
              globalThis.gc();
              await sleep(20);
              seen = (await redlock.inspect(process.env.NAME)).held ? 'x' : null;
            }
            console.log(seen === null ? 'gone' : 'held', globalThis.signal?.aborted);
            process.exit();
          }
          main();`,
            {
              flags: ['--expose-gc'],
              env: { URLS: JSON.stringify(urlsOf(servers)), NAME: name, KEPT: kept ? 'yes' : '' },
            },
          );
          assert.equal(stdout.trim(), kept ? 'held false' : 'gone undefined', stderr);
        },
      );
    }
  });

  for (const [what, program] of Object.entries({
    'a routine': `redlock.using(name, 300, { autoExtend: { maxHold: 700 } }, (signal) => once(signal, 'abort'))`,
    'what has no extension': `redlock.lock(name, 300).then((lock) => once(lock.signal, 'abort'))`,
  })) {
    test(`is not garbage-collected under ${what} that only waits for the signal's event`, async () => {
      const { stdout, stderr } = await runScript(
        `const { once } = require('node:events');
        const Redlock = require('redlock-native');
        const redlock = new Redlock(JSON.parse(process.env.URLS));
        const name = process.env.NAME;
        setInterval(() => globalThis.gc(), 20);
        setTimeout(() => process.exit(), 8000);
        ${program}.then(() => {
          console.log('told');
          process.exit();
        });`,
        { flags: ['--expose-gc'], env: { URLS: JSON.stringify(urlsOf(servers)), NAME: newName() } },
      );
      assert.equal(stdout.trim(), 'told', stderr);
    });
  }

  describe('without extension', () => {
    test('has a signal that is aborted at its end, which extending by hand moves', async (t) => {
      const redlock = open(t, servers);
      const lock = await redlock.lock(newName(), 300);
      const { signal } = lock;
      const first = endOf(lock);
      await lock.extend(800);
      const second = endOf(lock);
      assert.ok(second > first + 200);
      await abortOf(signal);
      assert.ok(performance.now() > second - 1);
      assert.equal(signal.reason.code, 'ERR_REDLOCK_EXPIRED');
    });

    test('has a signal that its release does not abort', async (t) => {
      const redlock = open(t, servers);
      const lock = await redlock.lock(newName(), 150);
      const { signal } = lock;
      const end = endOf(lock);
      await lock.unlock();
      await until(() => performance.now() > end + 50);
      assert.equal(signal.aborted, false);
      signal.throwIfAborted();
    });

    test('is kept from lock.autoExtend() on', async (t) => {
      const redlock = open(t, servers);
      const lock = await redlock.lock(newName(), 300);
      assert.equal(lock.autoExtend(), lock);
      await extensions(lock, 3);
      assert.equal(lock.held, true);
      await lock.unlock();
    });

    test('works with AbortSignal.any()', { skip: !AbortSignal.any }, async (t) => {
      const redlock = open(t, servers);
      const lock = await redlock.lock(newName(), 150);
      const both = AbortSignal.any([lock.signal, new AbortController().signal]);
      await abortOf(both);
      assert.equal(both.reason, lock.signal.reason);
    });
  });

  describe("'s expiration", () => {
    test('moves, is written to JSON, and can be set', async (t) => {
      const redlock = open(t, servers);
      const lock = await redlock.lock(newName(), 300, { autoExtend: true });
      const first = lock.expiration;
      assert.ok(Object.keys(lock).includes('expiration'));
      await extensions(lock, 2);
      assert.ok(lock.expiration > first);
      const stored = JSON.parse(JSON.stringify(lock));
      assert.ok(Number.isInteger(stored.expiration) && stored.expiration > first);
      assert.deepEqual(stored.resource, lock.resource);
      lock.expiration = 0;
      assert.equal(lock.expiration, 0);
      assert.equal(JSON.parse(JSON.stringify(lock)).expiration, 0);
      await lock.unlock();
    });

    test('tells what remains of a lock from elsewhere', async (t) => {
      const redlock = open(t, servers);
      const rebuilt = new Redlock.Lock(redlock, 'a', 'value', Date.now() + 5000);
      assert.ok(rebuilt.remaining() <= 5000 && rebuilt.remaining() > 3000);
      assert.equal(rebuilt.held, true);
      rebuilt.expiration = Date.now() - 1;
      assert.deepEqual([rebuilt.remaining(), rebuilt.held], [0, false]);
    });
  });

  describe('is released by Symbol.asyncDispose', { skip: !Symbol.asyncDispose }, () => {
    test('and that it was gone already is no error', async (t) => {
      const redlock = open(t, servers);
      redlock.on('unlockError', assert.fail);
      const name = newName();
      const lock = await redlock.lock(name, 5000);
      await lock[Symbol.asyncDispose]();
      await assertValue(servers, name, null);
      await lock[Symbol.asyncDispose]();
      const other = await redlock.lock(name, 5000);
      await remove(servers, name);
      assert.equal(await other[Symbol.asyncDispose](), undefined);
    });

    test('and what else goes wrong is an event', async (t) => {
      const own = await startServers(t, 3);
      const redlock = open(t, own, { retryCount: 0 });
      const told = [];
      redlock.on('unlockError', (...what) => told.push(what));
      const lock = await redlock.lock('a', 5000);
      await Promise.all(own.map((server) => server.kill()));
      await lock[Symbol.asyncDispose]();
      assert.equal(told.length, 1);
      assert.equal(told[0][0].code, 'ERR_REDLOCK_UNAVAILABLE');
      assert.equal(told[0][1], lock);
    });

    test('and a Redlock is closed by it, which leaves locks alone', async (t) => {
      const redlock = open(t, servers);
      const name = newName();
      const lock = await redlock.lock(name, 5000);
      assert.equal(await redlock[Symbol.asyncDispose](), undefined);
      assert.equal((await redlock.lock(name, 5000).catch((error) => error)).code, 'ERR_REDLOCK_CLOSED');
      await assertValue(servers, name, lock.value);
      await redlock[Symbol.asyncDispose]();
    });

    test('also if a polyfill brings it after the package was loaded', async () => {
      const { stdout, stderr } = await runScript(
        `let brought;
        // Node.js does not let its own be deleted.
        const { Symbol: own } = globalThis;
        globalThis.Symbol = Object.setPrototypeOf((text) => own(text), own);
        Object.defineProperty(Symbol, 'asyncDispose', { get: () => brought });
        const Redlock = require('redlock-native');
        const redlock = new Redlock(['memory://polyfill']);
        async function main() {
          await (await redlock.lock('before', 5000)).unlock();
          brought = own('asyncDispose');
          const lock = await redlock.lock('a', 5000);
          await lock[brought]();
          console.log((await redlock.inspect('a')).held);
          await new Redlock(['memory://polyfill'])[brought]();
          process.exit();
        }
        main();`,
      );
      assert.equal(stdout.trim(), 'false', stderr);
    });
  });

  test('goes on where the servers of its Redlock are replaced', async (t) => {
    const redlock = open(t, servers.slice(0, 2));
    const [name, held] = [newName(), newName()];
    await redlock.lock(held, MINUTE);
    const kept = await redlock.lock(name, 300, { autoExtend: true });
    const waiting = rejection(redlock.lock(held, MINUTE, { retryCount: -1 }));
    redlock.servers = urlsOf(servers.slice(2));
    await (await redlock.lock(newName(), MINUTE)).unlock();
    await extensions(kept, 3);
    assert.equal(kept.signal.aborted, false);
    const error = await waiting;
    assert.equal(error.code, 'ERR_REDLOCK_CLOSED');
    assert.match(error.cause.message, /the servers of this Redlock were replaced by others/);
    await kept.unlock();
    await assertValue(servers.slice(0, 2), name, null);
  });

  for (const unlock of [false, true]) {
    test(`ends with quit({ unlock: ${unlock} }), where the servers of its Redlock were replaced`, async () => {
      const redlock = new Redlock(urlsOf(servers.slice(0, 2)));
      const name = newName();
      const kept = await redlock.lock(name, 300, { autoExtend: true });
      const { signal } = kept;
      redlock.servers = urlsOf(servers.slice(2));
      await (await redlock.lock(newName(), MINUTE)).unlock();
      await redlock.quit({ unlock });
      const values = () => valuesAt(servers.slice(0, 2), name);
      if (unlock) assert.deepEqual(await values(), [null, null]);
      await abortOf(signal);
      await until(async () => (await values()).every((value) => value === null), {
        what: 'nobody extends it',
      });
    });
  }

  describe("'s own settings", () => {
    test('count for its extensions', async (t) => {
      const redlock = open(t, servers);
      const name = newName();
      const lock = await redlock.lock(name, 600, { driftFactor: 0.5, autoExtend: true });
      assert.ok(lock.remaining() <= 300);
      await extensions(lock, 2);
      assert.ok(lock.remaining() <= 300, 'extended by itself');
      await lock.extend(2000);
      assert.ok(lock.remaining() <= 1000 && lock.remaining() > 600, 'extended by hand');
      await lock.unlock();
    });

    test('count for its release', async (t) => {
      const own = await startServers(t, 3);
      const redlock = open(t, own, { retryCount: 7, retryDelay: 5, retryJitter: 0 });
      const lock = await redlock.lock('a', 5000, { retryCount: 1 });
      await Promise.all(own.map((server) => server.kill()));
      assert.equal((await rejection(lock.extend(5000))).attempts, 2);
      const byOwn = await rejection(lock.unlock());
      const stranger = { resource: ['b'], value: 'b', expiration: Date.now() + 5000 };
      const byDefault = await rejection(redlock.unlock(stranger));
      assert.ok(byOwn.attempts <= 2, `${byOwn.attempts} attempts`);
      assert.ok(byDefault.attempts >= byOwn.attempts);
    });
  });

  describe('stopExtending', () => {
    test('lets it end when it does: its signal says so, and nobody is told of a loss', async (t) => {
      const redlock = open(t, servers);
      const lost = [];
      redlock.on('lost', (error) => lost.push(error));
      const name = newName();
      const lock = await redlock.lock(name, 400, { autoExtend: true });
      await extensions(lock, 2);
      assert.equal(lock.stopExtending(), lock);
      const { signal } = lock;
      const end = endOf(lock);
      assert.equal(lock.held, true);
      assert.equal(signal.aborted, false);
      assert.ok(Math.abs(lock.expiration - Date.now() - lock.remaining()) < 50);
      assert.ok(Object.getOwnPropertyDescriptor(lock, 'expiration').writable);
      await abortOf(signal);
      assert.ok(performance.now() >= end - 2);
      assert.equal(signal.reason.code, 'ERR_REDLOCK_EXPIRED');
      assert.equal(lock.held, false);
      assert.equal(lock.remaining(), 0);
      assert.deepEqual(lost, []);
      await until(async () => (await valuesAt(servers, name)).every((value) => value === null));
    });

    test('leaves it to be unlocked, extended, or extended by itself again', async (t) => {
      const redlock = open(t, servers);
      const name = newName();
      const lock = await redlock.lock(name, 400, { autoExtend: true });
      lock.stopExtending();
      await lock.extend(5000);
      assert.ok(lock.remaining() > 3000);
      assert.ok(lock.expiration > Date.now() + 3000);
      lock.autoExtend({ ttl: 400 });
      // It is extended once no more than two thirds of 400 ms are left.
      lock.stopExtending();
      await lock.extend(300);
      lock.autoExtend({ ttl: 400 });
      await extensions(lock, 2);
      lock.stopExtending();
      await lock.unlock();
      assert.equal(lock.stopExtending(), lock);
      await assertValue(servers, name, null);
    });

    test('inside of using, too, which releases it in any case', async (t) => {
      const redlock = open(t, servers);
      const name = newName();
      const reason = await redlock.using(name, 300, async (signal, lock) => {
        await extensions(lock, 1);
        lock.stopExtending();
        if (!signal.aborted) await once(signal, 'abort');
        return signal.reason;
      });
      assert.equal(reason.code, 'ERR_REDLOCK_EXPIRED');
    });

    test('does nothing to a lock that is not extended, or is lost', async (t) => {
      const redlock = open(t, servers);
      const lock = await redlock.lock(newName(), 5000);
      const { expiration } = lock;
      lock.stopExtending();
      assert.equal(lock.expiration, expiration);
      assert.ok(lock.held);
      await lock.unlock();
      const name = newName();
      const kept = await redlock.lock(name, 300, { autoExtend: true });
      await remove(servers, name);
      await abortOf(kept.signal);
      kept.stopExtending();
      assert.equal(kept.held, false);
      assert.equal(kept.expiration, 0);
      assert.equal(kept.signal.reason.code, 'ERR_REDLOCK_NOT_HELD');
    });
  });

  describe('restored from JSON', () => {
    test('can be extended and unlocked in another process', async (t) => {
      const redlock = open(t, servers);
      const name = newName();
      const lock = await redlock.lock(name, 5000);
      const { stdout, stderr } = await runScript(
        `const Redlock = require('redlock-native');
        const redlock = new Redlock(JSON.parse(process.env.URLS));
        async function main() {
          const lock = redlock.restore(process.env.STORED);
          await lock.extend(60_000);
          const { held, remaining, value } = await redlock.inspect(process.env.NAME);
          console.log(lock instanceof Redlock.Lock, held, remaining > 50_000, value === lock.value);
          await lock.unlock();
          process.exit();
        }
        main();`,
        { env: { URLS: JSON.stringify(urlsOf(servers)), NAME: name, STORED: JSON.stringify(lock) } },
      );
      assert.equal(stdout.trim(), 'true true true true', stderr);
      await assertValue(servers, name, null);
    });

    test('knows the ttl that it was taken with', async (t) => {
      const redlock = open(t, servers);
      const lock = await redlock.lock(newName(), 400);
      const restored = redlock.restore(JSON.stringify(lock)).autoExtend();
      await extensions(restored, 2);
      await restored.unlock();
    });

    test('can be kept from then on', async (t) => {
      const redlock = open(t, servers);
      const lock = await redlock.lock(newName(), 400);
      const { ttl: _, ...stored } = JSON.parse(JSON.stringify(lock));
      const restored = redlock.restore(stored);
      assert.equal(
        (await rejection((async () => restored.autoExtend())())).code,
        'ERR_REDLOCK_INVALID_OPTIONS',
      );
      restored.autoExtend({ ttl: 400 });
      await extensions(restored, 3);
      await restored.unlock();
    });

    for (const [what, stored] of Object.entries({
      'bad JSON': '{',
      'no text': undefined,
      'a number': 5,
      'JSON of null': 'null',
      'JSON of an array': '[]',
      'no value': '{"resource":["a"],"expiration":5}',
      'no resource': '{"value":"a","expiration":5}',
      'an expiration that is text': '{"resource":["a"],"value":"a","expiration":"5"}',
    })) {
      test(`is refused clearly: ${what}`, (t) => {
        const redlock = open(t, servers);
        assert.throws(() => redlock.restore(stored), {
          name: 'TypeError',
          code: 'ERR_REDLOCK_INVALID_LOCK',
          message: /\block\b/,
        });
      });
    }
  });
});
