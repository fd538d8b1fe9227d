'use strict';

/**
 * Members that are none, or not yet: for every face, a clear error at the latest at the first use, which names the
 * member and what was expected; nothing hangs, and nothing is locked.
 */

const assert = require('node:assert/strict');
const { EventEmitter } = require('node:events');
const { after, before, describe, test } = require('node:test');
const { inspect } = require('node:util');

const { FACES } = require('../support/faces');

const SECRET = 'hunter2';
const TTL = 5000;
/** For as long as that is a member waited for that never answers. */
const SHORT = 1000;

const WAYS = {
  ...Object.fromEntries(
    Object.entries(FACES).map(([face, { load, lock }]) => [
      face,
      {
        make: (member, good) => new (load())([good, member], { retryCount: 0 }),
        lock: (redlock, ttl) => lock(redlock, 'a', ttl),
      },
    ]),
  ),
  v0: {
    make: (member, good) => new (require('../../compat/v0'))({ retryCount: 1 }, good, member),
    lock: (redlock, ttl) =>
      new Promise((resolve, reject) => {
        redlock.lock('a', ttl, (error, lock) => (error ? reject(error) : resolve(lock)));
      }),
  },
};

const revoked = Proxy.revocable({}, {});
revoked.revoke();

const throwing = new Proxy(
  {},
  {
    get() {
      throw new Error(SECRET);
    },
    has() {
      throw new Error(SECRET);
    },
    ownKeys() {
      throw new Error(SECRET);
    },
    getPrototypeOf() {
      throw new Error(SECRET);
    },
  },
);

class Memcached {
  constructor() {
    this.password = SECRET;
  }
  get() {}
  on() {}
}

/** What is refused when it is passed. */
const REFUSED = {
  nothing: undefined,
  null: null,
  'a number': 6379,
  'a boolean': true,
  'a symbol': Symbol('redis'),
  'a name': `localhost:${SECRET}`,
  'another scheme': `https://user:${SECRET}@example.org`,
  'an array': [],
  'a Map': new Map([['host', SECRET]]),
  'a Date': new Date(),
  'an Error': new Error(SECRET),
  'a promise of a client': Promise.resolve({}),
  'a class': class Redis {},
  'a factory': () => ({ eval() {} }),
  'a Proxy that was revoked': revoked.proxy,
  'a Proxy that throws': throwing,
  'data without a place': { password: SECRET, name: 'redis' },
  'options without a place': { maxRetriesPerRequest: 3, retryStrategy() {} },
  'a place under another word': { hostname: SECRET },
  'a place beside another word': { host: '127.0.0.1', port: 1, hostname: SECRET },
  'a user under another word': { host: '127.0.0.1', port: 1, usr_password: SECRET },
  'a getter that throws': {
    get host() {
      throw new Error(SECRET);
    },
  },
  'a pipeline': { get: () => new (require('ioredis'))({ lazyConnect: true }).pipeline() },
};

/** What may become a client until it is used. */
const LACKING = {
  'an empty object': () => ({}),
  'an object without a prototype': () => Object.create(null),
  'an object of functions': () => ({ get() {}, set() {}, quit() {} }),
  'an object of functions and data': () => ({ get() {}, store: {}, status: 'ready' }),
  'an event emitter': () => new EventEmitter(),
  'a client of another store': () => new Memcached(),
  'commands without scripts': () => ({ sendCommand() {}, password: SECRET }),
  'an eval that is no function': () => ({ eval: 'text', on() {} }),
  'a Proxy of nothing': () => new Proxy({}, {}),
};

/** What answers in a way that is no answer. */
const ANSWERING = {
  'never answers': () => ({ eval() {}, evalsha() {} }),
  'answers nothing': () => ({ eval: async () => {}, evalsha: async () => {} }),
  'answers for all, as deep mocks do': () =>
    new Proxy(Object.create(null), {
      get: (_, key) => (key === 'then' ? undefined : () => undefined),
      has: () => true,
    }),
  throws: () => ({
    eval() {
      throw new Error('mine');
    },
    evalsha() {
      throw new Error('mine');
    },
  }),
  'calls back with what is no error': () => ({
    eval: (...args) => args.find((one) => typeof one === 'function')?.('mine'),
    evalsha: (...args) => args.find((one) => typeof one === 'function')?.('mine'),
  }),
};

const unhandled = [];
const note = (reason) => unhandled.push(reason);
before(() => process.on('unhandledRejection', note));
after(() => process.off('unhandledRejection', note));

/** Rejects if nothing comes of it. */
async function outcomeOf(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(reject, 30_000, new Error('it hangs'));
  });
  try {
    return await Promise.race([
      promise.then(
        () => undefined,
        (error) => error,
      ),
      late,
    ]);
  } finally {
    clearTimeout(timer);
  }
}

const seenWith = () => {
  const asked = [];
  // Whatever shape it is asked in.
  const answer = (...args) => {
    asked.push(args);
    const done = args.find((one) => typeof one === 'function');
    if (done) return void done(null, 1);
    return Promise.resolve(1);
  };
  return { asked, client: { eval: answer, evalsha: answer, quit: async () => 'OK' } };
};

const withoutSecret = (error) =>
  assert.ok(!inspect(error, { depth: 6, showHidden: true }).includes(SECRET), inspect(error));

// Some of them are waited for.
describe('a member of', { concurrency: true }, () => {
  for (const [face, { make, lock }] of Object.entries(WAYS)) {
    describe(face, { concurrency: true }, () => {
      for (const [what, member] of Object.entries(REFUSED)) {
        test(`${what} is refused when it is passed, by its place`, () => {
          const given = what === 'a pipeline' ? member.get() : member;
          const { asked, client } = seenWith();
          let error;
          try {
            make(given, client);
          } catch (thrown) {
            error = thrown;
          }
          assert.match(String(error?.message), /^instances\[1\]/);
          assert.equal(error.code, 'ERR_REDLOCK_INVALID_INSTANCE');
          withoutSecret(error);
          assert.deepEqual(asked, []);
        });
      }

      for (const [what, member] of Object.entries(LACKING)) {
        test(`${what} is refused when it is used, and says what it lacks; once it has that it works`, async () => {
          const { asked, client } = seenWith();
          const given = member();
          const redlock = make(given, client);
          const error = await outcomeOf(Promise.resolve(lock(redlock, TTL)));
          assert.match(error.message, /^instances\[1\] .*has (no|neither an) "eval.*What works: /);
          assert.equal(error.code, 'ERR_REDLOCK_INVALID_INSTANCE');
          withoutSecret(error);
          assert.deepEqual(asked, [], 'nobody was asked');
          Object.assign(given, client);
          await lock(redlock, TTL);
        });
      }

      for (const [what, member] of Object.entries(ANSWERING)) {
        test(`a member that ${what} fails, and nothing hangs`, async () => {
          const { client } = seenWith();
          const error = await outcomeOf(Promise.resolve(lock(make(member(), client), SHORT)));
          assert.ok(error instanceof Error);
          assert.equal(error.code, 'ERR_REDLOCK_UNAVAILABLE');
          await new Promise(setImmediate);
          assert.deepEqual(unhandled, []);
        });
      }
    });
  }
});
