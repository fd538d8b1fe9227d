'use strict';

const { setTimeout: sleep } = require('node:timers/promises');

const { ioredis } = require('./clients');

/** For how long our own connections may take to be proven, in ms. */
const PROMOTION = 10_000;

/** @typedef {import('./index').Retries} Retries */

/** What was said of options that this package doesn't have: without them it isn't what was to be measured. */
let ignored = '';
process.on('warning', ({ code, message }) => {
  if (code === 'REDLOCK_OPTIONS') ignored = message;
});

/** By the servers' URLs.
 * @param {string[]} urls @param {Retries} options */
async function byUrl(urls, options) {
  const Redlock = require('../..');
  return ready(new Redlock(urls, options));
}

/** Over the clients an app has, from when our own connections are proven.
 * @param {string[]} urls @param {Retries} options */
async function promoted(urls, options) {
  const Redlock = require('../..');
  return ready(new Redlock(await ioredis(urls), options));
}

/** Over the clients an app has, and no connection of our own.
 * @param {string[]} urls @param {Retries} options */
async function bridged(urls, options) {
  const Redlock = require('../..');
  return methods(new Redlock(await ioredis(urls), { ...options, connections: 'bridge' }));
}

/** redlock 4's class, with bluebird's promises.
 * @param {string[]} urls @param {Retries} options */
async function v4(urls, options) {
  const Redlock = require('../../compat/v4');
  return ready(new Redlock(await ioredis(urls), options));
}

/** redlock 5's class.
 * @param {string[]} urls @param {Retries} options */
async function v5(urls, options) {
  const Redlock = require('../../compat/v5').default;
  const redlock = new Redlock(await ioredis(urls), options);
  redlock.on('error', () => {});
  return ready(redlock, {
    lock: (resource, ttl) => redlock.acquire([resource], ttl),
    unlock: (lock) => lock.release(),
  });
}

/** Locks until all connections are our own. */
async function ready(redlock, opened = methods(redlock)) {
  const deadline = performance.now() + PROMOTION;
  do {
    if (performance.now() > deadline) {
      throw new Error(`still bridged: ${JSON.stringify(redlock.connections)}`);
    }
    await opened.unlock(await opened.lock(`bench:ready:${process.pid}`, 5000));
    await sleep(5);
    if (ignored) throw new Error(ignored);
  } while (!redlock.connections.every(({ mode, state }) => mode === 'native' && state === 'ready'));
  return opened;
}

function methods(redlock) {
  redlock.on('clientError', () => {});
  return {
    lock: (resource, ttl) => redlock.lock(resource, ttl),
    unlock: (lock) => lock.unlock(),
    keep: (resource, ttl) => redlock.lock(resource, ttl, { autoExtend: true }),
  };
}

module.exports = { byUrl, promoted, bridged, v4, v5 };
