'use strict';

/**
 * Whatever stands for an instance or for a lock: it is read or refused with an error of ours, and no password is
 * ever shown. `FUZZ_SECONDS` is for how long each of these runs (1), `FUZZ_SEED` the first seed; a failure names
 * its own.
 */

const assert = require('node:assert/strict');
const { after, describe, mock, test } = require('node:test');
const { inspect } = require('node:util');

const Redlock = require('../..');
const V4 = require('../../compat/v4');
const { default: V5 } = require('../../compat/v5');
const { readInstance } = require('../../lib/instances');
const { Random } = require('../../scripts/random');

const SECONDS = Number(process.env.FUZZ_SECONDS ?? 1);
const FIRST_SEED = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31);

/**
 * @param {string} what
 * @param {(random: Random) => unknown} check of one input
 */
function fuzz(what, check) {
  test(what, async () => {
    const end = performance.now() + SECONDS * 1000;
    let seed = FIRST_SEED;
    do {
      try {
        await check(new Random(seed));
      } catch (error) {
        throw new Error(`with FUZZ_SEED=${seed}: ${error.message}`, { cause: error });
      }
      seed += 1;
    } while (performance.now() < end);
  });
}

/** Without anything that has a meaning in a URL, so that it stays whole wherever a URL is cut. */
const SECRET = 'hunter2hunter2';

/** What was told in passing. @type {string[]} */
const warnings = [];
mock.method(process, 'emitWarning', (/** @type {string | Error} */ warning) => {
  warnings.push(String(warning));
});

/**
 * What a reader makes of an input; undefined if it refuses it, as it should.
 *
 * @template T
 * @param {() => T} read
 * @param {string} code
 */
function readOrRefused(read, code) {
  try {
    return read();
  } catch (error) {
    if (error !== OWN) assertRefusal(error, code);
    return undefined;
  }
}

/** What a caller's own object throws is the caller's. */
const OWN = new Error('the caller has thrown this');

/** @param {any} error @param {string} code */
function assertRefusal(error, code) {
  assert.ok(error instanceof TypeError || error instanceof RangeError, inspect(error));
  assert.equal(error.code, code, inspect(error));
  assert.ok(!inspect(error).includes(SECRET), error.message);
}

// ---- odd values

const TEXTS = [
  '',
  ' ',
  '0',
  '-1',
  '1e3',
  'h',
  '::1',
  '[::1]',
  'a:b',
  'x'.repeat(200),
  'ü',
  '\ud800',
  '\0',
  '%',
  '%zz',
];
const NUMBERS = [0, -0, 1, -1, 0.5, 6379, 65_536, 2 ** 31, 2 ** 53, 1e308, NaN, Infinity, -Infinity];

/** Anything at all. @param {Random} random @returns {any} */
function oddValue(random, depth = 2) {
  const kinds = [
    () => random.pick(TEXTS),
    () => random.pick(NUMBERS),
    () => random.pick([undefined, null, true, false, 7n, Symbol('s'), () => 1, new Date(NaN), /x/]),
    () =>
      random.pick([Promise.resolve(), new Map(), Buffer.from('x'), new URL('http://h'), Object.create(null)]),
    () => hostile(random),
    () => Array.from({ length: random.between(0, 3) }, () => oddValue(random, depth - 1)),
    () =>
      Object.fromEntries(
        Array.from({ length: random.between(0, 3) }, () => [random.pick(TEXTS), oddValue(random, depth - 1)]),
      ),
  ];
  return random.pick(depth > 0 ? kinds : kinds.slice(0, 3))();
}

