'use strict';

/**
 * Callers' clients and signals that do what they shouldn't: each question gets exactly one answer, which is a vote,
 * and nothing is left hanging or unhandled.
 */

const assert = require('node:assert/strict');
const { describe, before, after, beforeEach, test } = require('node:test');

const Redlock = require('../..');
const { rejection } = require('../support/rejection');
const { runScript } = require('../support/script');

const unhandled = [];
const note = (reason) => unhandled.push(reason);
before(() => process.on('unhandledRejection', note));
after(() => process.off('unhandledRejection', note));
beforeEach(() => {
  unhandled.length = 0;
});

const nothingUnhandled = async () => {
  await new Promise(setImmediate);
  assert.deepEqual(unhandled, []);
};

const bare = Object.create(null);
const throwing = new Proxy(
  {},
  {
    get() {
      throw new Error('no');
    },
  },
);
const elements = [];
Object.defineProperty(elements, 0, {
  get() {
    throw new Error('no');
  },
});
const revoked = Proxy.revocable([], {});
revoked.revoke();

/** @param {() => unknown} then */
const thenable = (then) => Object.defineProperty({}, 'then', { value: then });

/** @param {string} message */
function fail(message) {
  throw new Error(message);
}

/** What a client may answer to a script. */
const ANSWERS = {
  'an object without a prototype': bare,
  'a symbol': Symbol('odd'),
  'a function': () => 1,
  'an array of objects without a prototype': [bare, bare],
  'an array of symbols': [Symbol('a'), Symbol('b')],
  'a value whose toString throws': [
    {
      toString() {
        throw new Error('no');
      },
    },
    5,
  ],
  'a life that can not be a number': ['v', { valueOf: () => bare, toString: () => bare }],
  'an array whose getter throws': elements,
  'an array with a hole before a life': Object.assign(new Array(2), { 1: 5 }),
  'an array of a value alone': ['v'],
  'an empty array': [],
  'an object whose properties throw': throwing,
  'a Proxy that was revoked': revoked.proxy,
  'a boolean': true,
  NaN: Number.NaN,
  nothing: undefined,
};

/** How a client may come back with something, or not. */
const WAYS = {
  'throws it': (answer) => () => {
    throw answer;
  },
  'rejects with it': (answer) => () => Promise.reject(answer),
  'calls back with it as an error':
    (answer) =>
    (...args) =>
      args.at(-1)(answer || new Error('odd')),
  'calls back twice':
    (answer) =>
    (...args) => {
      args.at(-1)(null, answer);
      args.at(-1)(new Error('second'));
    },
  'calls back, and returns a promise that rejects':
    (answer) =>
    (...args) => {
      args.at(-1)(null, answer);
      return Promise.reject(new Error('second'));
    },
  'calls back, and throws':
    (answer) =>
    (...args) => {
      args.at(-1)(null, answer);
      throw new Error('second');
    },
  'returns something whose then throws': () => () => thenable(() => fail('then')),
  'returns something whose then is read once': (answer) => () => {
    let reads = 0;
    return Object.defineProperty({}, 'then', {
      get() {
        reads += 1;
        return reads === 1 ? (resolve) => resolve(answer === revoked.proxy ? null : answer) : undefined;
      },
    });
  },
  'resolves with it': (answer) => () =>
    Promise.resolve(answer === revoked.proxy || answer === throwing ? 1.5 : answer),
};

describe('a client that', () => {
  for (const [way, make] of Object.entries(WAYS)) {
    test(way, async () => {
      for (const [what, answer] of Object.entries(ANSWERS)) {
        const redlock = new Redlock([{ eval: make(answer) }], { retryCount: 0, deadlineCeiling: 200 });
        const { instances, held } = await redlock.inspect('a');
        assert.notEqual(held, true, what);
        assert.equal(instances[0].held, instances[0].error ? undefined : false, what);
        const error = await rejection(redlock.lock('a', 1000));
        assert.ok(['ERR_REDLOCK_UNAVAILABLE', 'ERR_REDLOCK_HELD'].includes(error.code), what);
        await redlock.quit();
      }
      await nothingUnhandled();
    });
  }

  for (const [what, quit] of Object.entries({
    throws() {
      throw new Error('odd');
    },
    rejects: () => Promise.reject(new Error('odd')),
    'calls back twice'(callback) {
      callback?.(null, 'OK');
      callback?.(new Error('second'));
      return Promise.resolve('OK');
    },
    'is a thenable that throws': () => thenable(() => fail('odd')),
    'never answers, and its end throws': () => new Promise(() => {}),
  })) {
    test(`is to quit, and whose quit ${what}`, async () => {
      const client = {
        eval: async () => 1,
        quit,
        disconnect() {
          throw new Error('disconnect');
        },
      };
      const redlock = new Redlock([client]);
      const outcome = await redlock.quit().catch((error) => error);
      assert.ok(outcome instanceof Error ? outcome.message === 'odd' : outcome[0] === 'OK', String(outcome));
      await nothingUnhandled();
    });
  }
});

