'use strict';

/** Who waits in one process for the same lock lines up: one asks the servers, and a lock that is unlocked is the next one's. */

const assert = require('node:assert/strict');
const { describe, before, test } = require('node:test');
const { Worker } = require('node:worker_threads');

const IoRedis = require('ioredis');

const Redlock = require('../..');
const { assertValue, promoted, urlsOf } = require('../support/redlock');
const { rejection } = require('../support/rejection');
const { startServers } = require('../support/servers');
const { setsOn } = require('../support/sets');
const { endOfSuite } = require('../support/suite');
const { until } = require('../support/until');

const HOUR = 3_600_000;
const FOR_EVER = { retryCount: -1, retryDelay: HOUR, retryJitter: 0 };

describe('who waits for a lock of the same process', () => {
  const suite = endOfSuite();
  /** @type {import('../../scripts/servers').RedisServer[]} */
  let servers;
  let number = 0;
  const newName = () => `queue ${number++}`;
  before(async () => {
    servers = await startServers(suite, 3);
  });

  /** One that has locked before, so that no proof is asked for any more. */
  async function open(t, members = urlsOf(servers), options = FOR_EVER) {
    const redlock = new Redlock(members, options);
    t.after(() => redlock.quit());
    await until(() => redlock.connections.every(({ state }) => state === 'ready'));
    await promoted(redlock);
    // Each connection's first lock shows that it can be released, which is more than a SET.
    for (let turn = 0; turn < 3; turn++) {
      const name = newName();
      const lock = await redlock.lock(name, 5000);
      // By then each server has heard what it was told before, too.
      await assertValue(servers, name, lock.value);
      await lock.unlock();
      await assertValue(servers, name, null);
    }
    return redlock;
  }

  const allSets = () => Promise.all(servers.map(setsOn));

  for (const [what, membersFor] of [
    ['by URLs', () => urlsOf(servers)],
    [
      'by callers’ clients',
      (t) => {
        const clients = servers.map(({ port }) => new IoRedis(port));
        t.after(() => {
          for (const client of clients) client.disconnect();
        });
        return clients;
      },
    ],
  ]) {
    test(`is served first come, first served, with one attempt for each lock: ${what}`, async (t) => {
      const redlock = await open(t, membersFor(t));
      const name = newName();
      const before = await allSets();
      const order = [];
      const all = Array.from({ length: 50 }, async (_, at) => {
        const lock = await redlock.lock(name, HOUR);
        order.push(at);
        await lock.unlock();
      });
      await Promise.all(all);
      assert.deepEqual(order, Array.from(all.keys()));
      await assertValue(servers, name, null);
      const sets = (await allSets()).map((count, at) => count - before[at]);
      // The first who waits asks once: the other may have lost its lock. A server that is late may be asked for less.
      assert.ok(
        sets.every((count) => count <= 51),
        sets.join(),
      );
      assert.ok(sets.reduce((sum, count) => sum + count) >= 51 * 2, sets.join());
    });
  }

  test('and asks by another Redlock over the same servers, comes behind', async (t) => {
    const one = await open(t);
    const other = await open(t);
    const name = newName();
    const lock = await one.lock(name, HOUR);
    const sets = await allSets();
    const waiting = other.lock(name, HOUR);
    await (await other.lock(newName(), HOUR)).unlock();
    await lock.unlock();
    await (await waiting).unlock();
    await assertValue(servers, name, null);
    assert.deepEqual(
      await allSets(),
      sets.map((count) => count + 3),
    );
  });

  test('or of another thread of it, comes behind', async (t) => {
    const redlock = await open(t, urlsOf(servers), { ...FOR_EVER, wakeups: false });
    const name = newName();
    const lock = await redlock.lock(name, HOUR);
    const sets = await setsOn(servers[0]);
    const worker = new Worker(
      `const { parentPort, workerData } = require('node:worker_threads');
       const Redlock = require(workerData.path);
       const redlock = new Redlock(workerData.urls, workerData.options);
       redlock.lock(workerData.name, 60_000).then((lock) => lock.unlock()).then(() => redlock.quit());
       redlock.lock(workerData.other, 60_000).then((lock) => lock.unlock()).then(() => parentPort.postMessage('waits'));`,
      {
        eval: true,
        workerData: {
          path: require.resolve('../..'),
          urls: urlsOf(servers),
          options: { ...FOR_EVER, wakeups: false },
          name,
          other: newName(),
        },
      },
    );
    const exited = new Promise((resolve) => worker.once('exit', resolve));
    await new Promise((resolve) => worker.once('message', resolve));
    await lock.unlock();
    assert.equal(await exited, 0);
    // The one that waited has asked twice: when it came, and when it was called by the one that unlocked.
    assert.equal(await setsOn(servers[0]), sets + 3);
  });

  test('has it when the one before has let it lapse, and asks as often as it says', async (t) => {
    const redlock = await open(t, urlsOf(servers), { ...FOR_EVER, wakeups: false });
    const name = newName();
    const lock = await redlock.lock(name, HOUR);
    const lapses = redlock.lock(name, 700);
    const last = redlock.lock(name, HOUR, { retryDelay: 20 });
    await lock.unlock();
    assert.ok(await lapses);
    await (await last).unlock();
  });

  test('gives up after as many attempts as without a queue, the last of which it makes itself', async (t) => {
    const redlock = await open(t);
    const name = newName();
    const lock = await redlock.lock(name, HOUR);
    const first = redlock.lock(name, HOUR);
    const sets = await allSets();
    const error = await rejection(
      redlock.lock(name, HOUR, { retryCount: 2, retryDelay: 20, retryJitter: 0 }),
    );
    assert.equal(error.code, 'ERR_REDLOCK_HELD');
    assert.equal(error.attempts, 3);
    assert.ok(error.votes.filter((vote) => vote?.vote === 'held').length >= 2);
    // Its last attempt, on all of them, and one at least of the first, which asks as often as the one that asks most often.
    assert.ok((await allSets()) > sets + servers.length);
    await lock.unlock();
    await (await first).unlock();
  });

  test('gives up when its time is over, having asked', async (t) => {
    const redlock = await open(t);
    const name = newName();
    const lock = await redlock.lock(name, HOUR);
    const error = await rejection(redlock.lock(name, HOUR, { maxWait: 100 }));
    assert.equal(error.code, 'ERR_REDLOCK_TIMEOUT');
    assert.ok(error.votes.filter((vote) => vote?.vote === 'held').length >= 2, JSON.stringify(error.votes));
    await lock.unlock();
  });

  test('keeps nobody waiting once it gives up', async (t) => {
    const redlock = await open(t);
    const name = newName();
    const lock = await redlock.lock(name, HOUR);
    const controller = new AbortController();
    const first = rejection(redlock.lock(name, HOUR, { signal: controller.signal }));
    const second = redlock.lock(name, HOUR);
    await (await redlock.lock(newName(), HOUR)).unlock();
    controller.abort(new Error('enough'));
    assert.equal((await first).message, 'enough');
    await lock.unlock();
    await (await second).unlock();
  });

  test('with one attempt alone asks the servers, and need not wait', async (t) => {
    const redlock = await open(t);
    const name = newName();
    const lock = await redlock.lock(name, HOUR);
    const waiting = redlock.lock(name, HOUR);
    assert.equal(await redlock.tryLock(name, HOUR), null);
    await Promise.all(servers.map((server) => server.command('DEL', name)));
    const other = await redlock.tryLock(name, HOUR);
    assert.ok(other);
    await other.unlock();
    await (await waiting).unlock();
    await rejection(lock.unlock());
  });

  test('for several names is called when one of them is free, and keeps nobody from the others', async (t) => {
    const redlock = await open(t);
    const [one, other] = [newName(), newName()];
    const lock = await redlock.lock(one, HOUR);
    const both = redlock.lock([one, other], HOUR);
    // The other name is free for whoever asks for it.
    await (await redlock.lock(other, HOUR)).unlock();
    await lock.unlock();
    await (await both).unlock();
  });

  test('for the same names in opposite order comes to no standstill', async (t) => {
    const redlock = await open(t, urlsOf(servers), { retryCount: -1, retryDelay: 20, retryJitter: 10 });
    const [one, other] = [newName(), newName()];
    const all = [[one, other], [other, one], one, other, [one, other], other];
    await Promise.all(
      all.map(async (names) => {
        for (let turn = 0; turn < 10; turn++) await (await redlock.lock(names, HOUR)).unlock();
      }),
    );
  });
});
