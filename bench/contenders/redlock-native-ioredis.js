'use strict';

const Redis = require('ioredis');
const Redlock = require('../..');

const TTL = 10_000;

/**
 * The clients an app has. The warm-up's first locks prove our own connections.
 *
 * @param {string[]} urls
 */
async function open(urls) {
  const redlock = new Redlock(urls.map((url) => new Redis(url)));
  return {
    async cycle(resource) {
      const lock = await redlock.lock(resource, TTL);
      await lock.unlock();
    },
  };
}

module.exports = { open };
