'use strict';

const Redis = require('ioredis');
const Redlock = require('../..');

const TTL = 10_000;

/**
 * The clients an app has, and no connection of our own.
 *
 * @param {string[]} urls
 */
async function open(urls) {
  const clients = urls.map((url) => new Redis(url));
  const redlock = new Redlock(clients, { connections: 'bridge' });
  return {
    async cycle(resource) {
      const lock = await redlock.lock(resource, TTL);
      await lock.unlock();
    },
  };
}

module.exports = { open };
