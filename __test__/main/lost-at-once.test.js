'use strict';

/** A lock that is kept is told lost when its keys are gone, and not when it is to be extended next. */

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');

const Redlock = require('../..');
const { IOREDIS, makeClient } = require('../support/clients');
const { promoted, redlockOver, urlsOf } = require('../support/redlock');
const { startServers } = require('../support/servers');
const { until } = require('../support/until');

/** The first extension comes 10 s after the lock. */
const TTL = 30_000;

/** Long before that. */
const SOON = { timeout: 5000, what: 'the loss is told' };

const NAME = 'lost at once';

/** What a server says of itself under this name. */
async function stat(server, name) {
  const info = await server.command('INFO');
  return Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1]);
}

const connections = (server) => stat(server, 'total_connections_received');

/** How many scripts it has run: looks, and what is asked for votes. */
async function scripts(server) {
  const info = await server.command('INFO', 'commandstats');
  const calls = [...info.matchAll(/^cmdstat_eval(?:sha)?:calls=(\d+)/gm)];
  return calls.reduce((sum, [, count]) => sum + Number(count), 0);
}

/** Waits until each server tells somebody of as many keys. */
function tellsOf(servers, keys = 1) {
  const all = () => Promise.all(servers.map((server) => stat(server, 'tracking_total_keys')));
  return until(async () => (await all()).every((told) => told === keys), {
    what: 'the keys are watched',
  });
}

function open(t, servers, options) {
  return redlockOver(t, urlsOf(servers), options);
}

/** A lock, and the servers that tell of its keys. */
async function hold(t, options, names = NAME) {
  const servers = await startServers(t, 3);
  const redlock = open(t, servers);
  const lock = await redlock.lock(names, TTL, options);
  const { signal } = lock;
  const lost = [];
  redlock.on('lost', (error) => lost.push(error));
  await tellsOf(servers, [names].flat().length);
  return { servers, redlock, lock, signal, lost };
}

function checkLost({ signal, lost, lock }) {
  assert.equal(signal.reason.code, 'ERR_REDLOCK_NOT_HELD');
  assert.equal(lock.held, false);
  assert.equal(lock.remaining(), 0);
  assert.deepEqual(
    lost.map(({ code }) => code),
    ['ERR_REDLOCK_NOT_HELD'],
  );
}

describe('a lock that is kept', () => {
  for (const [what, take] of Object.entries({
    deleted: (server) => server.command('DEL', NAME),
    flushed: (server) => server.command('FLUSHALL'),
    "replaced by another's": (server) => server.command('SET', NAME, 'another'),
    'replaced by a hash': async (server) => {
      await server.command('DEL', NAME);
      await server.command('HSET', NAME, 'a', 'b');
    },
  })) {
    for (const autoExtend of [true, false]) {
      const how = autoExtend ? 'extended' : 'only watched';
      test(`is lost at once when it is ${what} on a majority, if it is ${how}`, async (t) => {
        const held = await hold(t, { autoExtend });
        await Promise.all(held.servers.slice(1).map(take));
        // Whoever asks the signal before that is told nothing of the votes.
        await until(() => held.lost.length > 0, SOON);
        checkLost(held);
        const votes = held.lost[0].votes.map(({ vote }) => vote);
        assert.equal(votes.filter((vote) => vote === 'held').length, 2, votes.join());
      });
    }
  }

  test('is not lost when a minority has lost it, and is then when another has', async (t) => {
    const held = await hold(t, { autoExtend: true });
    const [first, second, third] = held.servers;
    const asked = await Promise.all([first, second, third].map(scripts));
    await first.command('DEL', NAME);
    // It was told, and looked at: nobody is asked for votes.
    await until(async () => (await scripts(first)) > asked[0]);
    // What would have been asked of the others has arrived by then.
    for (let trip = 0; trip < 50; trip++) {
      await Promise.all([second, third].map((server) => server.command('PING')));
    }
    assert.deepEqual(await Promise.all([second, third].map(scripts)), asked.slice(1));
    assert.equal(held.signal.aborted, false);
    assert.equal(held.lock.held, true);
    await third.command('DEL', NAME);
    await until(() => held.signal.aborted, SOON);
  });

  test('of several names is lost with one of them', async (t) => {
    const names = ['one', 'two', 'three'];
    const held = await hold(t, { autoExtend: true }, names);
    await held.servers[0].command('DEL', 'one');
    await held.servers[1].command('DEL', 'two');
    await held.servers[2].command('DEL', 'one');
    await until(() => held.signal.aborted, SOON);
  });

  test('is lost at once over promoted clients', async (t) => {
    const servers = await startServers(t, 3);
    const clients = await Promise.all(servers.map((server) => makeClient(t, IOREDIS, server)));
    const redlock = redlockOver(t, clients);
    await promoted(redlock);
    const { signal } = await redlock.lock(NAME, TTL, { autoExtend: true });
    await tellsOf(servers);
    await Promise.all(servers.map((server) => server.command('DEL', NAME)));
    await until(() => signal.aborted, SOON);
  });

  test('is watched no longer once it is unlocked, and the connections go with quit', async (t) => {
    const { servers, redlock, lock } = await hold(t, { autoExtend: true });
    await lock.unlock();
    assert.ok((await stat(servers[0], 'tracking_clients')) > 0);
    await redlock.quit();
    await until(async () => (await stat(servers[0], 'tracking_clients')) === 0);
  });

  test('is watched no longer by a Redlock that has quit, though it is not unlocked', async (t) => {
    const { servers, redlock } = await hold(t, { autoExtend: true });
    await redlock.quit();
    await until(async () => (await stat(servers[0], 'tracking_clients')) === 0);
  });
});

