'use strict';

/** A lock of very many resources: all of them or none, in one script, as redlock 4 takes them. */

const assert = require('node:assert/strict');
const { before, beforeEach, describe, test } = require('node:test');

const Redlock4 = require('redlock');

const Redlock = require('../..');
const { IOREDIS, NODE_REDIS, makeClient } = require('../support/clients');
const { rejection } = require('../support/rejection');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');

const MOST = 100_000;
const TTL = 120_000;
/** However slow the machine is. */
const PATIENT = { retryCount: 0, deadlineFloor: 60_000, deadlineCeiling: 60_000 };

const suite = endOfSuite();
/** @type {import('../../scripts/servers').RedisServer} */
let server;
before(async () => {
  [server] = await startServers(suite, 1);
});
beforeEach(() => server.command('FLUSHALL'));

/** @param {number} count */
function names(count) {
  return Array.from({ length: count }, (_, place) => `many:${place}`);
}

const size = () => server.command('DBSIZE');

/** @type {Record<string, (t: any) => any>} */
const WAYS = {
  'by URL': (t) => open(t, server.url),
  'through ioredis': async (t) => open(t, await makeClient(t, IOREDIS, server)),
  'through node-redis': async (t) => open(t, await makeClient(t, NODE_REDIS, server)),
  'by redlock 4': async (t) => new Redlock4([await makeClient(t, IOREDIS, server)], { retryCount: 0 }),
};

function open(t, instance) {
  const redlock = new Redlock([instance], { ...PATIENT, connections: 'bridge' });
  t.after(() => redlock.quit());
  return redlock;
}

for (const [way, make] of Object.entries(WAYS)) {
  describe(way, () => {
    test(`${MOST} resources are locked, extended and released`, async (t) => {
      const redlock = await make(t);
      // The first on a connection is taken in another way than those that come later.
      for (let turn = 0; turn < 2; turn++) {
        const lock = await redlock.lock(names(MOST), TTL);
        assert.equal(await size(), MOST);
        const extended = await lock.extend(2 * TTL);
        assert.ok((await server.command('PTTL', `many:${MOST - 1}`)) > TTL);
        await extended.unlock();
        assert.equal(await size(), 0);
      }
    });

    for (const count of [999, 1000, 1001, 8000]) {
      test(`none of ${count} is locked if the last one is held`, async (t) => {
        const redlock = await make(t);
        await (await redlock.lock(names(2), TTL)).unlock();
        const held = await redlock.lock(`many:${count - 1}`, TTL);
        await rejection(redlock.lock(names(count), TTL));
        assert.equal(await size(), 1);
        await held.unlock();
        const lock = await redlock.lock(names(count), TTL);
        assert.equal(await size(), count);
        await lock.unlock();
        assert.equal(await size(), 0);
      });
    }
  });
}
