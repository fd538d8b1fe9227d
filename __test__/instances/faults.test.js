'use strict';

/** Instances that are dead, silent or late: a minority is not noticed, a majority is named. */

const assert = require('node:assert/strict');
const { describe, before, beforeEach, test } = require('node:test');
const { setTimeout: sleep } = require('node:timers/promises');

const Redlock = require('../..');
const { startProxy } = require('../support/proxy');
const { assertValue } = require('../support/redlock');
const { rejection } = require('../support/rejection');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');
const { until } = require('../support/until');
const { within } = require('../support/within');

const TTL = 5000;
/** A tenth of the ttl, at least 100 ms. */
const DEADLINE = 500;

/** The median of the times in ms that `work` takes. */
async function medianTime(work, count = 30) {
  const times = [];
  for (let i = 0; i < count; i++) {
    const started = performance.now();
    await work(i);
    times.push(performance.now() - started);
  }
  return times.sort((a, b) => a - b)[count >> 1];
}

describe('of three servers', () => {
  const suite = endOfSuite();
  /** @type {import('../../scripts/servers').RedisServer[]} */
  let servers;
  before(async () => {
    servers = await startServers(suite, 3);
  });
  beforeEach(() => Promise.all(servers.map((server) => server.command('FLUSHALL'))));

  const urls = () => servers.map(({ url }) => url);

  async function open(t, instances = urls(), options = {}) {
    const redlock = new Redlock(instances, { retryCount: 0, ...options });
    t.after(() => redlock.quit());
    await until(() => reachesAll(redlock, instances.length), { what: 'all are connected' });
    return redlock;
  }

  async function reachesAll(redlock, count) {
    const lock = await redlock.lock('warm', TTL);
    const held = await Promise.all(servers.slice(0, count).map((server) => server.command('EXISTS', 'warm')));
    await lock.unlock();
    return held.every((exists) => exists === 1);
  }

  for (const [what, hurt, heal] of [
    ['stopped', (server) => server.pause(), (server) => server.resume()],
    ['killed', (server) => server.kill(), (server) => server.restart()],
  ]) {
    const together = { skip: process.env.LATE ? 'the servers are not equally near' : false };
    test(`one that is ${what} costs no time`, together, async (t) => {
      const redlock = await open(t);
      const cycle = async (i) => {
        const lock = await redlock.lock(`cycle-${i}`, TTL);
        await lock.extend(TTL);
        await lock.unlock();
      };
      const whole = await medianTime(cycle);
      t.after(() => heal(servers[1]));
      await hurt(servers[1]);
      const hurting = await medianTime(cycle);
      // The servers take turns with us on the cores: a fraction of a millisecond is no waiting.
      assert.ok(hurting < whole * 1.5 + 0.5, `${whole} ms with all, ${hurting} ms without one`);
    });

    test(`two that are ${what} are both named, within one deadline`, together, async (t) => {
      const redlock = await open(t);
      t.after(() => Promise.all(servers.slice(1).map(heal)));
      await Promise.all(servers.slice(1).map(hurt));
      // One after the other would take twice as long.
      const error = await within(1.7 * DEADLINE, rejection(redlock.lock('a', TTL)), 'the error');
      assert.equal(error.code, 'ERR_REDLOCK_UNAVAILABLE');
      assert.deepEqual(
        error.votes.map(({ vote }) => vote),
        ['granted', 'failed', 'failed'],
      );
      for (const { url } of servers.slice(1)) {
        assert.ok(error.cause.message.includes(url), error.cause.message);
      }
      assert.deepEqual(await servers[0].keys(), []);
    });
  }

  test('two that were stopped keep no key of a failed lock once they wake', async (t) => {
    const redlock = await open(t);
    const stopped = servers.slice(1);
    t.after(() => stopped.map((server) => server.resume()));
    for (const server of stopped) server.pause();
    const error = await rejection(redlock.lock('a', 60_000));
    assert.deepEqual(
      error.votes.slice(1).map((vote) => vote.error.code),
      ['ERR_REDLOCK_SILENT', 'ERR_REDLOCK_SILENT'],
    );
    for (const server of stopped) server.resume();
    for (const server of servers) {
      await until(async () => (await server.keys()).length === 0, { what: 'no key is left' });
    }
    const lock = await redlock.lock('a', TTL, { retryCount: 50, retryDelay: 20 });
    await lock.unlock();
  });

  test('a lock survives the loss of one of its servers, and is extended and unlocked', async (t) => {
    const redlock = await open(t);
    const lock = await redlock.lock('a', TTL);
    t.after(() => servers[0].restart());
    await servers[0].kill();
    assert.equal((await rejection(redlock.lock('a', TTL))).code, 'ERR_REDLOCK_HELD');
    await lock.extend(TTL);
    await lock.unlock();
    await (await redlock.lock('a', TTL)).unlock();
  });

  test('one that was restarted votes again', async (t) => {
    const redlock = await open(t);
    await servers[0].kill();
    await rejection(redlock.unlock({ resource: 'nothing', value: 'x', expiration: 0 }));
    await servers[0].restart();
    await until(() => reachesAll(redlock, 3), { what: 'it has our keys again' });
  });

  test('replies that come later than the lock could last are no lock', async (t) => {
    const proxies = await Promise.all(servers.map((server) => startProxy(t, server)));
    const redlock = await open(
      t,
      proxies.map(({ url }) => url),
      // More patience than the ttl lasts, so that it is the validity that refuses.
      { deadlineFloor: 10_000, deadlineCeiling: 10_000 },
    );
    await Promise.all(proxies.map((proxy) => proxy.late(400)));
    const error = await rejection(redlock.lock('a', 300));
    assert.ok(['ERR_REDLOCK_TOO_SLOW', 'ERR_REDLOCK_UNAVAILABLE'].includes(error.code), error.code);
    for (const server of servers) await until(async () => (await server.keys()).length === 0);
  });

  test('a reply that is lost leaves no key of a lock that failed', async (t) => {
    const proxies = await Promise.all(servers.map((server) => startProxy(t, server)));
    const redlock = await open(
      t,
      proxies.map(({ url }) => url),
    );
    await Promise.all(proxies.slice(1).map((proxy) => proxy.dropReply()));
    const error = await rejection(redlock.lock('a', 60_000));
    assert.equal(error.code, 'ERR_REDLOCK_UNAVAILABLE');
    for (const server of servers) await until(async () => (await server.keys()).length === 0);
  });

  test('a failed command is told of once, its late reply is not told of again', async (t) => {
    const proxy = await startProxy(t, servers[2]);
    const redlock = await open(t, [servers[0].url, servers[1].url, proxy.url]);
    const events = [];
    redlock.on('clientError', (error, instance) => events.push([error.code, error.operation, instance]));
    await proxy.hang();
    const lock = await redlock.lock('a', 60_000);
    await until(() => events.length > 0);
    assert.deepEqual(events, [['ERR_REDLOCK_SILENT', 'lock', { index: 2, address: proxy.url }]]);
    const heard = proxy.replyBytes;
    await proxy.pass();
    await until(() => proxy.replyBytes > heard, { what: 'the late reply has come' });
    await sleep(50);
    assert.equal(events.length, 1);
    await lock.unlock();
  });

  test('with an even number, one against one is held by another, at once', async (t) => {
    const redlock = await open(t, urls().slice(0, 2));
    await servers[1].command('SET', 'a', 'other');
    const error = await within(DEADLINE, rejection(redlock.lock('a', TTL)), 'the error');
    assert.equal(error.code, 'ERR_REDLOCK_HELD');
    assert.deepEqual(await servers[0].keys(), []);
  });
});

