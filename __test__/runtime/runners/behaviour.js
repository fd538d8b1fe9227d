'use strict';

/**
 * What must work whatever a test runner has put in the place of ticks, microtasks, timers and the clock. It is run by
 * each runner in its own way: see ../fake-timers.test.js, which starts them.
 */

const URLS = (process.env.REDLOCK_URLS ?? '').split(',');

let count = 0;
const newName = () => `runner-${process.pid}-${Date.now()}-${count++}`;

/** Faces, as what is required of them. */
const FACES = { '': '../../..', v4: '../../../compat/v4', v5: '../../../compat/v5' };

/** Loaded when it is called: a runner may replace things before that. */
function behaviours() {
  const Redlock = require(FACES['']);

  /** A fake of an app: one key, no server. */
  function fakeClient() {
    const keys = new Map();
    return {
      quit: async () => 'OK',
      async eval(script, number, ...rest) {
        const [key, value] = [rest[0], rest[number]];
        if (/"?set"?/i.test(script) && rest.length > number + 1 && !/pexpire/i.test(script)) {
          if (keys.has(key)) return 0;
          keys.set(key, value);
          return 1;
        }
        if (keys.get(key) !== value) return 0;
        if (rest.length === number + 1) keys.delete(key);
        return 1;
      },
    };
  }

  return {
    async 'a lock is taken, extended and released'() {
      const redlock = new Redlock(URLS, { retryCount: 0 });
      const lock = await redlock.lock(newName(), 2000);
      await lock.extend(3000);
      await lock.unlock();
      await redlock.quit();
    },

    async 'callbacks are called'() {
      const redlock = new Redlock(URLS, { retryCount: 0 });
      await new Promise((resolve, reject) => {
        redlock.lock(newName(), 2000, (error, lock) => {
          if (error) reject(error);
          else lock.unlock((second) => (second ? reject(second) : resolve()));
        });
      });
      await redlock.quit();
    },

    async 'many locks that come together each have their turn'() {
      const redlock = new Redlock(URLS, { retryCount: 0 });
      const locks = await Promise.all(Array.from({ length: 100 }, () => redlock.lock(newName(), 30_000)));
      await Promise.all(locks.map((lock) => lock.unlock()));
      await redlock.quit();
    },

    async 'retries run on real time'() {
      const redlock = new Redlock(URLS, { retryCount: 3, retryDelay: 60, retryJitter: 0 });
      const name = newName();
      await redlock.lock(name, 100);
      // Its retries would never come on a clock that stands still.
      await (await redlock.lock(name, 1000)).unlock();
      // Those that JavaScript waits for.
      redlock._random = () => newName();
      await redlock.lock(name, 100);
      await (await redlock.lock(name, 1000)).unlock();
      await redlock.quit();
    },

    async 'waits are given up'() {
      const redlock = new Redlock(URLS, { retryCount: -1, retryDelay: 20, retryJitter: 0 });
      const name = newName();
      const held = await redlock.lock(name, 30_000);
      await expectCode('ERR_REDLOCK_TIMEOUT', redlock.lock(name, 1000, { maxWait: 100 }));
      const controller = new AbortController();
      const waiting = redlock.lock(name, 1000, { signal: controller.signal });
      controller.abort(Object.assign(new Error('enough'), { code: 'ENOUGH' }));
      await expectCode('ENOUGH', waiting);
      await held.unlock();
      await redlock.quit();
    },

    async 'a kept lock is extended, and its loss is told'() {
      const redlock = new Redlock(URLS, { retryCount: 3 });
      const other = new Redlock(URLS, { retryCount: 0 });
      const name = newName();
      await redlock.using(name, 300, async (signal) => {
        // Beyond its ttl, in real time.
        await other.lock(name, 1000, { maxWait: 500, retryCount: -1, retryDelay: 20 }).catch(() => {});
        if (signal.aborted) throw signal.reason;
      });
      const short = await redlock.lock(newName(), 200);
      const aborted = new Promise((resolve) => {
        short.signal.addEventListener('abort', resolve, { once: true });
      });
      // Who only waits for it does not keep the process.
      const busy = newName();
      await redlock.lock(busy, 30_000);
      await Promise.all([
        aborted,
        expectCode(
          'ERR_REDLOCK_TIMEOUT',
          other.lock(busy, 1000, { maxWait: 600, retryCount: -1, retryDelay: 20 }),
        ),
      ]);
      if (!short.signal.aborted || short.held) throw new Error('it is lost');
      await Promise.all([redlock.quit(), other.quit()]);
    },

    async "a caller's client is asked, and one that hangs keeps no quit() from ending"() {
      const client = fakeClient();
      const redlock = new Redlock([client], { retryCount: 0 });
      const lock = await redlock.lock(newName(), 2000);
      await expectCode('ERR_REDLOCK_HELD', redlock.lock(lock.resource, 2000));
      await lock.unlock();
      client.quit = () => new Promise(() => {});
      await redlock.quit();
    },

    async 'quit() ends what waits without end'() {
      const redlock = new Redlock(URLS, { retryCount: -1, retryDelay: 50 });
      const name = newName();
      const held = await redlock.lock(name, 30_000);
      const waiting = expectCode('ERR_REDLOCK_CLOSED', redlock.lock(name, 1000));
      await redlock.quit();
      await waiting;
      const another = new Redlock(URLS);
      await another.unlock(held);
      await another.quit();
    },

    async "redlock 5's face works"() {
      const { default: Five } = require(FACES.v5);
      const redlock = new Five(URLS, { retryCount: 2, retryDelay: 20 });
      const lock = await redlock.acquire([newName()], 2000);
      await lock.release();
      // It is gone: the release is tried again, as redlock 5's is.
      await redlock.release(lock).catch(() => {});
      await redlock.using([newName()], 2000, async () => 'done');
      await redlock.quit();
    },
  };
}

/**
 * What holds of the clock that the runner shows.
 *
 * @param {(ms: number) => void} advance
 */
async function withTheClock(advance) {
  const Redlock = require(FACES['']);
  const redlock = new Redlock(URLS, { retryCount: 0 });
  const lock = await redlock.lock(newName(), 5000);
  const left = lock.expiration - Date.now();
  // By the clock that everybody sees, less the drift and what has passed.
  if (!(left > 0 && left <= 5000)) throw new Error(`expiration is ${left} ms away`);
  advance(60_000);
  if (!lock.held || lock.remaining() <= 0) throw new Error('it is held, whatever the clock shows');
  await lock.extend(5000);
  await lock.unlock();
  await redlock.quit();
}

/**
 * @param {string} code
 * @param {Promise<unknown>} promise
 */
async function expectCode(code, promise) {
  const outcome = await promise.then(
    () => 'fulfilled',
    (error) => error?.code ?? error,
  );
  if (outcome !== code) throw new Error(`expected ${code}, not ${outcome}`);
}

module.exports = { behaviours, withTheClock };
