'use strict';

/**
 * The Redis clients that apps already have: which library one is of, where it leads to, and how a
 * script is run on it. Libraries are told apart by what their objects have, never by class: several
 * copies and versions live side by side, and many classes are called the same or nothing at all.
 */

const { types } = require('node:util');

const { mistypedInstance } = require('../errors');
const { isArray, isUrl } = require('../foreign');
const { can, classOf, read } = require('./inspect-object');

const UNKNOWN = require('./unknown');

/** In this order: what is known by more comes before what is known by less. */
const LIBRARIES = [
  require('./ioredis'),
  require('./redis'),
  require('./node-redis'),
  require('./glide'),
  UNKNOWN,
];

/** What some client has and no configuration does. */
const COMMANDS = [
  ...['eval', 'evalsha', 'evalSha', 'EVAL', 'sendCommand', 'send_command', 'customCommand', 'defineCommand'],
];

const METHODS = [...COMMANDS, 'on'];

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
 * Whether it takes commands, whatever else it has.
 *
 * @param {unknown} object
 */
function hasCommands(object) {
  return isClient(object) && COMMANDS.some((method) => can(object, method));
}

/**
 * Whether it may become a client: an object of functions, or one with nothing in it, as mocks are before they are
 * filled. Data is none, nor is what JavaScript itself has classes for. Never throws.
 *
 * @param {unknown} object
 */
function isBlank(object) {
  try {
    if (typeof object !== 'object' || object === null || isBuiltIn(object)) return false;
    const methods = methodsOf(object);
    return methods.length > 0 || Object.keys(object).length === 0;
  } catch {
    return false;
  }
}

/** @param {object} object */
function isBuiltIn(object) {
  if (isArray(object) || can(object, 'then')) return true;
  return ![OBJECT, '[object EventEmitter]'].includes(Object.prototype.toString.call(object)) || isUrl(object);
}

const OBJECT = '[object Object]';

/**
 * What of it can be called, its own and its class's.
 *
 * @param {any} object
 */
function methodsOf(object) {
  const names = new Set();
  for (let holder = object; holder && Object.getPrototypeOf(holder); holder = Object.getPrototypeOf(holder)) {
    for (const name of Object.getOwnPropertyNames(holder)) names.add(name);
  }
  if (Object.getPrototypeOf(object) === null) for (const name of Object.keys(object)) names.add(name);
  names.delete('constructor');
  return [...names].filter((name) => can(object, name));
}

/**
 * @param {unknown} client
 * @param {string} name what to call it in an error
 * @param {import('./client').Dialect} dialect in which it is asked where that makes a difference
 * @returns {import('./client').Client}
 */
function adopt(client, name, dialect) {
  const almost = isMockOfAll(client) ? undefined : ALMOST.find(({ looks }) => looks(client));
  if (almost) throw refuse(name, almost.what);
  const libraries = isMockOfAll(client) ? [UNKNOWN] : LIBRARIES;
  for (const { recognise } of libraries) {
    const adopted = recognise(client);
    if (!adopted) continue;
    adopted.dialect = dialect;
    return adopted;
  }
  throw refuse(name, 'is no client');
}

/**
 * What is said of a client that is used and can't be asked.
 *
 * @param {import('./client').Client} client
 * @param {string} name
 */
function lacking({ client, lack }, name) {
  const called = classOf(client);
  const found = METHODS.filter((method) => can(client, method));
  const having = found.length ? ` (it has ${found.map((method) => `"${method}"`).join(', ')})` : '';
  return refuse(name, `${called ? `is of the class ${called} and ` : ''}has ${lack}${having}`);
}

/**
 * A mock that has whatever it is asked for can't be told from anything.
 *
 * @param {unknown} client
 */
function isMockOfAll(client) {
  return types.isProxy(client) && can(client, 'aMethodThatNoLibraryHas');
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
  return mistypedInstance(
    `${name} ${what}, so that no script can be run on it. What works: a client of ioredis, iovalkey, ` +
      'node-redis (redis), @valkey/valkey-glide or ioredis-mock, any object with an ' +
      '"eval(script, numberOfKeys, ...keys, ...args)" that returns a promise or calls back, a URL ' +
      '("redis://host:port"), or {host, port, …}',
  );
}

module.exports = { isClient, hasCommands, isBlank, adopt, lacking };
