'use strict';

const { ioredis } = require('./clients');

/**
 * On one server its lock for one, whose faster mode is asked for; on more its redlock.
 *
 * @param {string[]} urls
 * @param {import('./index').Retries} options
 */
async function open(urls, { retryCount: retryAttempts, retryDelay } = {}) {
  const { createLock, createRedlock, IoredisAdapter } = require('redlock-universal');
  const adapters = (await ioredis(urls)).map((client) => new IoredisAdapter(client));
  const create =
    adapters.length === 1
      ? (key, ttl) =>
          createLock({ adapter: adapters[0], key, ttl, retryAttempts, retryDelay, performance: 'lean' })
      : (key, ttl) => createRedlock({ adapters, key, ttl, retryAttempts, retryDelay });
  return {
    async lock(resource, ttl) {
      const lock = create(resource, ttl);
      return { lock, handle: await lock.acquire() };
    },
    unlock: ({ lock, handle }) => lock.release(handle),
  };
}

module.exports = { open };
