'use strict';

const { ioredis } = require('./clients');

/** @param {string[]} urls @param {import('./index').Retries} options */
async function plain(urls, options) {
  const { default: Redlock } = require('redlock-5');
  return open(Redlock, await ioredis(urls), options);
}

/** With what ioredis has for those who send much: the commands of a tick go out together.
 * @param {string[]} urls @param {import('./index').Retries} options */
async function pipelining(urls, options) {
  const { default: Redlock } = require('redlock-5');
  return open(Redlock, await ioredis(urls, { enableAutoPipelining: true }), options);
}

/** A fork of redlock 5 with the same methods.
 * @param {string[]} urls @param {import('./index').Retries} options */
async function sesamecare(urls, options) {
  const { Redlock } = require('@sesamecare-oss/redlock');
  return open(Redlock, await ioredis(urls), options);
}

function open(Redlock, clients, options) {
  const redlock = new Redlock(clients, options);
  redlock.on('error', () => {});
  return {
    lock: (resource, ttl) => redlock.acquire([resource], ttl),
    unlock: (lock) => lock.release(),
  };
}

module.exports = { plain, pipelining, sesamecare };