describe('a signal', () => {
  let redlock;
  before(() => {
    redlock = new Redlock(['memory://odd-signals'], { retryCount: -1, retryDelay: 10, retryJitter: 0 });
  });
  after(() => redlock.quit());

  /** With the engine's values and with values of one's own, which wait by themselves. */
  for (const [values, prepare] of [
    ["the engine's values", () => redlock],
    [
      'values of _random',
      () => {
        const own = new Redlock(['memory://odd-signals'], { retryCount: -1, retryDelay: 10, retryJitter: 0 });
        own._random = () => `${Math.random()}`;
        return own;
      },
    ],
  ]) {
    const opened = (t) => {
      const own = prepare();
      if (own !== redlock) t.after(() => own.quit());
      return own;
    };

    test(`that can't stop listening does no harm, with ${values}`, async (t) => {
      const own = opened(t);
      const listeners = [];
      const signal = { aborted: false, addEventListener: (_, listener) => listeners.push(listener) };
      const lock = await own.lock('a', 5000, { signal });
      for (const listener of listeners) listener();
      // It has arrived: what is told after that changes nothing.
      assert.equal((await rejection(redlock.lock('a', 5000, { retryCount: 0 }))).code, 'ERR_REDLOCK_HELD');
      await lock.unlock();
      await nothingUnhandled();
    });

    test(`that calls at once gives up, and what was granted is released, with ${values}`, async (t) => {
      const own = opened(t);
      const signal = { aborted: false, addEventListener: (_, listener) => listener() };
      const error = await rejection(own.lock('b', 5000, { signal }));
      assert.equal(error.name, 'AbortError');
      const lock = await redlock.lock('b', 5000, { maxWait: 2000 });
      await lock.unlock();
      await nothingUnhandled();
    });

    test(`that can't be listened to is refused, and what was granted is released, with ${values}`, async (t) => {
      const own = opened(t);
      const signal = {
        aborted: false,
        addEventListener() {
          throw new Error('hunter2');
        },
      };
      const error = await rejection(own.lock('c', 5000, { signal }));
      assert.equal(error.code, 'ERR_REDLOCK_INVALID_OPTIONS');
      assert.ok(!error.stack.includes('hunter2'));
      const lock = await redlock.lock('c', 5000, { maxWait: 2000 });
      await lock.unlock();
      await nothingUnhandled();
    });

    test(`that throws when it is looked at later does no harm, with ${values}`, async (t) => {
      const own = opened(t);
      let reads = 0;
      const signal = {
        get aborted() {
          reads += 1;
          if (reads > 1) throw new Error('no');
          return false;
        },
        addEventListener() {},
        removeEventListener() {
          throw new Error('no');
        },
      };
      const lock = await own.lock('d', 5000, { signal });
      await lock.unlock();
      await nothingUnhandled();
    });

    test(`of a polyfill that says no reason gives up a wait, with ${values}`, async (t) => {
      const own = opened(t);
      const held = await redlock.lock('e', 5000);
      const listeners = new Set();
      const signal = {
        aborted: false,
        addEventListener: (_, listener) => listeners.add(listener),
        removeEventListener: (_, listener) => listeners.delete(listener),
      };
      const waiting = rejection(own.lock('e', 5000, { signal }));
      while (listeners.size === 0) await new Promise(setImmediate);
      signal.aborted = true;
      for (const listener of listeners) listener();
      assert.equal((await waiting).name, 'AbortError');
      await held.unlock();
      await nothingUnhandled();
    });
  }
});

test('scripts that change with every call do not fill the memory', async () => {
  const { stdout, stderr } = await runScript(
    `const { Mailbox } = require('./binding.js');
    const forgotten = [];
    Mailbox.prototype.forget ??= (number) => forgotten.push(number);
    const Redlock = require('redlock-native');
    async function main() {
      const asked = [];
      const client = { eval: async (text, count, ...rest) => { asked.push(text); return 1; } };
      const changing = new Redlock([client]);
      const steady = new Redlock([client], { lockScript: (own) => own + '-- steady' });
      await steady.lock('a', 5000);
      const before = process.memoryUsage().heapUsed;
      for (let i = 0; i < 400; i++) {
        changing.scripts.lockScript.value = '-- ' + i + ' '.repeat(100_000);
        await changing.lock('a', 5000);
        asked.length = 0;
      }
      await steady.lock('a', 5000);
      globalThis.gc();
      const grown = process.memoryUsage().heapUsed - before;
      console.log(grown < 30_000_000 || grown, asked.at(-1).endsWith('-- steady'));
      process.exit();
    }
    main();`,
    { flags: ['--expose-gc'], timeout: 60_000 },
  );
  assert.equal(stdout.trim(), 'true true', stderr);
});
