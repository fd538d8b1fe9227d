'use strict';

/**
 * Every client that an app may pass, when it leads elsewhere than before: another database, another
 * prefix. A lock in the wrong place would let two holders in.
 */

const assert = require('node:assert/strict');
const { before, describe, test } = require('node:test');

const Redlock = require('../..');
const { CLIENTS, missing, rowOf } = require('../support/client-table');
const { commandAt } = require('../support/server-kinds');
const { namesLike, promoted } = require('../support/redlock');
const { rejection } = require('../support/rejection');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');
const { until } = require('../support/until');

const TTL = 60_000;
const OPTIONS = {
  retryCount: 0,
  ...{ deadlineFloor: 10_000, deadlineCeiling: 10_000 },
};
const OTHER_DB = 5;

const makeName = namesLike('changing ');

const suite = endOfSuite();
let place;
before(async () => {
  const [server] = await startServers(suite, 1);
  place = { host: server.host, port: server.port, servers: [server] };
});

const valueAt = (own, name) => commandAt(place, own, 'GET', name);

/** @param {{after: (callback: () => Promise<unknown>) => void}} t */
async function open(t, row, own = {}, options = OPTIONS) {
  const made = await row.at.plain(place, own);
  const redlock = new Redlock([made.client], options);
  t.after(async () => {
    await redlock.quit().catch(() => {});
    await made.end?.();
  });
  return { client: made.client, redlock };
}

/** How a library is told to go elsewhere, where that can be seen. */
const VISIBLE = {
  'another database': {
    titles: ['ioredis 4', 'ioredis 5', 'ioredis 6', 'iovalkey', 'redis 2', 'redis 3'],
    own: { db: OTHER_DB },
    change: async (client, title) => {
      if (!title.startsWith('redis')) return client.select(OTHER_DB);
      return new Promise((resolve, reject) =>
        client.select(OTHER_DB, (error) => (error ? reject(error) : resolve())),
      );
    },
  },
  'another prefix': {
    titles: ['ioredis 4', 'ioredis 5', 'ioredis 6', 'iovalkey', 'redis 2', 'redis 3'],
    own: { prefix: 'other:' },
    change: (client, title) => {
      client.options[title.startsWith('redis') ? 'prefix' : 'keyPrefix'] = 'other:';
    },
  },
};

for (const [what, { titles, own, change }] of Object.entries(VISIBLE)) {
  describe(`${what}, chosen after our own connection took over`, () => {
    for (const title of titles) {
      test(`${title}: locks follow the client, and what was locked before can be released`, async (t) => {
        const { client, redlock } = await open(t, rowOf(title));
        await promoted(redlock);
        const [old, name] = [makeName(), makeName()];
        const held = await redlock.lock(old, TTL);
        assert.equal(await valueAt({}, old), held.value);

        await change(client, title);
        const lock = await redlock.lock(name, TTL);
        assert.equal(await valueAt(own, name), lock.value);
        assert.equal(await valueAt({}, name), null);

        await promoted(redlock);
        const again = await redlock.lock(makeName(), TTL);
        assert.equal(await valueAt(own, again.resource[0]), again.value);
        assert.equal((await rejection(redlock.lock(name, TTL))).code, 'ERR_REDLOCK_HELD');

        assert.equal((await rejection(held.extend(2 * TTL))).code, 'ERR_REDLOCK_NOT_HELD');
        await held.unlock();
        assert.equal(await valueAt({}, old), null);
        await lock.unlock();
        await again.unlock();
        assert.equal(await valueAt(own, name), null);
      });
    }
  });
}

