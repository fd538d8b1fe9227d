'use strict';

const Redlock = require('../..');

const TTL = 10_000;

/** @param {string[]} urls */
async function open(urls) {
  const redlock = new Redlock(urls);
  return {
    async cycle(resource) {
      const lock = await redlock.lock(resource, TTL);
      await lock.unlock();
    },
  };
}

module.exports = { open };
