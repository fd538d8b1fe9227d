'use strict';

/** What tests do with a Redlock: open one, bring it to connections of our own, name what it locks, look at its keys. */

const assert = require('node:assert/strict');

const Redlock = require('../..');
const { until } = require('./until');

/** Tries again for as long as a client or a server may take to be there. */
const PATIENT = { retryCount: 50, retryDelay: 20, retryJitter: 10 };

/**
 * A Redlock that is quit with the test; that its members are closed by then is no failure.
 *
 * @param {{after: (callback: () => Promise<unknown>) => void}} t
 * @param {any[]} members
 * @param {import('../..').Options} [options]
 */
function redlockOver(t, members, options) {
  const redlock = new Redlock(members, { ...PATIENT, ...options });
  t.after(async () => redlock.quit().catch(() => {}));
  return redlock;
}

/**
 * A maker of names, none of which it gives twice.
 *
 * @param {string} stem what they begin with
 */
function namesLike(stem) {
  let used = 0;
  return () => {
    used += 1;
    return `${stem}${used}`;
  };
}

/** @param {{url: string}[]} servers */
function urlsOf(servers) {
  return servers.map(({ url }) => url);
}

/**
 * What each server has under that name.
 *
 * @param {import('../../scripts/servers').RedisServer[]} servers
 * @param {string} name
 */
function valuesAt(servers, name) {
  return Promise.all(servers.map((server) => server.command('GET', name)));
}

/**
 * Sees that a majority of the servers has that value, as it has once a lock was granted or released, and waits for the
 * others, which were told at the same time and may come to it later.
 *
 * @param {import('../../scripts/servers').RedisServer[]} servers
 * @param {string} name
 * @param {string | null} value
 */
async function assertValue(servers, name, value) {
  const seen = await valuesAt(servers, name);
  const count = seen.filter((one) => one === value).length;
  assert.ok(
    count > servers.length / 2,
    `${name}: ${JSON.stringify(seen)}, not ${JSON.stringify(value)} at a majority`,
  );
  await until(async () => (await valuesAt(servers, name)).every((one) => one === value), {
    what: `all servers have ${JSON.stringify(value)} as ${JSON.stringify(name)}`,
  });
}

const newName = namesLike('promotion ');

/**
 * Waits until all of a Redlock's clients have been replaced by connections of our own, which each lock
 * that is granted may bring about.
 *
 * @param {import('../..')} redlock
 */
async function promoted(redlock) {
  const isNative = () => redlock.connections.every(({ mode }) => mode !== 'bridge');
  const prove = async () => {
    const lock = await redlock.lock(newName(), 30_000);
    // The key must still be there when it is read.
    await until(isNative, { timeout: 100 }).catch(() => {});
    await lock.unlock();
    return isNative();
  };
  await until(prove, { timeout: 20_000, what: 'our own connections take over' }).catch((error) => {
    const reasons = redlock.connections.flatMap((connection) => connection.reasons);
    throw new Error(`${error.message}: ${reasons.join('; ')}`, { cause: error });
  });
}

module.exports = { PATIENT, redlockOver, namesLike, urlsOf, valuesAt, assertValue, promoted };
