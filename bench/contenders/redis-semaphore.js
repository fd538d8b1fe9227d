'use strict';

const { ioredis } = require('./clients');

/** Its limit is a time and not a count of attempts: longer than any measurement. */
const ACQUIRE_TIMEOUT = 600_000;

/**
 * On one server its mutex for one, on more its redlock's; not extended by itself.
 *
 * @param {string[]} urls
 * @param {import('./index').Retries} options
 */
async function open(urls, { retryDelay: retryInterval = 10 } = {}) {
  const { Mutex, RedlockMutex } = require('redis-semaphore');
  const clients = await ioredis(urls);
  const create = (resource, options) =>
    clients.length === 1
      ? new Mutex(clients[0], resource, options)
      : new RedlockMutex(clients, resource, options);
  return {
    async lock(resource, lockTimeout) {
      const mutex = create(resource, {
        lockTimeout,
        retryInterval,
        acquireTimeout: ACQUIRE_TIMEOUT,
        refreshInterval: 0,
      });
      await mutex.acquire();
      return mutex;
    },
    unlock: (mutex) => mutex.release(),
  };
}

module.exports = { open };