describe('other lockers', () => {
  const suite = endOfSuite();
  /** @type {import('../../scripts/servers').RedisServer[]} */
  let servers;
  let redlock;
  before(async () => {
    servers = await startServers(suite, 3);
    redlock = new Redlock(
      servers.map(({ url }) => url),
      { retryCount: 0 },
    );
    suite.after(() => redlock.quit());
  });
  beforeEach(() => Promise.all(servers.map((server) => server.command('FLUSHALL'))));

  const onAll = (...command) => Promise.all(servers.map((server) => server.command(...command)));

  for (const resource of ['k', ['k', 'l'], ['l', 'k']]) {
    test(`are respected by a lock of ${JSON.stringify(resource)}`, async () => {
      await onAll('SET', 'k', 'other', 'PX', 500);
      const started = performance.now();
      assert.equal((await rejection(redlock.lock(resource, TTL))).code, 'ERR_REDLOCK_HELD');
      assert.deepEqual(await onAll('GET', 'k'), ['other', 'other', 'other']);
      assert.deepEqual(await onAll('EXISTS', 'l'), [0, 0, 0]);
      const lock = await redlock.lock(resource, TTL, { retryCount: -1, retryDelay: 10, retryJitter: 0 });
      assert.ok(performance.now() - started > 400);
      await lock.unlock();
    });
  }

  test('are blocked by ours', async () => {
    const one = await redlock.lock('k', TTL);
    await assertValue(servers, 'k', one.value);
    assert.deepEqual(await onAll('SET', 'k', 'other', 'NX', 'PX', 500), [null, null, null]);
    const two = await redlock.lock(['l', 'm'], TTL);
    await assertValue(servers, 'm', two.value);
    assert.deepEqual(await onAll('SET', 'm', 'other', 'NX', 'PX', 500), [null, null, null]);
    await one.unlock();
    await two.unlock();
    await assertValue(servers, 'm', null);
    assert.deepEqual(await onAll('SET', 'm', 'other', 'NX', 'PX', 500), ['OK', 'OK', 'OK']);
  });

  test('keep what they took when our lock had ended before', async () => {
    const lock = await redlock.lock('k', 100);
    for (const server of servers) await until(async () => (await server.keys()).length === 0);
    await onAll('SET', 'k', 'other');
    await rejection(lock.unlock());
    await rejection(redlock.extend({ ...lock, expiration: Date.now() + 1000 }, TTL));
    assert.deepEqual(await onAll('GET', 'k'), ['other', 'other', 'other']);
  });

  test('on a minority of the servers don’t keep us from the lock', async () => {
    await servers[0].command('SET', 'k', 'other');
    const lock = await redlock.lock('k', TTL);
    await lock.unlock();
    assert.equal(await servers[0].command('GET', 'k'), 'other');
  });

  test('that start with a keyPrefix have their keys where it says', async (t) => {
    const prefixed = new Redlock(
      servers.map(({ url }) => `${url}/1?keyPrefix=app:`),
      { retryCount: 0 },
    );
    t.after(() => prefixed.quit());
    const lock = await prefixed.lock('k', TTL);
    for (const server of servers) {
      await until(async () => /^keys=1/.test((await server.info('keyspace')).db1));
      assert.deepEqual(await server.keys(), [], 'nothing in database 0');
    }
    await lock.extend(TTL);
    await lock.unlock();
  });
});