/** An object that does what none should. @param {Random} random @returns {any} */
function hostile(random) {
  const fail = () => {
    throw OWN;
  };
  return random.pick([
    () => new Proxy({}, { get: fail, has: fail, ownKeys: fail, getPrototypeOf: fail }),
    () => ({ toString: fail, valueOf: fail, toJSON: fail, [Symbol.toPrimitive]: fail }),
    () =>
      Object.defineProperty({}, random.pick(['host', 'value', 'resource', 'expiration', 'then']), {
        get: fail,
        enumerable: true,
      }),
    () => ({ length: 2 ** 32, 0: 'a' }),
  ])();
}

/** @param {Random} random @param {string} text @param {string} whole a part of it that is not cut */
function mutate(random, text, whole) {
  const cut = random.between(0, text.length);
  const isWithin = (/** @type {number} */ at) =>
    at > text.indexOf(whole) && at < text.indexOf(whole) + whole.length;
  if (text.includes(whole) && isWithin(cut)) return text;
  const removed = text.slice(cut).startsWith(whole) ? 0 : random.between(0, 1);
  const added = random.chance(0.5)
    ? ''
    : random.pick([...':/?#@[]%&=, \n\0ü', '//', '::', '%40', '%00', '..']);
  return text.slice(0, cut) + added + text.slice(cut + removed);
}

// ---- instances

const isText = (/** @type {any} */ value) => typeof value === 'string';
const isFrom = (/** @type {number} */ least, /** @type {number} */ most) => (/** @type {any} */ value) =>
  Number.isInteger(value) && value >= least && value <= most;

/** What native takes, by key. @type {Record<string, (value: any) => boolean>} */
const NATIVE = {
  kind: (kind) => kind === 'redis' || kind === 'memory',
  name: isText,
  host: isText,
  port: isFrom(1, 65_535),
  path: isText,
  username: isText,
  password: isText,
  db: isFrom(0, 2 ** 31 - 1),
  keyPrefix: isText,
  clientName: isText,
  connectTimeout: isFrom(1, 2 ** 31 - 1),
  tls: ({ ca }) => Array.isArray(ca) && ca.every(isText),
  sentinel: ({ sentinels, service }) => sentinels.every(isAddress) && isText(service),
  cluster: ({ nodes }) => nodes.every(isAddress),
  natMap: (pairs) => pairs === undefined || pairs.flat().every(isAddress),
};

const isAddress = ({ host, port }) => isText(host) && NATIVE.port(port);

/** @param {unknown} given */
function readInstanceOrRefuse(given) {
  const read = readOrRefused(() => readInstance(given, 'instances[0]'), 'ERR_REDLOCK_INVALID_INSTANCE');
  for (const [key, value] of Object.entries(read ?? {}))
    assert.ok(NATIVE[key]?.(value), `${key}: ${inspect(value)}`);
}

