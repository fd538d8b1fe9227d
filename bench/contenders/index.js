'use strict';

/**
 * Who is measured. `load` gives a function that connects to the servers, `open(urls, options)` with `retryCount`,
 * `retryDelay` and `retryJitter`, and resolves with `lock(resource, ttl)`, whose result `unlock` takes. It ends with
 * its process. The first one is ours: the others' figures are compared with it.
 *
 * `commands` are those that it sends itself, as the servers' statistics name them, where what its scripts call is
 * counted under other names. `native` is how the ceiling releases; it has no JavaScript.
 *
 * @typedef {object} Description
 * @property {string} id for --only
 * @property {string} name
 * @property {'ours' | 'peer' | 'ceiling'} kind
 * @property {() => (urls: string[], options: Retries) => Promise<Opened>} [load]
 * @property {string[]} [commands]
 * @property {object} [options] beside those that the case gives to all
 * @property {string} [only] the one case that it takes part in
 * @property {'single' | 'merged'} [native]
 * @property {boolean} [isInstalled] is none of the package's devDependencies, but of bench/package.json
 * @property {boolean} [isAlone] locks on one server only
 * @property {boolean} [isTuned] is not how it comes: an option is set that pools commands
 *
 * @typedef {{retryCount?: number, retryDelay?: number, retryJitter?: number}} Retries
 * @typedef {object} Opened
 * @property {(resource: string, ttl: number) => Promise<any>} lock
 * @property {(lock: any) => Promise<unknown>} unlock
 * @property {(resource: string, ttl: number) => Promise<{signal: AbortSignal}>} [keep] locks, and extends by itself; the
 *   signal is aborted when the lock is lost
 */

const OURS = { kind: 'ours', commands: ['set', 'eval', 'evalsha'] };
const SCRIPTS_ONLY = { commands: ['eval', 'evalsha'] };
const REDLOCK = { kind: 'peer', ...SCRIPTS_ONLY };
const INSTALLED = { isInstalled: true };
const WITH_SET = { kind: 'peer', commands: ['set', 'eval', 'evalsha'] };

/** @type {Description[]} */
const contenders = [
  { ...OURS, id: 'url', name: 'redlock-native', load: () => require('./ours').byUrl },
  { ...OURS, id: 'promoted', name: 'redlock-native + ioredis 5', load: () => require('./ours').promoted },
  {
    ...OURS,
    // The one script takes SET's place there.
    ...SCRIPTS_ONLY,
    id: 'bridged',
    name: 'redlock-native, bridged ioredis 5',
    load: () => require('./ours').bridged,
  },
  { ...OURS, id: 'v4', name: 'redlock-native/v4 + ioredis 5', load: () => require('./ours').v4 },
  { ...OURS, id: 'v5', name: 'redlock-native/v5 + ioredis 5', load: () => require('./ours').v5 },
  {
    ...OURS,
    id: 'fair',
    name: 'redlock-native, fair',
    options: { fair: true },
    only: 'fairness',
    load: () => require('./ours').byUrl,
  },
  {
    ...OURS,
    id: 'unwoken',
    name: 'redlock-native, wakeups: false',
    options: { wakeups: false },
    only: 'wakeups',
    load: () => require('./ours').byUrl,
  },
  {
    ...REDLOCK,
    id: 'redlock-4-ioredis',
    name: 'redlock 4 + ioredis 5',
    load: () => require('./redlock-4').overIoredis,
  },
  {
    ...REDLOCK,
    id: 'redlock-4-redis',
    name: 'redlock 4 + node-redis 3',
    load: () => require('./redlock-4').overNodeRedis,
  },
  { ...REDLOCK, id: 'redlock-5', name: 'redlock 5 + ioredis 5', load: () => require('./redlock-5').plain },
  {
    ...REDLOCK,
    id: 'redlock-5-pipelining',
    name: 'redlock 5 + ioredis 5, autopipelining',
    load: () => require('./redlock-5').pipelining,
    isTuned: true,
  },
  {
    ...REDLOCK,
    ...INSTALLED,
    id: 'sesamecare',
    name: '@sesamecare-oss/redlock + ioredis 5',
    load: () => require('./redlock-5').sesamecare,
  },
  {
    ...WITH_SET,
    ...INSTALLED,
    id: 'redlock-universal',
    name: 'redlock-universal + ioredis 5',
    load: () => require('./redlock-universal').open,
  },
  {
    ...WITH_SET,
    ...INSTALLED,
    id: 'redis-semaphore',
    name: 'redis-semaphore + ioredis 5',
    load: () => require('./redis-semaphore').open,
  },
  {
    ...WITH_SET,
    ...INSTALLED,
    id: 'redislock',
    name: 'redislock + node-redis 3',
    load: () => require('./redislock').open,
    isAlone: true,
  },
  { id: 'ceiling', name: 'native client (ceiling)', kind: 'ceiling', native: 'merged' },
  { id: 'ceiling-single', name: 'native client, each release alone', kind: 'ceiling', native: 'single' },
];

module.exports = { contenders };