describe('another database that can not be seen', () => {
  for (const title of ['node-redis 4', 'node-redis 5', 'node-redis 6', 'valkey-glide']) {
    test(`${title}: is never proven, so that locks follow the client`, {
      skip: missing({ title }),
    }, async (t) => {
      const { client, redlock } = await open(t, rowOf(title));
      await client.select(OTHER_DB);
      for (let round = 0; round < 10; round += 1) {
        const name = makeName();
        const lock = await redlock.lock(name, TTL);
        assert.equal(await valueAt({ db: OTHER_DB }, name), lock.value);
        assert.equal(await valueAt({}, name), null);
        // The key is left for the proof to be looked for, and the next one for what it may decide.
        assert.equal(redlock.connections[0].mode, 'bridge');
      }
      // The locks are still held: the key that is read for the proof should be there.
      const isSaid = () => /does not see the key/.test(redlock.connections[0].reasons[0]);
      await until(isSaid, { what: 'the reason is said' });
    });

    test(`${title}: with connections: 'bridge' locks follow it at any time`, {
      skip: missing({ title }),
    }, async (t) => {
      const bridged = { ...OPTIONS, connections: 'bridge' };
      const { client, redlock } = await open(t, rowOf(title), {}, bridged);
      const [first, second] = [makeName(), makeName()];
      const one = await redlock.lock(first, TTL);
      assert.equal(await valueAt({}, first), one.value);
      await client.select(OTHER_DB);
      const two = await redlock.lock(second, TTL);
      assert.equal(await valueAt({ db: OTHER_DB }, second), two.value);
    });
  }
});

describe('a prefix that the library ignores', () => {
  for (const title of ['node-redis 4', 'node-redis 5']) {
    test(`${title}: is none, and keeps no connection of our own away`, async (t) => {
      const { redlock } = await open(t, rowOf(title), { prefix: 'ignored:' });
      await promoted(redlock);
      assert.equal(redlock.connections[0].keyPrefix, undefined);
      const name = makeName();
      const lock = await redlock.lock(name, TTL);
      assert.equal(await valueAt({}, name), lock.value);
    });
  }
});

describe('clients of different libraries', () => {
  const ending = endOfSuite();
  const rows = CLIENTS.filter((row) => 'plain' in row.at && !missing(row));
  /** On the same keys. @type {Redlock[]} */
  let all;
  let servers;
  before(async () => {
    // Clients can't be quit when their servers are gone: the first to be started is the last to be stopped.
    servers = await startServers(ending, 3);
    all = [];
    for (const row of rows) all.push((await open(ending, row)).redlock);
  });

  const outcome = (redlock, name) =>
    redlock.lock(name, TTL).then(
      () => 'granted',
      ({ code }) => code,
    );

  for (const [index, { title }] of rows.entries()) {
    // Some are bridged at first, and native later.
    test(`${title}: what it has locked is held for all others`, async () => {
      const name = makeName();
      const lock = await all[index].lock(name, TTL);
      const outcomes = await Promise.all(all.map((redlock) => outcome(redlock, name)));
      assert.deepEqual(
        outcomes,
        all.map(() => 'ERR_REDLOCK_HELD'),
      );
      await lock.unlock();
    });
  }

  test('all at once: one of them has it', async () => {
    for (let round = 0; round < 20; round += 1) {
      const name = makeName();
      const outcomes = await Promise.all(all.map((redlock) => outcome(redlock, name)));
      assert.deepEqual(outcomes.sort(), [...all.slice(1).map(() => 'ERR_REDLOCK_HELD'), 'granted']);
    }
  });

  test('make one quorum', async (t) => {
    const make = async (...titles) => {
      const made = await Promise.all(titles.map((title, index) => rowOf(title).at.plain(servers[index], {})));
      const redlock = new Redlock(
        made.map(({ client }) => client),
        OPTIONS,
      );
      t.after(() => redlock.quit());
      return redlock;
    };
    const some = await make('ioredis 5', 'redis 3', 'node-redis 6');
    const others = await make('node-redis 4', 'iovalkey', 'redis 2');
    for (const prepare of [() => {}, () => Promise.all([promoted(some), promoted(others)])]) {
      await prepare();
      const name = makeName();
      const lock = await some.lock(name, TTL);
      assert.equal((await rejection(others.lock(name, TTL))).code, 'ERR_REDLOCK_HELD');
      await lock.unlock();
      await (await others.lock(name, TTL)).unlock();
    }
  });
});
