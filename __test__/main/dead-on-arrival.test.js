'use strict';

/** A lock whose validity passes while JavaScript is blocked is never handed over (safety rule 3). */

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');

const Redlock = require('../..');
const { block } = require('../support/block');
const { rejection } = require('../support/rejection');
const { startServers } = require('../support/servers');
const { until } = require('../support/until');

// Nearly all of the ttl is set aside for drift, so that the key outlives the validity by far.
const TTL = 20_000;
const OPTIONS = { driftFactor: 0.98, retryCount: 10 };
const VALIDITY = 398;

describe('a lock that is dead when JavaScript comes to it', () => {
  test('is refused as too slow, without a retry', async () => {
    const redlock = new Redlock(['memory://dead-on-arrival'], OPTIONS);
    const lock = redlock.lock('a', TTL);
    process.nextTick(() => block(VALIDITY + 100));
    const error = await rejection(lock);
    assert.equal(error.code, 'ERR_REDLOCK_TOO_SLOW');
    assert.equal(error.attempts, 1);
    assert.match(error.cause.message, /"a"/);
    await redlock.quit();
  });

  test('is released on every server', async (t) => {
    const servers = await startServers(t, 3);
    const redlock = new Redlock(
      servers.map(({ url }) => url),
      OPTIONS,
    );
    await (await redlock.lock('warm', TTL)).unlock();
    const lock = redlock.lock('a', TTL);
    process.nextTick(() => block(VALIDITY + 100));
    assert.equal((await rejection(lock)).code, 'ERR_REDLOCK_TOO_SLOW');
    for (const server of servers) await until(async () => (await server.keys()).length === 0);
    await redlock.quit();
  });
});
