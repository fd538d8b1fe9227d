'use strict';

/**
 * The ways in which apps hold locks, by name: our classes over each kind of member.
 *
 * @typedef {{host: string, port: number}} Place of a server, perhaps through a proxy
 * @typedef {object} Lease a lock while it is held
 * @property {() => number} left for how many ms more it may be believed in; 0 = not at all
 * @property {() => Promise<unknown>} [extend] by a ttl from now; absent if it is extended by itself
 * @typedef {object} Holder
 * @property {(resources: string[], isKept: boolean, routine: (lease: Lease) => Promise<void>) => Promise<unknown>} hold
 *   runs the routine under a lock, which is extended by itself if `isKept` and the class knows how to
 * @property {() => Promise<unknown>} quit
 */

const { now } = require('./clock');

const OPTIONS = { retryCount: 30, retryDelay: 25, retryJitter: 20 };

/** @type {Record<string, (places: Place[], ttl: number) => Promise<Holder>>} */
const HOLDERS = {
  urls: async (places, ttl) => byMain(places.map(urlOf), ttl),
  ioredis: async (places, ttl) => byMain(places.map(ioredis), ttl),
  'node-redis': async (places, ttl) => byMain(await Promise.all(places.map(nodeRedis)), ttl),
  glide: async (places, ttl) => byMain(await Promise.all(places.map(glide)), ttl),
  bridge: async (places, ttl) => byMain(places.map(ioredis), ttl, { connections: 'bridge' }),
  mixed: async (places, ttl) => byMain(await Promise.all(places.map(mixed)), ttl),
  v4: async (places, ttl) => byV4(places.map(ioredis), ttl),
  v5: async (places, ttl) => byV5(places.map(ioredis), ttl),
  /** Doesn't lock at all, to show that this is noticed. */
  nobody: async (_places, ttl) => ({
    hold: (_resources, _isKept, routine) => routine({ left: () => ttl }),
    quit: async () => {},
  }),
};

// ---- members

/** @param {Place} place */
function urlOf({ host, port }) {
  return `redis://${host}:${port}`;
}

/** @param {Place} place */
function ioredis({ host, port }) {
  const client = new (require('ioredis'))({ host, port });
  client.on('error', () => {});
  return client;
}

/** @param {Place} place */
async function nodeRedis({ host, port }) {
  const client = require('redis-5').createClient({ socket: { host, port } });
  client.on('error', () => {});
  await client.connect();
  return client;
}

/** @param {Place} place */
async function glide({ host, port }) {
  const { GlideClient, Logger } = require('@valkey/valkey-glide');
  Logger.setLoggerConfig('off');
  return GlideClient.createClient({ addresses: [{ host, port }] });
}

/**
 * Each member in another way.
 *
 * @param {Place} place
 * @param {number} index
 */
async function mixed(place, index) {
  const ways = [urlOf, ioredis, nodeRedis, () => place];
  return ways[index % ways.length](place);
}

// ---- classes

/**
 * @param {any[]} members
 * @param {number} ttl
 * @param {object} [options]
 * @returns {Holder}
 */
function byMain(members, ttl, options) {
  const Redlock = require('..');
  const redlock = new Redlock(members, { ...OPTIONS, ...options });
  /** @param {import('..').Lock} lock */
  const left = (lock) => (lock.held ? lock.remaining() : 0);
  return {
    async hold(resources, isKept, routine) {
      if (isKept) {
        return redlock.using(resources, ttl, (_signal, lock) => routine({ left: () => left(lock) }));
      }
      const lock = await redlock.lock(resources, ttl);
      await routine({ left: () => left(lock), extend: () => lock.extend(ttl) });
      await lock.unlock();
    },
    quit: () => redlock.quit(),
  };
}

/**
 * Its locks know their end by the wall clock, which is looked at as soon as they are there.
 *
 * @param {any[]} members
 * @param {number} ttl
 * @returns {Holder}
 */
function byV4(members, ttl) {
  const Redlock = /** @type {any} */ (require('../compat/v4'));
  const redlock = new Redlock(members, OPTIONS);
  return {
    async hold(resources, _isKept, routine) {
      const lock = await redlock.lock(resources, ttl);
      const term = new WallTerm(() => lock.expiration);
      const extend = () => lock.extend(ttl).finally(() => term.renew());
      await routine({ left: () => term.left(), extend });
      await lock.unlock();
    },
    quit: () => redlock.quit(),
  };
}

/**
 * @param {any[]} members
 * @param {number} ttl
 * @returns {Holder}
 */
function byV5(members, ttl) {
  const { default: Redlock } = /** @type {any} */ (require('../compat/v5'));
  const redlock = new Redlock(members, { ...OPTIONS, automaticExtensionThreshold: ttl / 2 });
  return {
    async hold(resources, isKept, routine) {
      if (isKept) {
        // All that is known of it is its signal.
        const left = (/** @type {AbortSignal} */ signal) => (signal.aborted ? 0 : Number.MIN_VALUE);
        return redlock.using(resources, ttl, (/** @type {AbortSignal} */ signal) =>
          routine({ left: () => left(signal) }),
        );
      }
      let lock = await redlock.acquire(resources, ttl);
      const term = new WallTerm(() => lock.expiration);
      const extend = async () => {
        try {
          lock = await lock.extend(ttl);
        } finally {
          term.renew();
        }
      };
      await routine({ left: () => term.left(), extend });
      await lock.release();
    },
    quit: () => redlock.quit(),
  };
}

/** An end by the wall clock, taken to the clock that nobody sets. */
class WallTerm {
  #read;
  #until = 0;

  /** @param {() => number} read the lock's `expiration` */
  constructor(read) {
    this.#read = read;
    this.renew();
  }

  renew() {
    this.#until = now() + this.#read() - Date.now();
  }

  left() {
    return Math.max(0, this.#until - now());
  }
}

/**
 * Whether that is how a request ends whose lock was not to be had, or is gone.
 *
 * @param {any} error
 */
function isRefusal(error) {
  return error?.name === 'LockError' || error?.name === 'ExecutionError';
}

/**
 * Why this machine can't have such holders: one library brings no binary for some systems.
 *
 * @param {string} name
 */
function missing(name) {
  if (name !== 'glide') return undefined;
  try {
    require('@valkey/valkey-glide');
    return undefined;
  } catch (error) {
    return /** @type {Error} */ (error).message;
  }
}

module.exports = { HOLDERS, isRefusal, missing };
