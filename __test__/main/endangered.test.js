'use strict';

/** Who holds a lock is told that it may be lost, before it is. */

const assert = require('node:assert/strict');
const { channel } = require('node:diagnostics_channel');
const { once } = require('node:events');
const { describe, test } = require('node:test');

const { allTold } = require('../support/all-told');
const { redlockOver, urlsOf } = require('../support/redlock');
const { startServers } = require('../support/servers');
const { until } = require('../support/until');

const NAME = 'endangered';
const TTL = 1500;

/** Everything that is said of locks in danger, as long as the test lasts. */
function listen(t) {
  // No event keeps the process alive.
  const awake = setInterval(() => {}, 1000);
  t.after(() => clearInterval(awake));
  const said = [];
  const hear = (message) => said.push(message);
  channel('redlock:endangered').subscribe(hear);
  t.after(() => channel('redlock:endangered').unsubscribe(hear));
  return said;
}

describe('a lock that is extended by itself', () => {
  test('is said to be in danger once two of three servers are out of reach, and lost after that', async (t) => {
    const servers = await startServers(t, 3);
    const redlock = redlockOver(t, urlsOf(servers));
    const said = listen(t);
    const lock = await redlock.lock(NAME, TTL, { autoExtend: true });
    const lost = once(redlock, 'lost');
    const endangered = once(redlock, 'endangered');
    const [, refusing, silent] = servers;
    await refusing.stop();
    silent.pause();
    t.after(() => silent.resume());

    const [error, which] = await endangered;
    assert.equal(which, lock);
    assert.equal(error.name, 'LockError');
    assert.equal(error.code, 'ERR_REDLOCK_ENDANGERED');
    assert.deepEqual(error.resource, [NAME]);
    assert.ok(error.remaining < TTL / 3, `${error.remaining} ms are left`);
    assert.ok(error.attempts > 0);
    const votes = error.votes.map(({ vote }) => vote);
    assert.deepEqual(votes.slice(1), ['failed', 'failed'], votes.join());
    for (const { port } of [refusing, silent]) assert.match(error.cause.message, new RegExp(`:${port}: `));
    assert.match(error.cause.message, /^\d+ ms are left of the lock on "endangered".* 2 must grant it/);
    assert.doesNotMatch(`${error.message} ${error.cause.message}`, new RegExp(lock.value));
    await allTold();
    assert.equal(said.length, 1);
    const [{ error: shown, votes: cast, ...rest }] = said;
    assert.deepEqual(rest, { resource: [NAME], remaining: error.remaining });
    assert.deepEqual([shown.code, shown.message], [error.code, error.message]);
    assert.deepEqual(
      cast.map(({ vote }) => vote),
      votes,
    );

    const [loss] = await lost;
    assert.equal(loss.code, 'ERR_REDLOCK_EXPIRED');
    assert.equal(said.length, 1);
    const { extensions, lost: losses } = await redlock.stats();
    assert.equal(extensions.endangered, 1);
    assert.ok(extensions.failed > 0);
    assert.equal(losses.ERR_REDLOCK_EXPIRED, 1);
  });

  test('is said to be in no danger where a majority goes on extending it', async (t) => {
    const servers = await startServers(t, 3);
    const redlock = redlockOver(t, urlsOf(servers));
    const said = listen(t);
    const lock = await redlock.lock(NAME, 400, { autoExtend: true });
    await servers[2].stop();
    let extensions;
    const isExtended = async () => {
      ({ extensions } = await redlock.stats());
      return extensions.slack.count >= 3;
    };
    await until(isExtended, { what: 'it is extended three times' });
    assert.equal(lock.held, true);
    assert.deepEqual(said, []);
    assert.ok(extensions.slack.sum > 0);
    await lock.unlock();
  });
});