describe('no second connection is made', () => {
  test('for locks that are released soon, or not kept', async (t) => {
    const [server] = await startServers(t, 1);
    const redlock = open(t, [server]);
    await (await redlock.lock('first', TTL)).unlock();
    const before = await connections(server);
    const began = performance.now();
    const kept = await redlock.lock('held', TTL);
    await redlock.using('used', TTL, async () => {});
    const lock = await redlock.lock('short', TTL, { autoExtend: true });
    await lock.unlock();
    // Where the machine stood still, they were not released soon.
    const wereSoon = performance.now() - began < 90;
    // One that is kept brings it about, so that it would have been seen.
    if (wereSoon) assert.equal((await connections(server)) - before, 1, 'ours');
    const other = await redlock.lock('long', TTL, { autoExtend: true });
    await tellsOf([server]);
    await Promise.all([kept.unlock(), other.unlock()]);
  });

  test('where wakeups are not wanted: a loss is seen by the next extension', async (t) => {
    const servers = await startServers(t, 3);
    const redlock = open(t, servers, { wakeups: false });
    const lock = await redlock.lock(NAME, 1500, { autoExtend: true });
    const end = lock.remaining();
    await until(() => lock.remaining() > end + 10 || lock.remaining() > 1400, { timeout: 5000 });
    for (const server of servers) await server.command('DEL', NAME);
    await until(() => lock.signal.aborted, SOON);
    for (const server of servers) assert.equal(await stat(server, 'tracking_clients'), 0);
  });
});

test('redlock.connections say where nothing tells of changes, and why', async (t) => {
  const [mute] = await startServers(t, 1, { users: ['default on nopass ~* +@all -client|tracking'] });
  const redlock = open(t, [mute]);
  assert.equal(redlock.connections[0].noWakeups, undefined);
  const lock = await redlock.lock(NAME, TTL, { autoExtend: true });
  await until(() => redlock.connections[0].noWakeups !== undefined);
  assert.match(redlock.connections[0].noWakeups, /does not tell of changes.*NOPERM/);
  assert.equal(lock.held, true);
  await lock.unlock();
  const table = new Redlock(['memory://lost-at-once']);
  t.after(() => table.quit());
  await until(() => table.connections[0].noWakeups !== undefined);
  assert.match(table.connections[0].noWakeups, /table/);
});
