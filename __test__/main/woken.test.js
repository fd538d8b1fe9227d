'use strict';

/** Who waits for a lock of another process is told by the servers when it may be free, and hardly asks meanwhile. */

const assert = require('node:assert/strict');
const { describe, before, test } = require('node:test');

const IoRedis = require('ioredis');
const Original = require('redlock');

const Redlock = require('../..');
const { promoted, namesLike, urlsOf } = require('../support/redlock');
const { rejection } = require('../support/rejection');
const { startServers } = require('../support/servers');
const { setsOn } = require('../support/sets');
const { endOfSuite } = require('../support/suite');
const { until } = require('../support/until');

const HOUR = 3_600_000;
/** By its own schedule it never asks twice. */
const FOR_EVER = { retryCount: -1, retryDelay: HOUR, retryJitter: 0 };

describe('who waits for a lock of another process', () => {
  const suite = endOfSuite();
  const newName = namesLike('woken ');
  /** @type {import('../../scripts/servers').RedisServer[]} */
  let servers;
  /** Of redlock 4. */
  let foreign;
  before(async () => {
    servers = await startServers(suite, 3);
    const clients = clientsOf(suite, servers);
    foreign = new Original(clients);
  });

  function clientsOf(t, of) {
    const clients = of.map(({ port }) => new IoRedis(port));
    t.after(async () => {
      for (const client of clients) client.disconnect();
    });
    return clients;
  }

  async function open(t, members = urlsOf(servers), options = {}) {
    const redlock = new Redlock(members, { ...FOR_EVER, ...options });
    t.after(() => redlock.quit());
    await until(() => redlock.connections.every(({ state }) => state === 'ready'));
    await promoted(redlock);
    return redlock;
  }

  /** The ids of the connections on which a server tells of changes. */
  async function watching(server) {
    const clients = await server.command('CLIENT', 'LIST');
    return clients.split('\n').flatMap((line) => (/ resp=3/.test(line) ? [/id=(\d+)/.exec(line)[1]] : []));
  }

  /** Until every server has been asked for a key on such a connection, and so tells of its next change. */
  const areAllWatching = () =>
    until(
      async () => {
        for (const server of servers) {
          const stats = await server.command('INFO', 'stats');
          if (!(Number(/tracking_total_keys:(\d+)/.exec(stats)?.[1]) > 0)) return false;
        }
        return true;
      },
      { what: 'the key is watched' },
    );

  for (const [what, membersFor] of [
    ['by URLs', () => urlsOf(servers)],
    ['by callers’ clients', (t) => clientsOf(t, servers)],
  ]) {
    test(`has it once redlock 4 has unlocked it: ${what}`, async (t) => {
      const redlock = await open(t, membersFor(t));
      const name = newName();
      const lock = await foreign.lock(name, HOUR);
      const waiting = redlock.lock(name, HOUR);
      await areAllWatching();
      await lock.unlock();
      await (await waiting).unlock();
    });
  }

  test('has it if it is unlocked before anything tells of changes', async (t) => {
    const redlock = await open(t);
    const name = newName();
    const lock = await foreign.lock(name, HOUR);
    const before = await setsOn(servers[0]);
    const waiting = redlock.lock(name, HOUR);
    await until(async () => (await setsOn(servers[0])) > before);
    await lock.unlock();
    await (await waiting).unlock();
  });

  test('has it at the end of the other’s life', async (t) => {
    const redlock = await open(t);
    const name = newName();
    await foreign.lock(name, 700);
    await (await redlock.lock(name, HOUR)).unlock();
  });

  for (const command of [
    ['FLUSHALL'],
    ['FLUSHDB'],
    ['DEL'],
    ['UNLINK'],
    ['PEXPIRE', '1'],
    ['RENAME', 'elsewhere'],
  ]) {
    test(`has it once a majority has lost it by ${command[0]}`, async (t) => {
      const redlock = await open(t);
      const name = newName();
      await foreign.lock(name, HOUR);
      const waiting = redlock.lock(name, HOUR);
      await areAllWatching();
      const [verb, ...rest] = command;
      const words = verb.startsWith('FLUSH') ? [] : [name, ...rest];
      await Promise.all(servers.slice(1).map((server) => server.command(verb, ...words)));
      await (await waiting).unlock();
    });
  }

  test('has it when its connections were closed meanwhile', async (t) => {
    const redlock = await open(t);
    const name = newName();
    const lock = await foreign.lock(name, HOUR);
    const waiting = redlock.lock(name, HOUR);
    await areAllWatching();
    for (const server of servers) {
      for (const id of await watching(server)) await server.command('CLIENT', 'KILL', 'ID', id);
    }
    await lock.unlock();
    await (await waiting).unlock();
  });

  test('has it when its connections were down for longer than a poll', async (t) => {
    const redlock = await open(t);
    const name = newName();
    const lock = await foreign.lock(name, HOUR);
    const waiting = redlock.lock(name, HOUR);
    await areAllWatching();
    const end = performance.now() + 2500;
    while (performance.now() < end) {
      for (const server of servers) {
        for (const id of await watching(server)) await server.command('CLIENT', 'KILL', 'ID', id);
      }
    }
    for (const server of servers)
      await until(async () => (await watching(server)).length === 1, { timeout: 20_000 });
    await lock.unlock();
    await (await waiting).unlock();
  });

  test('has several names once the last of them is free', async (t) => {
    const redlock = await open(t);
    const [one, other] = [newName(), newName()];
    const first = await foreign.lock(one, HOUR);
    const second = await foreign.lock(other, HOUR);
    const both = redlock.lock([one, other], HOUR);
    await areAllWatching();
    await first.unlock();
    await second.unlock();
    await (await both).unlock();
  });

  test('asks the servers hardly ever, and gives up when it would have', async (t) => {
    const retries = { retryCount: 30, retryDelay: 100, retryJitter: 0 };
    const told = await open(t, urlsOf(servers), retries);
    const asking = await open(t, urlsOf(servers), { ...retries, wakeups: false });
    const name = newName();
    await foreign.lock(name, HOUR);
    const locking = async (redlock) => {
      const before = await setsOn(servers[0]);
      const error = await rejection(redlock.lock(name, HOUR));
      assert.equal(error.code, 'ERR_REDLOCK_HELD');
      assert.equal(error.attempts, 31);
      return (await setsOn(servers[0])) - before;
    };
    const [few, many] = [await locking(told), await locking(asking)];
    assert.ok(many >= 31, `${many} attempts`);
    assert.ok(few <= many / 2, `${few} attempts for ${many}`);
  });

  test('that is told of nothing asks as it always has', async (t) => {
    const redlock = await open(t, urlsOf(servers), { retryDelay: 20, wakeups: false });
    const name = newName();
    const lock = await foreign.lock(name, HOUR);
    const sets = await setsOn(servers[0]);
    const waiting = redlock.lock(name, HOUR);
    await until(async () => (await setsOn(servers[0])) > sets + 5);
    await lock.unlock();
    await (await waiting).unlock();
  });

  test('opens no second connection unless it waits, or if it may not', async (t) => {
    const own = await startServers(t, 1);
    const [server] = own;
    const url = urlsOf(own);
    const redlock = await open(t, url);
    const silent = await open(t, url, { wakeups: false, retryDelay: 20 });
    await (await redlock.lock('free', HOUR)).unlock();
    const lock = await redlock.lock('held', HOUR);
    assert.equal(await redlock.tryLock('held', HOUR), null);
    await rejection(silent.lock('held', HOUR, { retryCount: 2 }));
    assert.deepEqual(await watching(server), []);
    const waiting = new Redlock(url, FOR_EVER);
    t.after(() => waiting.quit());
    await server.command('SET', 'foreign', 'value');
    const controller = new AbortController();
    const given = rejection(waiting.lock('foreign', HOUR, { signal: controller.signal }));
    await until(async () => (await watching(server)).length === 1);
    controller.abort();
    await given;
    await lock.unlock();
  });
});
