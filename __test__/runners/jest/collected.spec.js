'use strict';

/* global test */

const Redlock = require('../../..');

const URLS = process.env.REDLOCK_URLS.split(',');

test('it locks', async () => {
  const redlock = new Redlock(URLS, { retryCount: 0 });
  const lock = await redlock.lock(`open-handles-${process.pid}`, 1000);
  lock.signal.throwIfAborted();
  await lock.unlock();
  await redlock.using(`open-handles-${process.pid}`, 1000, async () => {});
  await redlock.quit();
});