describe('a URL', () => {
  const SCHEMES = ['redis', 'valkey', 'rediss', 'valkeys', 'redis+sentinel', 'rediss+sentinel'];

  /** @param {Random} random */
  function parts(random) {
    const word = (/** @type {string} */ letters, least = 1) =>
      Array.from({ length: random.between(least, 8) }, () => random.pick([...letters])).join('');
    const secret = `${word('aZ9:/?#@%&+ ü,', 0)}${SECRET}${word('aZ9:/?#@%&+ ü,', 0)}`;
    return {
      scheme: random.pick(SCHEMES),
      username: random.chance(0.5) ? word('aZ9:/?#@% ü') : '',
      password: secret,
      host: random.pick(['localhost', '10.0.0.1', '[::1]', 'redis-0.redis.svc']),
      port: random.chance(0.5) ? random.between(1, 65_535) : undefined,
      db: random.chance(0.5) ? random.between(0, 2 ** 31 - 1) : undefined,
      keyPrefix: random.chance(0.3) ? word('aZ9:/?#@%&+= ü') : undefined,
    };
  }

  /** @param {ReturnType<typeof parts>} parts */
  function write({ scheme, username, password, host, port, db, keyPrefix }) {
    const place = port === undefined ? host : `${host}:${port}`;
    const path = scheme.includes('sentinel') ? ['/main', db] : [db];
    return [
      `${scheme}://${encodeURIComponent(username)}:${encodeURIComponent(password)}@${place}`,
      ...path.filter((one) => one !== undefined).map((one) => (one === '/main' ? one : `/${one}`)),
      keyPrefix === undefined ? '' : `?keyPrefix=${encodeURIComponent(keyPrefix)}`,
    ].join('');
  }

  fuzz('is read as it was written', (random) => {
    const given = parts(random);
    const text = write(given);
    const { kind, host, port, username, password, db, keyPrefix, sentinel, tls } = /** @type {any} */ (
      readInstance(text, 'instances[0]')
    );
    assert.equal(kind, 'redis', text);
    const place = sentinel?.sentinels[0] ?? { host, port };
    const usual = sentinel ? 26_379 : undefined;
    assert.deepEqual(
      [place.host, place.port, username, password, db, keyPrefix, tls !== undefined],
      [
        given.host.replace(/^\[(.*)\]$/, '$1'),
        given.port ?? usual,
        given.username || undefined,
        given.password,
        given.db,
        given.keyPrefix,
        /^(rediss|valkeys)/.test(given.scheme),
      ],
      text,
    );
  });

  fuzz('with something wrong is read or refused, and its password is not shown', (random) => {
    let text = write(parts(random));
    for (let times = random.between(1, 3); times > 0; times -= 1) text = mutate(random, text, SECRET);
    readInstanceOrRefuse(text);
  });

  fuzz('may be any text', (random) => {
    const text = Array.from({ length: random.between(0, 6) }, () =>
      random.pick([...SCHEMES, ...TEXTS, '://', 'unix', 'memory', '/', '?', '#', '@', 'a=b', 'db=1']),
    ).join('');
    readInstanceOrRefuse(text);
  });
});

describe('a configuration', () => {
  const KEYS = [
    ...[
      'host',
      'port',
      'path',
      'tls',
      'username',
      'db',
      'database',
      'keyPrefix',
      'clientName',
      'name',
      'url',
    ],
    ...['connectTimeout', 'protocol', 'socket', 'sentinels', 'role', 'natMap', 'cluster', 'redisOptions'],
    ...[
      'rootNodes',
      'defaults',
      'nodeAddressMap',
      'sentinelUsername',
      'sentinelTLS',
      'connectionName',
      'other',
    ],
  ];
  const SECRET_KEYS = ['password', 'sentinelPassword'];

  /** A value that a key may have, more often than not. @param {Random} random @param {string} key */
  function likely(random, key) {
    const node = () =>
      random.pick([7000, 'h:7000', '[::1]:1', { host: 'h', port: 1 }, `redis://:${SECRET}@h:1`]);
    const usual = {
      host: 'h',
      port: 6379,
      url: `redis://u:${SECRET}@h:1/2`,
      path: '/run/redis.sock',
      tls: random.pick([true, { ca: 'x', key: SECRET }, { rejectUnauthorized: false, servername: 's' }]),
      socket: { host: 'h', port: 1, tls: true, key: SECRET },
      sentinels: [node(), node()],
      cluster: [node(), node()],
      rootNodes: [node()],
      redisOptions: { password: SECRET },
      defaults: { password: SECRET, socket: { tls: true, key: SECRET } },
      natMap: { 'a:1': { host: 'b', port: 2 } },
    };
    return Object.hasOwn(usual, key) && random.chance(0.7) ? usual[key] : oddValue(random);
  }

  fuzz('of any keys and values is read or refused, and no password is shown', (random) => {
    const keys = random.sample(KEYS, random.between(0, 5));
    const given = Object.fromEntries(keys.map((key) => [key, likely(random, key)]));
    // Of whatever type: it is a secret where it stands.
    for (const key of random.sample(SECRET_KEYS, random.between(0, 2))) {
      given[key] = random.pick([SECRET, [SECRET], { [SECRET]: SECRET }, Buffer.from(SECRET)]);
    }
    readInstanceOrRefuse(given);
  });

  fuzz('may be anything', (random) => {
    readInstanceOrRefuse(oddValue(random));
  });

  test('that has led to warnings has shown no password in them', () => {
    assert.deepEqual(
      warnings.filter((text) => text.includes(SECRET)),
      [],
    );
  });
});

