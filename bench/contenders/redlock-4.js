'use strict';

const { ioredis, nodeRedis3 } = require('./clients');

/** @param {string[]} urls @param {import('./index').Retries} options */
async function overIoredis(urls, options) {
  return open(await ioredis(urls), options);
}

/** @param {string[]} urls @param {import('./index').Retries} options */
async function overNodeRedis(urls, options) {
  return open(await nodeRedis3(urls), options);
}

function open(clients, options) {
  const Redlock = require('redlock');
  const redlock = new Redlock(clients, options);
  redlock.on('clientError', () => {});
  return {
    lock: (resource, ttl) => redlock.lock(resource, ttl),
    unlock: (lock) => lock.unlock(),
  };
}

module.exports = { overIoredis, overNodeRedis };
