'use strict';

const { nodeRedis3 } = require('./clients');

/**
 * A lock on one server.
 *
 * @param {string[]} urls
 * @param {import('./index').Retries} options
 */
async function open([url], { retryCount: retries, retryDelay: delay } = {}) {
  const { createLock } = require('redislock');
  const [client] = await nodeRedis3([url]);
  return {
    async lock(resource, timeout) {
      const lock = createLock(client, { timeout, retries, delay });
      await lock.acquire(resource);
      return lock;
    },
    unlock: (lock) => lock.release(),
  };
}

module.exports = { open };
