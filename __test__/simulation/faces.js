'use strict';

/**
 * The classes that people call, in one shape: each method takes a callback, which is given where the class takes
 * callbacks, and returns what the class returns.
 *
 * @typedef {object} Face
 * @property {string} kind
 * @property {any} redlock
 * @property {boolean} hasPromises whether its methods return promises
 * @property {boolean} hasCallbacks
 * @property {(names: any, ttl: any, options: any, callback: any) => any} lock
 * @property {(lock: any, ttl: any, options: any, callback: any) => any} extend
 * @property {(lock: any, callback: any) => any} unlock
 */

/** @type {Record<string, {load: (load: (name: string) => any) => any, make: (Class: any, members: any[], options: any) => any, hasPromises: boolean, hasCallbacks: boolean}>} */
const KINDS = {
  main: {
    load: (load) => load('lib/redlock.js'),
    make: (Redlock, members, options) => new Redlock(members, options),
    hasPromises: true,
    hasCallbacks: true,
  },
  v4: {
    load: (load) => load('compat/v4.js'),
    make: (Redlock, members, options) => new Redlock(members, options),
    hasPromises: true,
    hasCallbacks: true,
  },
  async: {
    load: (load) => load('compat/redlock-async.js'),
    make: (Redlock, members, options) => new Redlock(members, options),
    hasPromises: true,
    hasCallbacks: false,
  },
  v0: {
    load: (load) => load('compat/v0.js'),
    make: (Redlock, members, options) => new Redlock(options, ...members),
    hasPromises: false,
    hasCallbacks: true,
  },
  v5: {
    load: (load) => load('compat/v5/index.js').default,
    make: (Redlock, members, options) => new Redlock(members, options),
    hasPromises: true,
    hasCallbacks: false,
  },
};

const WEIGHTS = [
  [10, 'main'],
  [3, 'v5'],
  [2, 'v4'],
  [2, 'async'],
  [2, 'v0'],
];

/**
 * @param {import('./world').World} world
 * @param {(name: string) => any} load
 * @param {any[]} members
 * @returns {Face}
 */
function makeFace(world, load, members) {
  const { chance } = world;
  const kind = chance.weigh(WEIGHTS);
  const { hasPromises, hasCallbacks, ...how } = KINDS[kind];
  const retryCount = chance.pick([0, 1, 3, -1]);
  const options = { retryCount, retryDelay: chance.pick([0, 5, 50]), retryJitter: chance.pick([0, 5]) };
  if (kind === 'v5') options.automaticExtensionThreshold = chance.pick([10, 100]);
  const redlock = how.make(how.load(load), members, options);
  world.trace(`a face: ${kind} over ${members.length}`);
  world.count(`faces: ${kind}`);
  if (kind === 'v4') world.hasBluebird = true;
  const methods =
    kind === 'v5'
      ? {
          lock: (names, ttl, given) => redlock.acquire(names, ttl, given),
          extend: (lock, ttl, given) => redlock.extend(lock, ttl, given),
          unlock: (lock) => redlock.release(lock),
        }
      : {
          lock: (names, ttl, given, callback) => lockOf(kind, redlock, names, ttl, given, callback),
          extend: (lock, ttl, given, callback) =>
            kind === 'main'
              ? redlock.extend(lock, ttl, given, callback)
              : redlock.extend(lock, ttl, callback),
          unlock: (lock, callback) => redlock.unlock(lock, callback),
        };
  return { kind, redlock, members, hasPromises, hasCallbacks, ...methods };
}

function lockOf(kind, redlock, names, ttl, options, callback) {
  if (kind === 'main') return redlock.lock(names, ttl, options, callback);
  if (kind === 'v4') return redlock.lockWithOptions(names, ttl, options, callback);
  return redlock.lock(names, ttl, callback);
}

module.exports = { makeFace };
