'use strict';

/**
 * The classes that the package has, each with its original where one is installed, and how it is asked.
 *
 * @typedef {object} Face
 * @property {() => any} load the class
 * @property {() => any} [original] the class that it stands in for
 * @property {(redlock: any, name: string, ttl: number) => Promise<any>} lock
 * @property {(lock: any) => Promise<any>} release
 * @property {boolean} [isFive] whether its names are those of redlock 5
 * @property {boolean} [isStrict] whether names must be text
 * @property {boolean} [isByText] whether it asks by EVAL alone
 */

const CLASSIC = {
  lock: (redlock, name, ttl) => redlock.lock(name, ttl),
  release: (lock) => lock.unlock(),
};

/** @type {Record<string, Face>} */
const FACES = {
  'the main class': {
    load: () => require('../..'),
    original: () => require('redlock'),
    isStrict: true,
    ...CLASSIC,
  },
  v4: { load: () => require('../../compat/v4'), original: () => require('redlock'), ...CLASSIC },
  v3: {
    load: () => require('../../compat/v3'),
    original: () => require('redlock-3'),
    isByText: true,
    ...CLASSIC,
  },
  v2: {
    load: () => require('../../compat/v2'),
    original: () => require('redlock-2'),
    isByText: true,
    ...CLASSIC,
  },
  v1: { load: () => require('../../compat/v1'), isByText: true, ...CLASSIC },
  'redlock-async': { load: () => require('../../compat/redlock-async'), isByText: true, ...CLASSIC },
  v5: {
    load: () => require('../../compat/v5').default,
    original: () => require('redlock-5').default,
    lock: (redlock, name, ttl) => redlock.acquire([name], ttl),
    release: (lock) => lock.release(),
    isFive: true,
  },
};

module.exports = { FACES };
