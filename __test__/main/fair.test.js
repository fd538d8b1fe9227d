'use strict';

/** With `fair: true`, locks are granted in the order in which they were asked for, whichever process asks. */

const assert = require('node:assert/strict');
const { once } = require('node:events');
const { fork } = require('node:child_process');
const path = require('node:path');
const { describe, before, test } = require('node:test');

const IoRedis = require('ioredis');

const Redlock = require('../..');
const { assertValue, namesLike, urlsOf } = require('../support/redlock');
const { rejection } = require('../support/rejection');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');
const { until } = require('../support/until');

const HOUR = 3_600_000;
/** Whoever is told of nothing asks once in this time. */
const FOR_EVER = { fair: true, retryCount: -1, retryDelay: 50, retryJitter: 0 };
const WAITER = path.join(__dirname, '../support/fair-waiter.js');

describe('fair: true', () => {
  const suite = endOfSuite();
  /** @type {import('../../scripts/servers').RedisServer[]} */
  let servers;
  const newName = namesLike('fair ');
  before(async () => {
    servers = await startServers(suite, 3);
  });

  async function open(t, options, members = urlsOf(servers)) {
    const redlock = new Redlock(members, { ...FOR_EVER, ...options });
    t.after(() => redlock.quit());
    await until(() => redlock.connections.every(({ state }) => state === 'ready'));
    return redlock;
  }

  const queueOf = (name) => `{${name}}:queue`;

  /** The tickets on each server whose waiters live. */
  async function waitingFor(name, on = servers) {
    const queues = on.map(async (server) => {
      const tickets = await server.command('ZRANGE', queueOf(name), '0', '-1');
      const lives = tickets.map((ticket) => server.command('EXISTS', `${queueOf(name)}:${ticket}`));
      const alive = await Promise.all(lives);
      return tickets.filter((_, at) => alive[at] === 1);
    });
    return Promise.all(queues);
  }

  /** Until so many wait on each of them. */
  const untilWaiting = (name, count, on = servers) =>
    until(async () => (await waitingFor(name, on)).every((tickets) => tickets.length === count), {
      what: `${count} to wait on each server`,
    });

  /** A process that asks for that lock, says when it has it, and gives it back when it is told to. */
  function waiter(t, name, options = FOR_EVER) {
    const child = fork(WAITER, [JSON.stringify({ urls: urlsOf(servers), name, options })]);
    const granted = once(child, 'message');
    t.after(() => child.kill('SIGKILL'));
    return { child, granted, unlock: () => child.send('unlock') };
  }

  for (const wakeups of ['auto', false]) {
    test(`grants in the order in which they began to wait, wakeups: ${wakeups}`, async (t) => {
      const redlocks = await Promise.all([1, 2, 3].map(() => open(t, { wakeups })));
      const name = newName();
      const held = await redlocks[0].lock(name, HOUR);
      const order = [];
      const all = [];
      for (let at = 0; at < 9; at++) {
        const wait = async () => {
          const lock = await redlocks[at % 3].lock(name, HOUR);
          order.push(at);
          await lock.unlock();
        };
        all.push(wait());
        await untilWaiting(name, at + 1);
      }
      await held.unlock();
      await Promise.all(all);
      assert.deepEqual(order, [...all.keys()]);
    });
  }

  test('grants in that order to several processes, and skips those who have died once their leases are over', async (t) => {
    const redlock = await open(t);
    const name = newName();
    const held = await redlock.lock(name, HOUR);
    const waiters = [];
    for (let at = 0; at < 5; at++) {
      waiters.push(waiter(t, name));
      await untilWaiting(name, at + 1);
    }
    const [first, dead, alsoDead, fourth, fifth] = waiters;
    await held.unlock();
    await first.granted;
    dead.child.kill('SIGKILL');
    alsoDead.child.kill('SIGKILL');
    first.unlock();
    await fourth.granted;
    fourth.unlock();
    await fifth.granted;
    fifth.unlock();
  });

  test('forgets who gives up, by maxWait, by a signal or after its last attempt', async (t) => {
    const redlock = await open(t);
    const name = newName();
    const held = await redlock.lock(name, HOUR);
    const abort = new AbortController();
    const behind = redlock.lock(name, HOUR);
    await untilWaiting(name, 1);
    const gone = [
      rejection(redlock.lock(name, HOUR, { maxWait: 2500 })),
      rejection(redlock.lock(name, HOUR, { signal: abort.signal })),
      rejection(redlock.lock(name, HOUR, { retryCount: 1, retryDelay: 2500, retryJitter: 0 })),
    ];
    await untilWaiting(name, 4);
    abort.abort();
    await Promise.all(gone);
    await untilWaiting(name, 1);
    await held.unlock();
    await (await behind).unlock();
    await untilWaiting(name, 0);
    await assertValue(servers, name, null);
  });

  test('forgets who waits when its Redlock quits', async (t) => {
    const [redlock, other] = [await open(t), await open(t)];
    const name = newName();
    const held = await redlock.lock(name, HOUR);
    const refused = rejection(other.lock(name, HOUR));
    await untilWaiting(name, 1);
    const end = other.quit();
    await held.unlock();
    await end;
    await Promise.allSettled([refused]);
    await untilWaiting(name, 0);
  });

  test('refuses a free lock to who is not first, and says that it is held', async (t) => {
    const redlock = await open(t);
    const name = newName();
    const ticket = '0000000000000001-0000000000000000';
    for (const server of servers) {
      await server.command('ZADD', queueOf(name), '1', ticket);
      await server.command('SET', `${queueOf(name)}:${ticket}`, ticket);
    }
    assert.equal(await redlock.tryLock(name, HOUR), null);
    const error = await rejection(redlock.lock(name, HOUR, { retryCount: 1 }));
    assert.equal(error.code, 'ERR_REDLOCK_HELD');
    // Plain lockers know of no queue.
    await (await redlock.lock(name, HOUR, { fair: false })).unlock();
    for (const server of servers) await server.command('DEL', `${queueOf(name)}:${ticket}`);
    await (await redlock.lock(name, HOUR)).unlock();
  });

  test('never has two holders, whoever barges', async (t) => {
    const [fair, plain] = [await open(t), await open(t, { fair: false })];
    const name = newName();
    let holders = 0;
    const hold = async (redlock) => {
      for (let turn = 0; turn < 20; turn++) {
        const lock = await redlock.lock(name, HOUR);
        holders += 1;
        assert.equal(holders, 1);
        await new Promise((resolve) => setImmediate(resolve));
        holders -= 1;
        await lock.unlock();
      }
    };
    await Promise.all([fair, fair, plain, plain].map(hold));
  });

  test('needs no server of the minority', async (t) => {
    const own = await startServers(t, 3);
    const redlock = await open(t, {}, urlsOf(own));
    const name = newName();
    const held = await redlock.lock(name, HOUR);
    own[2].pause();
    t.after(() => own[2].resume());
    const order = [];
    const all = [];
    for (let at = 0; at < 4; at++) {
      const wait = async () => {
        const lock = await redlock.lock(name, HOUR);
        order.push(at);
        await lock.unlock();
      };
      all.push(wait());
      await untilWaiting(name, at + 1, own.slice(0, 2));
    }
    await held.unlock();
    await Promise.all(all);
    assert.deepEqual(order, [0, 1, 2, 3]);
  });

  test('is kept over clients of the caller’s that stay bridged', async (t) => {
    const clients = servers.map(({ port }) => new IoRedis(port, { keyPrefix: 'p:' }));
    t.after(() => {
      for (const client of clients) client.disconnect();
    });
    const redlock = await open(t, { connections: 'bridge' }, clients);
    const name = newName();
    const held = await redlock.lock(name, HOUR);
    const order = [];
    const all = [];
    for (let at = 0; at < 3; at++) {
      const wait = async () => {
        const lock = await redlock.lock(name, HOUR);
        order.push(at);
        await lock.unlock();
      };
      all.push(wait());
      const isThere = async (client) => (await client.zcard(queueOf(name))) >= at + 1;
      await until(async () => (await Promise.all(clients.map(isThere))).every(Boolean));
    }
    await held.unlock();
    await Promise.all(all);
    assert.deepEqual(order, [0, 1, 2]);
  });

  test('is refused where it can’t be kept, and says why', async (t) => {
    const redlock = await open(t);
    for (const [refused, message] of [
      [() => redlock.lock([newName(), newName()], HOUR), /fair: true waits for one resource/],
      [() => redlock.lock(newName(), HOUR, { retryDelay: () => 5 }), /fair: true needs a retryDelay in ms/],
      [() => redlock.lock(newName(), HOUR, { fair: 1 }), /fair must be true or false, not 1/],
    ]) {
      const error = await rejection(refused());
      assert.equal(error.code, 'ERR_REDLOCK_INVALID_OPTIONS');
      assert.match(error.message, message);
    }
    await (await redlock.lock([newName(), newName()], HOUR, { fair: false })).unlock();
    const scripted = await open(t, { lockScript: (text) => `${text} ` });
    assert.match((await rejection(scripted.lock(newName(), HOUR))).message, /without lockScript/);
    const valued = await open(t);
    valued._random = () => 'mine';
    assert.match((await rejection(valued.lock(newName(), HOUR))).message, /without a _random of yours/);
  });

  test('is the line of the process in memory, where nobody has to ask again and again', async (t) => {
    const redlock = new Redlock(['memory://fair'], FOR_EVER);
    t.after(() => redlock.quit());
    const held = await redlock.lock('a', HOUR);
    const order = [];
    const all = Array.from({ length: 60 }, async (_, at) => {
      const lock = await redlock.lock('a', HOUR);
      order.push(at);
      await lock.unlock();
      return lock.attempts;
    });
    await held.unlock();
    const attempts = await Promise.all(all);
    assert.deepEqual(order, Array.from(all.keys()));
    assert.ok(Math.max(...attempts) <= 10, attempts.join());
  });
});