// ---- locks

describe('a lock that is restored', () => {
  const redlock = new Redlock(['memory://fuzz-a', 'memory://fuzz-b', 'memory://fuzz-c'], { retryCount: 0 });
  const v4 = new V4(['memory://fuzz-a', 'memory://fuzz-b', 'memory://fuzz-c'], { retryCount: 0 });
  const v5 = new V5(['memory://fuzz-a', 'memory://fuzz-b', 'memory://fuzz-c'], { retryCount: 0 });
  after(() => Promise.all([redlock.quit(), v4.quit(), v5.quit()]));

  const STORED = { resource: ['r'], value: 'v', expiration: 0, attempts: 1, attemptsRemaining: 9 };

  /** A lock's properties, of which some are odd. @param {Random} random */
  function lockLike(random) {
    const like = { ...STORED, expiration: Date.now() + random.between(-1000, 1000) };
    for (const key of random.sample(Object.keys(STORED), random.between(0, 2))) like[key] = oddValue(random);
    if (random.chance(0.2)) delete like[random.pick(Object.keys(STORED))];
    return random.chance(0.2) ? Object.create(like) : like;
  }

  /** @param {Random} random */
  function stored(random) {
    const json = JSON.stringify({ ...STORED, expiration: Date.now() + random.between(-1000, 1000) });
    const forms = [
      () => json,
      () => mutate(random, mutate(random, json, '\n'), '\n'),
      () =>
        json.replace(
          /"expiration":\d+/,
          `"expiration":${random.pick(['1e999', '-1e999', '"x"', 'null', '[1]'])}`,
        ),
      () => lockLike(random),
      () => oddValue(random),
    ];
    return random.pick(forms)();
  }

  fuzz('is refused, or is a lock for names and until a time', (random) => {
    const given = stored(random);
    const before = Date.now();
    const lock = readOrRefused(() => redlock.restore(given), 'ERR_REDLOCK_INVALID_LOCK');
    if (lock === undefined) return;
    assert.ok(
      lock.resource.length > 0 && lock.resource.every((name) => typeof name === 'string' && name !== ''),
    );
    assert.ok(typeof lock.value === 'string' && lock.value !== '');
    assert.equal(typeof lock.held, 'boolean');
    assert.ok(lock.remaining() >= 0);
    if (!lock.held) return;
    assert.ok(Number.isFinite(lock.remaining()), `held for ever, of ${inspect(given)}`);
    assert.ok(lock.expiration >= before, `held after its end, of ${inspect(given)}`);
  });

  fuzz('that nobody holds can neither be extended nor released, whatever it looks like', async (random) => {
    const like = random.chance(0.8) ? lockLike(random) : oddValue(random);
    const attempts = [
      () => redlock.extend(like, 1000),
      () => redlock.unlock(like),
      () => redlock.restore(like).extend(1000),
      () => redlock.restore(like).unlock(),
      () => v4.extend(like, 1000),
      () => v5.extend({ ...like, resources: like?.resource }, 1000),
      () => v5.release({ ...like, resources: like?.resource }),
    ];
    const attempt = random.pick(attempts);
    await assert.rejects(
      async () => attempt(),
      (/** @type {any} */ error) => {
        if (error === OWN) return true;
        const isOurs =
          ['LockError', 'ExecutionError'].includes(error.name) || /^ERR_REDLOCK_INVALID/.test(error.code);
        assert.ok(isOurs, inspect(error));
        return true;
      },
    );
  });
});
