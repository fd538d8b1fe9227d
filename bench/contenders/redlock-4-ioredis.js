'use strict';

const { once } = require('node:events');
const Redis = require('ioredis');
const Redlock = require('redlock');

const TTL = 10_000;

/** @param {string[]} urls */
async function open(urls) {
  const clients = urls.map((url) => new Redis(url));
  await Promise.all(clients.map((client) => once(client, 'ready')));
  const redlock = new Redlock(clients);
  return {
    async cycle(resource) {
      const lock = await redlock.lock(resource, TTL);
      await lock.unlock();
    },
  };
}

module.exports = { open };
