'use strict';

/** quit({ unlock: true }), for a process that is told to end: what it holds is free at once. */

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const { before, describe, test } = require('node:test');

const Redlock = require('../..');
const { IOREDIS, makeClient } = require('../support/clients');
const { assertValue, namesLike, urlsOf, valuesAt } = require('../support/redlock');
const { rejection } = require('../support/rejection');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');
const { until } = require('../support/until');
const { within } = require('../support/within');

const MINUTE = 60_000;
const ROOT = path.join(__dirname, '..', '..');

const newName = namesLike('parting ');

/** Each way to the servers. */
const ROUTES = {
  URLs: async (_t, servers) => new Redlock(urlsOf(servers)),
  'clients alone': async (t, servers) => {
    const clients = await Promise.all(servers.map((server) => makeClient(t, IOREDIS, server)));
    return new Redlock(clients, { connections: 'bridge' });
  },
};

let servers;

describe('quit({ unlock: true })', () => {
  const suite = endOfSuite();
  before(async () => {
    servers = await startServers(suite, 3);
  });

  test('claims nothing of what was taken on servers that were replaced since', async () => {
    const redlock = new Redlock(urlsOf(servers.slice(0, 1)));
    const name = newName();
    const lock = await redlock.lock(name, MINUTE);
    redlock.servers = urlsOf(servers.slice(1, 2));
    await (await redlock.lock(newName(), MINUTE)).unlock();
    await redlock.quit({ unlock: true });
    const error = await rejection(lock.unlock());
    assert.equal(error.code, 'ERR_REDLOCK_CLOSED');
    assert.equal(await servers[0].command('GET', name), lock.value);
    await servers[0].command('DEL', name);
  });

  test('on SIGTERM leaves nothing behind, whatever was held, kept, waited for or asked for just then', async (t) => {
    const other = new Redlock(urlsOf(servers));
    t.after(() => other.quit());
    const [held, mine] = [await other.lock(newName(), MINUTE), `${newName()} of the process`];
    const program = `
      const Redlock = require('redlock-native');
      const [urls, held, mine] = JSON.parse(process.env.CASE);
      const redlock = new Redlock(urls, { retryCount: -1 });
      const told = [];
      for (const event of ['lost', 'unlockError']) redlock.on(event, (error) => told.push(event + error.message));
      process.on('SIGTERM', async () => {
        // Under way.
        for (let i = 0; i < 20; i++) redlock.lock(mine + ' late ' + i, ${MINUTE}).catch(() => {});
        await redlock.quit({ unlock: true });
        process.stdout.write(told.join(), () => process.exit(3));
      });
      async function main() {
        await redlock.lock(mine, ${MINUTE});
        await redlock.lock([mine + ' b', mine + ' a'], ${MINUTE});
        await redlock.lock(mine + ' kept', ${MINUTE}, { autoExtend: true });
        const extended = await redlock.lock(mine + ' extended', 1000);
        await extended.extend(${MINUTE});
        redlock.using(mine + ' used', ${MINUTE}, (signal) => new Promise(() => {}));
        redlock.lock(held, ${MINUTE}).catch(() => {});
        await redlock.lock(mine + ' ready', ${MINUTE});
        process.stdout.write('ready ');
      }
      main();`;
    const env = { ...process.env, CASE: JSON.stringify([urlsOf(servers), held.resource, mine]) };
    const child = spawn(process.execPath, ['-e', program], {
      cwd: ROOT,
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.after(() => child.kill('SIGKILL'));
    let said = '';
    child.stdout.on('data', (text) => {
      said += text;
    });
    const all = () => Promise.all(servers.map((server) => server.keys()));
    await until(async () => said.includes('ready'), { what: 'the process holds its locks' });
    await until(async () => (await all()).every((keys) => keys.length >= 8));
    child.kill('SIGTERM');
    const [code] = await once(child, 'exit');
    assert.equal(code, 3);
    assert.equal(said, 'ready ');
    await until(async () => (await all()).every((keys) => keys.join() === held.resource.join()));
    await held.unlock();
  });

  for (const [route, open] of Object.entries(ROUTES)) {
    test(`releases what was granted, and nothing of anybody else: ${route}`, async (t) => {
      const redlock = await open(t, servers);
      const other = new Redlock(urlsOf(servers));
      t.after(() => other.quit());
      const [mine, both, theirs, passed] = [newName(), [newName(), newName()], newName(), newName()];
      const lock = await redlock.lock(mine, MINUTE);
      await redlock.lock(both, MINUTE);
      const gone = await redlock.lock(newName(), MINUTE);
      await gone.unlock();
      const stranger = await other.lock(theirs, MINUTE);
      // It may be somebody else who holds it: this one only looks at it.
      redlock.restore(JSON.stringify(await other.lock(passed, MINUTE))).signal;
      const replies = await redlock.quit({ unlock: true });
      assert.deepEqual(replies, ['OK', 'OK', 'OK']);
      for (const name of [mine, ...both]) await assertValue(servers, name, null);
      await assertValue(servers, theirs, stranger.value);
      await until(async () => (await valuesAt(servers, passed)).every(Boolean));
      assert.equal(lock.held, false);
    });

    test(`hands out nothing that was under way, and leaves nothing of it: ${route}`, async (t) => {
      const redlock = await open(t, servers);
      await (await redlock.lock(newName(), MINUTE)).unlock();
      const wanted = Array.from({ length: 50 }, newName);
      const asked = wanted.map((name) => redlock.lock(name, MINUTE));
      const outcomes = Promise.allSettled(asked);
      await redlock.quit({ unlock: true });
      for (const { status, value, reason } of await outcomes) {
        if (status === 'fulfilled') assert.equal(value.held, false);
        else assert.equal(reason.code, 'ERR_REDLOCK_CLOSED');
      }
      for (const name of wanted) await assertValue(servers, name, null);
    });
  }

  test('ends what holders believe before anything is released, and is no loss', async () => {
    const redlock = new Redlock(urlsOf(servers));
    const told = [];
    for (const event of ['lost', 'unlockError']) redlock.on(event, (error) => told.push(error));
    const lock = await redlock.lock(newName(), MINUTE);
    const kept = await redlock.lock(newName(), MINUTE, { autoExtend: true });
    const { signal } = lock;
    let inside;
    const used = redlock.using(newName(), MINUTE, async (mine, own) => {
      inside = own;
      if (!mine.aborted) await once(mine, 'abort');
      return [own.held, mine.reason.code];
    });
    await until(async () => inside !== undefined, { what: 'the routine runs' });
    const quitting = redlock.quit({ unlock: true });
    assert.deepEqual([lock.held, lock.remaining(), kept.held, inside.held], [false, 0, false, false]);
    assert.deepEqual([signal.aborted, kept.signal.aborted], [true, true]);
    assert.equal(signal.reason.code, 'ERR_REDLOCK_CLOSED');
    assert.deepEqual(await used, [false, 'ERR_REDLOCK_CLOSED']);
    // Whoever unlocks it in a `finally` finds that it is done.
    await lock.unlock();
    await quitting;
    await kept.unlock();
    assert.equal((await rejection(lock.extend(1000))).code, 'ERR_REDLOCK_CLOSED');
    assert.equal((await rejection(redlock.lock(newName(), 1000))).code, 'ERR_REDLOCK_CLOSED');
    assert.equal(redlock.restore(JSON.stringify(kept)).held, false);
    assert.deepEqual(told, []);
  });

  test('may be called again by those whom it tells that their locks have ended', async () => {
    const redlock = new Redlock(urlsOf(servers));
    const names = [newName(), newName()];
    const quits = [];
    for (const name of names) {
      const { signal } = await redlock.lock(name, MINUTE, { autoExtend: true });
      signal.addEventListener('abort', () => quits.push(redlock.quit({ unlock: true })));
    }
    await within(5000, redlock.quit({ unlock: true }), 'the end');
    assert.equal(quits.length, 2);
    await within(5000, Promise.all(quits), 'the end, for those who were told');
    for (const name of names) await assertValue(servers, name, null);
  });

  test('releases a lock from elsewhere that is extended here', async (t) => {
    const redlock = new Redlock(urlsOf(servers));
    const other = new Redlock(urlsOf(servers));
    t.after(() => other.quit());
    const name = newName();
    redlock.restore(JSON.stringify(await other.lock(name, MINUTE))).autoExtend({ ttl: MINUTE });
    await redlock.quit({ unlock: true });
    await assertValue(servers, name, null);
  });

  test('tells of what could not be released, in bounded time', async (t) => {
    const own = await startServers(t, 3);
    const redlock = new Redlock(urlsOf(own), { deadlineFloor: 1000, deadlineCeiling: 300 });
    const [first, second, over] = [newName(), newName(), newName()];
    const lock = await redlock.lock(first, MINUTE);
    await redlock.lock([second, newName()], MINUTE, { autoExtend: true });
    const gone = await redlock.lock(over, MINUTE);
    for (const server of own) await server.command('DEL', over);
    await Promise.all(own.slice(1).map((server) => server.pause()));
    const told = [];
    redlock.on('unlockError', (error, held) => told.push([error, held]));
    await within(10_000, redlock.quit({ unlock: true }), 'the end');
    const failed = told.map(([error]) => error.resource[0]).sort();
    assert.deepEqual(failed, [first, over, second].sort());
    for (const [error, held] of told) {
      assert.ok(error instanceof Redlock.LockError);
      assert.equal(error.code, 'ERR_REDLOCK_UNAVAILABLE');
      assert.equal(error.votes.length, 3);
      assert.match(error.message, /Unable to fully release the lock/);
      assert.equal(held, undefined);
    }
    assert.equal((await rejection(lock.unlock())).code, 'ERR_REDLOCK_UNAVAILABLE');
    assert.equal(gone.held, false);
    await Promise.all(own.slice(1).map((server) => server.resume()));
  });

  test('says nothing of a lock that was gone already', async () => {
    const redlock = new Redlock(urlsOf(servers));
    const name = newName();
    await redlock.lock(name, MINUTE);
    for (const server of servers) await server.command('DEL', name);
    redlock.on('unlockError', assert.fail);
    await redlock.quit({ unlock: true });
  });

  test('takes a callback, and nothing that is misspelt; the first call decides', async () => {
    const redlock = new Redlock(urlsOf(servers));
    const name = newName();
    await redlock.lock(name, MINUTE);
    for (const [options, message] of [
      [{ unlok: true }, /quit has the unknown key "unlok": did you mean "unlock"\?/],
      [{ unlock: 'yes' }, /unlock must be true or false, not "yes"/],
      ['unlock', /the options of quit must be an object, not "unlock"/],
    ]) {
      const error = await rejection(redlock.quit(options));
      assert.equal(error.code, 'ERR_REDLOCK_INVALID_OPTIONS');
      assert.match(error.message, message);
    }
    await new Promise((resolve, reject) => {
      redlock.quit({ unlock: true }, (error) => (error ? reject(error) : resolve()));
    });
    await assertValue(servers, name, null);
    await redlock.quit();
  });

  test('is not what quit() does', async () => {
    const redlock = new Redlock(urlsOf(servers));
    const name = newName();
    const lock = await redlock.lock(name, MINUTE);
    await redlock.quit({ unlock: false });
    await assertValue(servers, name, lock.value);
    assert.equal(lock.held, true);
  });
});
