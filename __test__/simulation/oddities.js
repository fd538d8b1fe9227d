'use strict';

/** What others may hand over in place of what is expected: replies, errors, arguments, objects that are hostile. */

/** Thrown by what must not be looked at. */
class Trap extends Error {}

function trap() {
  throw new Trap('this must not be looked at');
}

function revoked() {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

/** A property with a getter, whatever is left in Object.prototype. */
function getter(object, key, get) {
  const descriptor = Object.assign(Object.create(null), { get, configurable: true, enumerable: true });
  return Object.defineProperty(object, key, descriptor);
}

/** @returns {any} whatever is asked of it, it throws */
function minefield(target = {}) {
  return new Proxy(target, { get: trap, has: trap, ownKeys: trap, getPrototypeOf: trap, set: trap });
}

/**
 * What a client may answer to a script.
 *
 * @type {readonly (() => unknown)[]}
 */
const REPLIES = [
  () => null,
  () => undefined,
  () => Symbol('reply'),
  () => 10n ** 30n,
  () => Number.NaN,
  () => Number.POSITIVE_INFINITY,
  () => -0.5,
  () => 2 ** 60,
  () => '',
  () => 'OK',
  () => '1e3',
  () => Buffer.from('what'),
  () => true,
  () => ({}),
  () => Object.create(null),
  () => thenable(1, Object.create(null)),
  () => trap,
  () => [],
  () => new Array(3),
  () => [[1]],
  // biome-ignore lint/suspicious/noSparseArray: as odd as it may be
  () => [, 5],
  () => ['a value'],
  () => ['a value', Symbol('ttl')],
  () => ['a value', {}],
  () => [{ toString: trap }, 5],
  () => [Object.create(null), 5],
  () => [Symbol('value'), 5],
  () => ['a value', { [Symbol.toPrimitive]: trap }],
  () => getter([0, 5], 0, trap),
  () => getter(['a value', 5], 1, trap),
  () => ({ toString: trap, valueOf: trap, toJSON: trap }),
  () => minefield(() => {}),
  () => new Proxy([], { get: (array, key) => (key === 'then' ? undefined : trap(array)) }),
  () => new Map([[1, 1]]),
  () => new Date(Number.NaN),
  () => new Error('an error as an answer'),
];

/** @returns {object} what has this as its `then` */
function thenable(then, object = {}) {
  Reflect.set(object, 'then', then);
  return object;
}

/** Promises of somebody's own. */
const THENABLES = [
  () => thenable(trap),
  () =>
    thenable((resolve) => {
      resolve(1);
      resolve(0);
      trap();
    }),
  () => getter({}, 'then', trap),
  () =>
    thenable((resolve, reject) => {
      reject(new Error('refused'));
      resolve(1);
    }),
];

/**
 * What a client may fail with.
 *
 * @param {string} secret may be in its text
 * @returns {(() => unknown)[]}
 */
function errorsWith(secret) {
  return [
    () => undefined,
    () => null,
    () => 0,
    () => '',
    () => Symbol('error'),
    () => 5n,
    () => `it failed for ${secret}`,
    () => new Error(`NOAUTH wrong password ${secret}`),
    () => new Error(`ERR failed with ${encodeURIComponent(secret)} and ${JSON.stringify(secret)}`),
    () => Object.freeze(new Error('frozen')),
    () => getter(new Error('x'), 'message', trap),
    () => getter(new Error('x'), 'code', trap),
    () => Object.assign(new Error('x'), { message: Symbol('message') }),
    () => Object.assign(Object.create(null), { message: 5 }),
    () => ({ toString: trap }),
    () => revoked(),
    () => minefield(),
    () => [],
    () => trap,
    () => new Error('NOSCRIPT No matching script'),
    () => new Error(`READONLY ${'a long text '.repeat(1_000)}${secret}`),
  ];
}

/** What is no name. */
const NAMES = [
  () => 5,
  () => null,
  () => undefined,
  () => '',
  () => [],
  () => [''],
  () => [null],
  () => [[]],
  () => new Array(2),
  () => ['twice', 'twice'],
  () => Symbol('name'),
  () => ({}),
  () => minefield(),
  () => revoked(),
  () => minefield([]),
  () => new Proxy([], { get: (array, key) => (key === 'length' ? trap(array) : array[key]) }),
  () => new Proxy([], { get: (array, key) => (key === 'length' ? Symbol('length') : array[key]) }),
  () => Promise.resolve('name'),
  () => ({ toString: trap }),
];

/** What is no ttl. */
const TTLS = [
  () => Number.NaN,
  () => 0,
  () => -1,
  () => 1.5,
  () => 2,
  () => Number.POSITIVE_INFINITY,
  () => 1e300,
  () => '100',
  () => 100n,
  () => Symbol('ttl'),
  () => ({ valueOf: () => 100 }),
  () => minefield(),
  () => null,
  () => undefined,
];

/** Options that can't be read, or say what can't be used. */
const OPTIONS = [
  () => minefield(),
  () => revoked(),
  () => getter({}, 'retryCount', trap),
  () => getter({}, 'signal', trap),
  () => ({ signal: {} }),
  () => ({ signal: minefield() }),
  () => ({ signal: null }),
  () => ({ maxWait: -1 }),
  () => ({ maxWait: Symbol('wait') }),
  () => ({ tryLock: 'yes' }),
  () => ({ autoExtend: { threshold: 1e9 } }),
  () => ({ autoExtend: minefield() }),
  () => ({ autoExtend: getter({}, 'ttl', trap) }),
  () => ({ retryCount: 'many', retryDelay: Symbol('delay'), driftFactor: {} }),
  () => ({ driftFactor: Number.NaN, retryJitter: -Infinity }),
  () => ({ driftFactor: 5 }),
  () => 'retryCount',
  () => Symbol('options'),
  () => [],
];

/** What is no lock. */
const LOCKS = [
  () => undefined,
  () => null,
  () => 'lock',
  () => [],
  () => ({}),
  () => Promise.resolve(),
  () => minefield(),
  () => revoked(),
  () => ({ value: 5, expiration: 5, resource: 'name', resources: ['name'] }),
  () => ({ value: 'value', expiration: Number.NaN, resource: ['name'], resources: 'name' }),
  () => ({ value: 'value', expiration: 5, resource: revoked(), resources: minefield() }),
  () => getter({ expiration: 5 }, 'value', trap),
];

/** What is read once says `first`; from then on something else. */
function once(first, then) {
  let reads = 0;
  return () => {
    reads += 1;
    return reads === 1 ? first : then();
  };
}

/** What a name may become the second time it is read. */
const SECONDS = [
  () => 'another name altogether',
  () => 'x',
  () => '',
  () => undefined,
  () => 7,
  () => ({ length: 3 }),
  () => Symbol('second'),
  trap,
];

/**
 * An array of names that are not what they were once they have been read.
 *
 * @param {import('./chance').Chance} chance
 * @param {string[]} names
 */
function shifty(chance, names) {
  const array = [...names];
  names.forEach((name, at) => {
    if (at > 0 && chance.is(0.5)) return;
    getter(array, at, once(name, chance.pick(SECONDS)));
  });
  if (!chance.is(0.3)) return array;
  const length = once(names.length, chance.pick([() => 0, () => 1, () => 50, trap]));
  const get = (target, key) => (key === 'length' ? length() : target[key]);
  return new Proxy(array, { get });
}

/** AbortSignals of somebody's own. */
const SIGNALS = [
  () => ({ aborted: false, addEventListener() {} }),
  () => ({ aborted: false, addEventListener: trap }),
  () => ({ aborted: false, addEventListener() {}, removeEventListener: trap }),
  () => ({ aborted: false, addEventListener: (_, listener) => listener() }),
  () => ({ aborted: false, addEventListener: (_, listener) => [listener(), listener()] }),
  () => ({ aborted: true, addEventListener() {}, removeEventListener() {} }),
  () => ({
    get aborted() {
      this.reads = (this.reads ?? 0) + 1;
      return this.reads > 2;
    },
    get reason() {
      return trap();
    },
    addEventListener() {},
  }),
  () => ({
    aborted: false,
    addEventListener() {},
    get removeEventListener() {
      return undefined;
    },
  }),
  () => {
    let reads = 0;
    const get = () => {
      reads += 1;
      return reads > 1 ? trap() : false;
    };
    return getter({ addEventListener() {}, removeEventListener() {} }, 'aborted', get);
  },
];

/** What somebody's merge of untrusted JSON may have left in `Object.prototype`. */
const POLLUTION = [
  ...['value', 'expiration', 'resource', 'code', 'message', 'reply', 'error', 'applied', 'ttl', 'signal'],
  ...['maxWait', 'tryLock', 'autoExtend', 'threshold', 'retryCount', 'db', 'tls', 'keyPrefix', 'cause'],
  ...[
    'host',
    'path',
    'password',
    'votes',
    'reason',
    'aborted',
    'suspicion',
    'acquire',
    'release',
    'extend',
    'lead',
    'cap',
    'prepare',
  ],
];

module.exports = {
  ...{ REPLIES, THENABLES, NAMES, TTLS, OPTIONS, LOCKS, SIGNALS, SECONDS, POLLUTION },
  ...{ errorsWith, shifty, once, getter, thenable },
};
