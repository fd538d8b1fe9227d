'use strict';

/** Values that an overridden `_random` gives, again and again: what has one is never taken for a lock of one's own. */

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');

const Redlock = require('../..');
const { IOREDIS, makeClient } = require('../support/clients');
const { promoted } = require('../support/redlock');
const { rejection } = require('../support/rejection');
const { startServers } = require('../support/servers');
const { until } = require('../support/until');

const TTL = 60_000;
const VALUE = 'host-7/worker-3';

class Named extends Redlock {
  _random() {
    return VALUE;
  }
}

const MEMBERS = {
  'over URLs': async (_t, servers) => [servers.map(({ url }) => url), {}],
  'over promoted clients': async (t, servers) => [await clientsOf(t, servers), {}],
  'through clients': async (t, servers) => [await clientsOf(t, servers), { connections: 'bridge' }],
};

function clientsOf(t, servers) {
  return Promise.all(servers.map((server) => makeClient(t, IOREDIS, server)));
}

function open(t, members, options) {
  const redlock = new Named(members, { retryCount: 0, ...options });
  t.after(() => redlock.quit());
  return redlock;
}

async function holdersOf(servers, name) {
  const values = await Promise.all(servers.map((server) => server.command('GET', name)));
  return values.filter((value) => value === VALUE).length;
}

for (const [how, make] of Object.entries(MEMBERS)) {
  describe(`a value that comes again, ${how}`, () => {
    test('is refused for as long as it is held, however often it is asked for', async (t) => {
      const servers = await startServers(t, 3);
      const [members, options] = await make(t, servers);
      const redlock = open(t, members, options);
      if (how === 'over promoted clients') await promoted(redlock);
      const lock = await redlock.lock('job', TTL);
      for (let time = 0; time < 3; time += 1) {
        const error = await rejection(redlock.lock('job', TTL));
        assert.equal(error.code, 'ERR_REDLOCK_HELD');
        assert.match(error.cause.message, /_random/);
      }
      assert.equal(lock.held, true);
      await until(async () => (await holdersOf(servers, 'job')) === 3, { what: 'the keys are untouched' });
      await lock.unlock();
      // It may be given again once it is free everywhere.
      const again = await redlock.lock('job', TTL);
      await again.unlock();
    });

    test('does no harm to what another Redlock holds with it', async (t) => {
      const servers = await startServers(t, 3);
      const [members, options] = await make(t, servers);
      const [holder, other] = [open(t, members, options), open(t, members, options)];
      const lock = await holder.lock('job', TTL);
      await until(async () => (await holdersOf(servers, 'job')) === 3);
      const error = await rejection(other.lock('job', TTL));
      assert.match(error.code, /^ERR_REDLOCK_(HELD|UNAVAILABLE)$/);
      assert.ok((await holdersOf(servers, 'job')) >= 2, 'a majority is still there');
      const third = new Redlock(
        servers.map(({ url }) => url),
        { retryCount: 0 },
      );
      t.after(() => third.quit());
      assert.equal((await rejection(third.lock('job', TTL))).code, 'ERR_REDLOCK_HELD');
      await lock.unlock();
    });
  });
}
