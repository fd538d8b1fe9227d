'use strict';

/**
 * The Redis clients that apps already have: which library one is of, where it leads to, and how a
 * script is run on it. Libraries are told apart by what their objects have, never by class: several
 * copies and versions live side by side, and many classes are called the same or nothing at all.
 */

const { wrongType } = require('../errors');
const { can, classOf, read } = require('./look');

/** In this order: what is known by more comes before what is known by less. */
const LIBRARIES = [
  require('./ioredis'),
  require('./redis'),
  require('./node-redis'),
  require('./glide'),
  require('./unknown'),
];

/** What some client has and no configuration does. */
const METHODS = [
  'eval',
  'evalsha',
  'evalSha',
  'EVAL',
  'sendCommand',
  'send_command',
  'customCommand',
  'defineCommand',
  'on',
];

/**
 * Whether it has the looks of a client. Never throws, whatever it is given.
 *
 * @param {unknown} object
 */
function isClient(object) {
  const isObject = (typeof object === 'object' && object !== null) || typeof object === 'function';
  return isObject && METHODS.some((method) => can(object, method));
}

/**
 * @param {unknown} client
 * @param {string} name what to call it in an error
 * @returns {import('./client').Client}
 */
function adopt(client, name) {
  const almost = ALMOST.find(({ looks }) => looks(client));
  if (almost) throw refuse(name, almost.what);
  for (const { recognise } of LIBRARIES) {
    const adopted = recognise(client);
    if (adopted) return adopted;
  }
  const called = classOf(client);
  const found = METHODS.filter((method) => can(client, method));
  const having = found.length ? ` (it has ${found.map((method) => `"${method}"`).join(', ')})` : '';
  throw refuse(
    name,
    `looks like ${called ? `a client of the class ${called}` : 'a client'} without "eval"${having}`,
  );
}

/** What looks like a client and would never run a script when it is asked to. */
const ALMOST = [
  {
    what: 'is a class or a function, not a client made with it',
    looks: (/** @type {any} */ one) => typeof one === 'function' && !can(one, 'eval'),
  },
  {
    what: 'looks like a pipeline or transaction of ioredis, not its client',
    looks: (/** @type {any} */ one) => read(one, 'isPipeline') === true,
  },
  {
    what: 'looks like a transaction (multi) of node-redis, not its client',
    looks: (/** @type {any} */ one) => can(one, 'execAsPipeline') || can(one, 'exec_transaction'),
  },
  {
    what: 'looks like a client of @upstash/redis, whose "eval" goes over HTTP in a shape of its own',
    looks: (/** @type {any} */ one) => can(one, 'createScript') && can(one, 'evalRo'),
  },
];

/**
 * @param {string} name
 * @param {string} what
 */
function refuse(name, what) {
  return wrongType(
    'INSTANCE',
    `${name} ${what}, so that no script can be run on it. What works: a client of ioredis, iovalkey, ` +
      'node-redis (redis), @valkey/valkey-glide or ioredis-mock, any object with an ' +
      '"eval(script, numberOfKeys, ...keys, ...args)" that returns a promise or calls back, a URL ' +
      '("redis://host:port"), or {host, port, …}',
  );
}

module.exports = { isClient, adopt };
