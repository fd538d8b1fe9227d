'use strict';

/** `redlock.stats()`: what has come of everything. */

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');

const Redlock = require('../..');
const { redlockOver, urlsOf } = require('../support/redlock');
const { startServers } = require('../support/servers');
const { until } = require('../support/until');

const NAME = 'stats';
const OUTCOMES = ['aborted', 'granted', 'held', 'timeout', 'too_slow', 'unavailable'];

/** How many requests have come to each outcome, but for those of which there was none. */
function outcomesOf({ acquires }) {
  const counts = Object.entries(acquires).map(([outcome, { duration }]) => [outcome, duration.count]);
  return Object.fromEntries(counts.filter(([, count]) => count > 0));
}

/** Fails unless it is a histogram as Prometheus wants it. */
function checkHistogram({ count, sum, buckets }) {
  const { le, count: last } = buckets.at(-1);
  assert.deepEqual([le, last], [Number.POSITIVE_INFINITY, count]);
  assert.ok(sum >= 0);
  for (const [at, bucket] of buckets.slice(1).entries()) {
    assert.ok(bucket.le > buckets[at].le && bucket.count >= buckets[at].count);
  }
}

describe('redlock.stats()', () => {
  test('begins with nothing, in the same shape as ever', async (t) => {
    const redlock = redlockOver(t, ['memory://stats-1', 'memory://stats-2']);
    const stats = await redlock.stats();
    assert.deepEqual(Object.keys(stats.acquires).sort(), OUTCOMES);
    for (const { duration, attempts } of Object.values(stats.acquires)) {
      checkHistogram(duration);
      checkHistogram(attempts);
      assert.equal(duration.count, 0);
    }
    const { waiting, held, lost, wakeups } = stats;
    assert.deepEqual({ waiting, held }, { waiting: 0, held: 0 });
    assert.deepEqual(lost, { ERR_REDLOCK_EXPIRED: 0, ERR_REDLOCK_MAX_HOLD: 0, ERR_REDLOCK_NOT_HELD: 0 });
    assert.deepEqual(wakeups, { told: 0, expiry: 0, poll: 0 });
    const votes = { granted: 0, held: 0, seen: 0, failed: 0 };
    const instances = stats.instances.map(({ duration, ...others }) => {
      checkHistogram(duration);
      return others;
    });
    assert.deepEqual(instances, [
      { address: 'memory://stats-1', votes, failures: {} },
      { address: 'memory://stats-2', votes, failures: {} },
    ]);
  });

  test('has each request by its outcome, and each lock by how it ended', async (t) => {
    const redlock = redlockOver(t, ['memory://stats'], { retryCount: 2, retryDelay: 5, retryJitter: 0 });
    const lock = await redlock.lock(NAME, 10_000);
    await assert.rejects(redlock.lock(NAME, 1000), { code: 'ERR_REDLOCK_HELD' });
    assert.equal(await redlock.tryLock(NAME, 1000), null);
    const timeout = redlock.lock(NAME, 1000, { retryCount: -1, maxWait: 20 });
    await assert.rejects(timeout, { code: 'ERR_REDLOCK_TIMEOUT' });
    const signal = AbortSignal.timeout(20);
    const aborted = redlock.lock(NAME, 1000, { retryCount: -1, signal });
    assert.equal((await redlock.stats()).waiting, 1);
    await assert.rejects(aborted, { name: 'TimeoutError' });
    const forgotten = await redlock.lock(`${NAME} forgotten`, 20);

    let stats = await redlock.stats();
    assert.deepEqual(outcomesOf(stats), { granted: 2, held: 2, timeout: 1, aborted: 1 });
    assert.equal(stats.waiting, 0);
    const { held, timeout: late } = stats.acquires;
    assert.equal(held.attempts.sum, 3 + 1);
    assert.ok(late.duration.sum >= 0.02, `${late.duration.sum} s`);
    for (const { duration, attempts } of Object.values(stats.acquires)) {
      checkHistogram(duration);
      checkHistogram(attempts);
    }

    await lock.unlock();
    await until(() => !forgotten.held, { what: 'the other one is over' });
    stats = await redlock.stats();
    assert.equal(stats.held, 0);
    const { released, lost } = stats.holds;
    assert.deepEqual([released.count, lost.count], [1, 1]);
    assert.ok(released.sum > 0.02 && lost.sum < 0.02, `${released.sum} s, ${lost.sum} s`);
    const [{ duration, votes }] = stats.instances;
    checkHistogram(duration);
    assert.ok(duration.count > 0 && duration.sum > 0);
    assert.ok(votes.granted >= 3 && votes.held >= 5, JSON.stringify(votes));
  });

  test('says which server failed, how often and why', async (t) => {
    const servers = await startServers(t, 2);
    const redlock = redlockOver(t, urlsOf(servers), { retryCount: 1, retryDelay: 5 });
    await (await redlock.lock(NAME, 10_000)).unlock();
    await servers[1].stop();
    await assert.rejects(redlock.lock(NAME, 10_000), { code: 'ERR_REDLOCK_UNAVAILABLE' });
    const stats = await redlock.stats();
    assert.deepEqual(outcomesOf(stats), { granted: 1, unavailable: 1 });
    const [well, gone] = stats.instances;
    assert.deepEqual([well.votes.failed, well.failures], [0, {}]);
    assert.ok(gone.votes.failed >= 2, JSON.stringify(gone.votes));
    const failures = Object.values(gone.failures).reduce((sum, count) => sum + count, 0);
    assert.equal(failures, gone.votes.failed);
    assert.ok(Object.keys(gone.failures).every((code) => code.startsWith('ERR_REDLOCK_')));
  });

  test('says what had who waits for a lock ask again', async (t) => {
    const [server] = await startServers(t, 1);
    const redlock = redlockOver(t, [server.url], { retryCount: -1, retryDelay: 60_000, retryJitter: 0 });
    await server.command('SET', NAME, 'of another process', 'PX', 30_000);
    const next = redlock.lock(NAME, 30_000);
    const watched = async () => /tracking_total_keys:1\b/.test(await server.command('INFO'));
    await until(watched, { what: 'the server tells of the key' });
    await server.command('DEL', NAME);
    await (await next).unlock();
    const { wakeups } = await redlock.stats();
    assert.ok(wakeups.told >= 1, JSON.stringify(wakeups));
  });

  test('is refused once it is closed', async () => {
    const redlock = new Redlock(['memory://stats']);
    await redlock.quit();
    await assert.rejects(redlock.stats(), { name: 'LockError', code: 'ERR_REDLOCK_CLOSED', attempts: 0 });
  });
});
