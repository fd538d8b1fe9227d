'use strict';

/**
 * What everybody does with the package, on whatever runtime this is: no test framework, no module but the package, two
 * Redis clients and node:assert. It never ends the process: who has quit everything keeps nothing alive.
 *
 * @typedef {object} Loaded what commonjs.cjs and module.mjs load, each in its way
 * @property {any} Redlock
 * @property {any} V4
 * @property {any} V5
 * @property {any} Ioredis
 * @property {any} createClient node-redis'
 */

const assert = require('node:assert/strict');
const { once } = require('node:events');

/** Three servers that are up, and one that is down. */
const { SMOKE_UP, SMOKE_DOWN } = process.env;
const UP = SMOKE_UP.split(' ');
const DOWN = SMOKE_DOWN;

const ONCE = { retryCount: 0 };
const TTL = 10_000;

/** @type {Record<string, (loaded: Loaded, name: string) => Promise<void>>} */
const CASES = {
  async 'locks, refuses another, extends, unlocks'({ Redlock }, name) {
    const redlock = new Redlock(UP, ONCE);
    const lock = await redlock.lock(name, TTL);
    const refused = await redlock.lock(name, TTL).catch((error) => error);
    assert.ok(refused instanceof Redlock.LockError);
    assert.equal(refused.code, 'ERR_REDLOCK_HELD');
    assert.equal(refused.votes.length, UP.length);
    assert.equal(await redlock.tryLock(name, TTL), null);
    const { expiration } = lock;
    assert.equal(await lock.extend(2 * TTL), lock);
    assert.ok(lock.expiration > expiration);
    await lock.unlock();
    await (await redlock.tryLock(name, TTL)).unlock();
    await redlock.quit();
  },

  async 'waits until it is free'({ Redlock }, name) {
    const redlock = new Redlock(UP, { retryCount: -1 });
    const first = await redlock.lock(name, TTL);
    const waiting = redlock.lock(name, TTL);
    await first.unlock();
    await (await waiting).unlock();
    await redlock.quit();
  },

  async 'holds a lock with a signal, which tells of its loss'({ Redlock, Ioredis }, name) {
    const redlock = new Redlock(UP, ONCE);
    const result = await redlock.using([name, `${name}:other`], TTL, async (signal, lock) => {
      assert.equal(signal.aborted, false);
      assert.ok(lock.held);
      return 'done';
    });
    assert.equal(result, 'done');
    const others = UP.map((url) => new Ioredis(url));
    const lost = redlock.using(name, 1000, async (signal) => {
      await Promise.all([once(signal, 'abort'), ...others.map((client) => client.del(name))]);
      signal.throwIfAborted();
    });
    await assert.rejects(lost, { name: 'LockError', code: 'ERR_REDLOCK_NOT_HELD' });
    await Promise.all(others.map((client) => client.quit()));
    await redlock.quit();
  },

  async 'tells of an instance that is down, and locks by the others'({ Redlock }, name) {
    const redlock = new Redlock([UP[0], UP[1], DOWN], ONCE);
    const told = once(redlock, 'clientError');
    const lock = await redlock.lock(name, TTL);
    const [error] = await told;
    assert.ok(error instanceof Redlock.InstanceError);
    assert.equal(error.code, 'ERR_REDLOCK_UNREACHABLE');
    assert.equal(error.instance, 2);
    await lock.unlock();
    await redlock.quit();
  },

  async 'locks over ioredis’ clients'({ Redlock, Ioredis }, name) {
    await overClients(
      Redlock,
      UP.map((url) => new Ioredis(url)),
      name,
    );
  },

  async 'locks over node-redis’ clients'({ Redlock, createClient }, name) {
    const clients = UP.map((url) => createClient({ url }));
    await Promise.all(clients.map((client) => client.connect()));
    await overClients(Redlock, clients, name);
  },

  async 'stands in for redlock 4'({ V4, Ioredis }, name) {
    const redlock = new V4(
      UP.map((url) => new Ioredis(url)),
      ONCE,
    );
    const lock = await redlock.lock(name, TTL);
    assert.ok(lock instanceof V4.Lock);
    // As only bluebird's promises have it.
    const attempts = await redlock.lock(name, TTL).catch(V4.LockError, (error) => error.attempts);
    assert.equal(attempts, 1);
    await new Promise((resolve, reject) => {
      lock.unlock((error) => (error ? reject(error) : resolve(undefined)));
    });
    await redlock.quit();
  },

  async 'stands in for redlock 5'({ V5, Ioredis }, name) {
    const redlock = new V5.default(
      UP.map((url) => new Ioredis(url)),
      ONCE,
    );
    const lock = await (await redlock.acquire([name], TTL)).extend(2 * TTL);
    await assert.rejects(redlock.acquire([name], TTL), V5.ExecutionError);
    await lock.release();
    assert.equal(await redlock.using([name], TTL, async (signal) => signal.aborted), false);
    await redlock.quit();
  },
};

/**
 * Asks by the clients, and by connections of our own in their place once these are proven.
 *
 * @param {any} Redlock
 * @param {any[]} clients
 * @param {string} name
 */
async function overClients(Redlock, clients, name) {
  const redlock = new Redlock(clients, ONCE);
  for (let turn = 0; turn < 20; turn += 1) {
    const lock = await redlock.lock(name, TTL);
    assert.equal(await redlock.tryLock(name, TTL), null);
    await lock.extend(TTL);
    await lock.unlock();
  }
  await redlock.quit();
}

/**
 * @param {string} how it was loaded
 * @param {Loaded} loaded
 */
async function smoke(how, loaded) {
  for (const [what, run] of Object.entries(CASES)) {
    // To be read where it hangs.
    console.error(`${how}: ${what}`);
    try {
      await run(loaded, `${how}:${what}`);
    } catch (error) {
      error.message = `${how}: ${what}: ${error.message}`;
      throw error;
    }
  }
  console.log(`${how}: ${Object.keys(CASES).length} passed`);
}

module.exports = { smoke };
