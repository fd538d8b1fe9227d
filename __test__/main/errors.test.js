'use strict';

/** An error tells a person on call what happened, to which resource, on which instance. */

const assert = require('node:assert/strict');
const { describe, before, beforeEach, test } = require('node:test');
const { inspect } = require('node:util');

const Redlock = require('../..');
const { Mailbox } = require('../../lib/addon');
const { startParrot } = require('../support/parrot');
const { startProxy } = require('../support/proxy');
const { assertValue } = require('../support/redlock');
const { rejection } = require('../support/rejection');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');
const { within } = require('../support/within');

describe('an error', () => {
  const suite = endOfSuite();
  /** @type {import('../../scripts/servers').RedisServer[]} */
  let servers;
  before(async () => {
    servers = await startServers(suite, 3);
  });
  beforeEach(() => Promise.all(servers.map((server) => server.command('FLUSHALL'))));

  const urls = () => servers.map(({ url }) => url);

  function open(t, instances, options) {
    const redlock = new Redlock(instances, { retryCount: 0, ...options });
    t.after(() => redlock.quit());
    return redlock;
  }

  test('of a resource that is held names it and who said so', async (t) => {
    const redlock = open(t, urls());
    const warm = await redlock.lock('warm', 5000);
    // All are connected by then, so that all are asked.
    await assertValue(servers, 'warm', warm.value);
    await Promise.all(servers.slice(1).map((server) => server.command('SET', 'invoice:42', 'other')));
    const error = await rejection(redlock.lock('invoice:42', 5000));
    assert.equal(error.code, 'ERR_REDLOCK_HELD');
    assert.deepEqual(error.resource, ['invoice:42']);
    assert.equal(error.attempts, 1);
    assert.deepEqual(
      error.votes.map(({ address }) => address),
      urls(),
    );
    assert.deepEqual(
      error.votes.slice(1).map(({ vote }) => vote),
      ['held', 'held'],
    );
    assert.ok(['granted', 'pending'].includes(error.votes[0].vote));
    assert.equal(
      error.cause.message,
      `"invoice:42" is held by another: 2 of 3 instances said so (${urls()[1]}, ${urls()[2]})`,
    );
  });

  test('of several resources names them all', async (t) => {
    const redlock = open(t, urls());
    await (await redlock.lock(['a', 'b'], 5000)).unlock();
    await redlock.lock('b', 5000);
    const error = await rejection(redlock.lock(['a', 'b', 'c'], 5000));
    assert.deepEqual(error.resource, ['a', 'b', 'c']);
    assert.match(error.cause.message, /^one of "a", "b", "c" is held by another: /);
  });

  test('of too few instances says which failed and how', async (t) => {
    const silent = await startProxy(t, servers[1]);
    const dead = await startProxy(t, servers[2]);
    const redlock = open(t, [servers[0].url, silent.url, dead.url]);
    await (await redlock.lock('warm', 5000)).unlock();
    await silent.hang();
    await dead.refuse();
    // The first request may be the one that the broken connection loses.
    await rejection(redlock.lock('invoice:42', 1000));
    const error = await rejection(redlock.lock('invoice:42', 1000));

    assert.equal(error.code, 'ERR_REDLOCK_UNAVAILABLE');
    assert.deepEqual(
      error.votes.map(({ vote }) => vote),
      ['granted', 'failed', 'failed'],
    );
    const [, { error: silence }, { error: refusal }] = error.votes;
    assert.ok(silence instanceof Redlock.InstanceError && refusal instanceof Redlock.InstanceError);
    assert.equal(silence.code, 'ERR_REDLOCK_SILENT');
    assert.equal(refusal.code, 'ERR_REDLOCK_UNREACHABLE');
    assert.deepEqual([silence.address, silence.instance, silence.operation], [silent.url, 1, 'lock']);
    assert.ok(refusal.message.startsWith(`lock on ${dead.url}: not connected: `), refusal.message);
    const { message } = error.cause;
    assert.ok(
      message.startsWith('too few instances answered to lock "invoice:42": 1 of 3 granted, 2 are needed; '),
      message,
    );
    assert.match(message, new RegExp(`${silent.url}: no answer within \\d+ ms`));
    assert.match(message, new RegExp(`${dead.url}: not connected: `));
  });

  test('calls who was not asked any more pending, and not failed', async (t) => {
    const dialled = await startProxy(t, servers[2]);
    await dialled.hang();
    await Promise.all(servers.slice(0, 2).map((server) => server.command('SET', 'a', 'other')));
    const redlock = open(t, [...urls().slice(0, 2), dialled.url], {
      retryCount: 2,
      retryDelay: 5,
      retryJitter: 0,
    });
    const error = await rejection(redlock.lock('a', 60_000));
    assert.equal(error.code, 'ERR_REDLOCK_HELD');
    assert.deepEqual(
      error.votes.map(({ vote }) => vote),
      ['held', 'held', 'pending'],
    );
    assert.ok(!error.cause.message.includes(dialled.url), error.cause.message);
    const [, , { failures }] = (await redlock.stats()).instances;
    assert.equal(failures.ERR_REDLOCK_WITHDRAWN, undefined);
  });

  test('of a lock that was asked for once, or waited for, says that too few instances answered', async (t) => {
    const proxies = await Promise.all(servers.slice(1).map((server) => startProxy(t, server)));
    await Promise.all(proxies.map((proxy) => proxy.refuse()));
    const redlock = open(t, [servers[0].url, ...proxies.map(({ url }) => url)]);
    const tried = await rejection(redlock.tryLock('a', 5000));
    assert.equal(tried.code, 'ERR_REDLOCK_UNAVAILABLE');
    assert.equal(
      tried.message,
      'Could not lock the resource "a" in one attempt: too few instances answered.',
    );
    const waited = await rejection(redlock.lock('a', 5000, { maxWait: 300, retryCount: -1, retryDelay: 20 }));
    assert.equal(waited.code, 'ERR_REDLOCK_TIMEOUT');
    assert.equal(
      waited.message,
      'Gave up waiting for the resource "a" after 300 ms: too few instances answered.',
    );
    await redlock.quit();
    const other = open(t, urls(), { retryCount: -1 });
    const lock = await other.lock('a', 5000);
    const held = await rejection(other.lock('a', 5000, { maxWait: 50 }));
    assert.equal(held.message, 'Gave up waiting for the resource "a" after 50 ms.');
    await lock.unlock();
  });

  test('of a routine that waits for itself says so, and of nobody else', async (t) => {
    const redlock = open(t, urls());
    const nested = () => rejection(redlock.using('nested', 5000, () => assert.fail('it ran')));
    const waited = () => rejection(redlock.lock('nested', 5000, { maxWait: 50, retryCount: -1 }));
    const errors = await redlock.using(['nested', 'other'], 60_000, async () => [
      await nested(),
      await waited(),
    ]);
    assert.deepEqual(
      errors.map(({ code }) => code),
      ['ERR_REDLOCK_HELD', 'ERR_REDLOCK_TIMEOUT'],
    );
    for (const { cause } of errors)
      assert.match(cause.message, /a routine of using\(\) has a lock of that name/);
    const lock = await redlock.lock('nested', 60_000);
    assert.ok(!(await nested()).cause.message.includes('routine'));
    await lock.unlock();
  });

  test('of a very long name shows its beginning, and has it whole beside', async (t) => {
    const redlock = open(t, urls());
    const name = 'x'.repeat(1_000_000);
    const lock = await redlock.lock(name, 60_000);
    const held = await rejection(redlock.lock(name, 5000));
    assert.equal(held.message, `Exceeded 0 attempts to lock the resource "${'x'.repeat(200)}…".`);
    assert.deepEqual(held.resource, [name]);
    await lock.unlock();
    const gone = await rejection(lock.extend(5000));
    assert.ok(gone.message.length < 500, `${gone.message.length}`);
    assert.ok(gone.cause.message.length < 1000, `${gone.cause.message.length}`);
  });

  test('of a server that has no password says to leave it out', async (t) => {
    const redlock = open(t, [`redis://:secret@127.0.0.1:${servers[0].port}`]);
    const error = await rejection(redlock.lock('a', 60_000));
    assert.match(error.cause.message, /ERR .*\(the server has no password: take it out of /);
  });

  test('of a server that runs a script says how to end it', async (t) => {
    const busy = new Error('BUSY Redis is busy running a script.');
    const redlock = open(t, [{ eval: () => Promise.reject(busy) }]);
    const error = await rejection(redlock.lock('a', 5000));
    assert.match(error.cause.message, /BUSY .*end it with SCRIPT KILL\)/);
  });

  test('of an unlock that too few instances answered is not one of a lost lock', async (t) => {
    const proxies = await Promise.all(servers.map((server) => startProxy(t, server)));
    const redlock = open(
      t,
      proxies.map(({ url }) => url),
      { deadlineFloor: 1000, deadlineCeiling: 150 },
    );
    const lock = await redlock.lock('a', 60_000);
    await assertValue(servers, 'a', lock.value);
    await Promise.all(proxies.slice(1).map((proxy) => proxy.hang()));
    const error = await rejection(lock.unlock());
    assert.equal(error.message, 'Unable to fully release the lock on resource "a".');
    assert.equal(error.code, 'ERR_REDLOCK_UNAVAILABLE');
    assert.match(
      error.cause.message,
      /^too few instances answered to unlock "a": 1 of 3 granted, 2 are needed; /,
    );
    assert.deepEqual(
      error.votes.map((vote) => vote.error?.code),
      [undefined, 'ERR_REDLOCK_SILENT', 'ERR_REDLOCK_SILENT'],
    );
  });

  test('of a lock that is gone says so', async (t) => {
    const redlock = open(t, urls());
    const lock = await redlock.lock('a', 5000);
    await Promise.all(servers.map((server) => server.command('DEL', 'a')));
    const error = await rejection(lock.unlock());
    assert.equal(error.code, 'ERR_REDLOCK_NOT_HELD');
    assert.match(
      error.cause.message,
      /^the lock on "a" is no longer held, because it expired, was released or was deleted: [23] of 3 instances said so/,
    );
  });

  test('of an extension that failed leaves what may still be believed', async (t) => {
    const proxies = await Promise.all(servers.map((server) => startProxy(t, server)));
    const redlock = open(
      t,
      proxies.map(({ url }) => url),
    );
    const lock = await redlock.lock('a', 5000);
    const { expiration } = lock;
    await Promise.all(proxies.map((proxy) => proxy.hang()));
    const error = await rejection(lock.extend(60_000));
    assert.equal(error.code, 'ERR_REDLOCK_UNAVAILABLE');
    assert.equal(error.message, 'Exceeded 0 attempts to lock the resource "a".');
    // Computed anew from the engine's clock: the same moment within the clocks' grain.
    assert.ok(Math.abs(lock.expiration - expiration) <= 2, `${lock.expiration - expiration} ms`);

    const shorter = await rejection(lock.extend(2000));
    assert.equal(shorter.code, 'ERR_REDLOCK_UNAVAILABLE');
    assert.ok(lock.expiration <= Date.now() + 2000);
    assert.ok(lock.expiration > Date.now());
    await Promise.all(proxies.map((proxy) => proxy.pass()));
    assert.equal(await lock.extend(5000), lock, 'and it can be extended once they answer');
    await lock.unlock();
  });

  test('of an extension that could not be handed over says nothing of the lock, which is held on', async (t) => {
    const redlock = open(t, ['memory://handed-over']);
    const lock = await redlock.lock('a', 60_000);
    const { expiration } = lock;
    const submit = t.mock.method(Mailbox.prototype, 'submit', () => {
      throw new Error('no memory');
    });
    const error = await rejection(lock.extend(60_000));
    submit.mock.restore();
    assert.equal(error.code, 'ERR_REDLOCK_INTERNAL');
    assert.equal(error.message, 'Unable to extend the lock on resource "a".');
    assert.match(error.cause.message, /no memory/);
    assert.equal(lock.expiration, expiration);
    assert.ok(lock.held);
    await lock.unlock();
  });

  test('names the function that waits for it', async (t) => {
    const redlock = open(t, urls());
    const lock = await redlock.lock('a', 5000);
    await lock.unlock();
    async function payInvoice(work) {
      await work();
    }
    await redlock.lock('held', 5000);
    for (const work of [
      () => redlock.lock('held', 5000),
      () => redlock.lock('', 5000),
      () => redlock.unlock(lock),
      () => lock.unlock(),
      () => lock.extend(5000),
    ]) {
      assert.match((await rejection(payInvoice(work))).stack, /at (async )?payInvoice /);
    }
  });

  describe('of a server that refuses', () => {
    /** @type {import('../../scripts/servers').RedisServer} */
    let guarded;
    before(async () => {
      [guarded] = await startServers(suite, 1, {
        users: [
          'default off',
          'alice on >s3cr3t-alice ~app:* +@all',
          'reader on >s3cr3t-reader ~* +@read +@connection',
        ],
      });
    });

    const at = (credentials) => `redis://${credentials}127.0.0.1:${guarded.port}`;

    for (const [what, credentials, resource, reply, hint] of [
      ['a wrong password', 'alice:s3cr3t-wrong@', 'app:a', 'WRONGPASS', /username and password/],
      ['no password', '', 'app:a', 'NOAUTH', /password/],
      ['no permission on the key', 'alice:s3cr3t-alice@', 'other:a', 'NOPERM', /allow this user/],
      ['no permission on the command', 'reader:s3cr3t-reader@', 'app:a', 'NOPERM', /allow this user/],
    ]) {
      test(`${what}: it is a vote that says what to do, and no secret is shown`, async (t) => {
        const redlock = open(t, [at(credentials)]);
        const events = [];
        redlock.on('clientError', (...args) => events.push(args));
        const error = await rejection(redlock.lock(resource, 5000));
        assert.equal(error.code, 'ERR_REDLOCK_UNAVAILABLE');
        const [vote] = error.votes;
        assert.equal(vote.vote, 'failed');
        assert.match(vote.error.message, new RegExp(reply));
        assert.match(vote.error.message, hint);
        assert.ok(error.cause.message.includes(vote.error.message.split(': ').slice(1).join(': ')));
        assert.ok(events.length > 0);

        const shown = inspect([error, events, redlock], { showHidden: true, depth: null, getters: true });
        assert.ok(!shown.includes('s3cr3t'), shown);
        assert.ok(!shown.includes('alice'), shown);
        assert.ok(!JSON.stringify([error, error.cause, error.votes, events, redlock]).includes('s3cr3t'));
      });
    }

    test('the right user, password and key work', async (t) => {
      const redlock = open(t, [at('alice:s3cr3t-alice@')]);
      const lock = await redlock.lock(['app:a', 'app:b'], 5000);
      await lock.extend(6000);
      await lock.unlock();
      const shown = inspect([lock, redlock], { showHidden: true, depth: null, getters: true });
      assert.ok(!shown.includes('s3cr3t'), shown);
    });
  });

  for (const [what, answer, pattern] of [
    ['is loading its data', '-LOADING Redis is loading the dataset in memory\r\n', /LOADING/],
    ['answers an error to everything', '-ERR no\r\n', /ERR no/],
    ['has no memory left', '-OOM command not allowed when used memory > maxmemory\r\n', /OOM/],
    ['speaks no Redis', 'HTTP/1.1 400 Bad Request\r\n\r\n', /./],
  ]) {
    test(`of a server that ${what} is a vote with its cause, within the deadline`, async (t) => {
      const port = await startParrot(t, answer);
      const redlock = open(t, [`redis://u:s3cr3t@127.0.0.1:${port}`, 'memory://fine']);
      // A server that says nothing is waited for as long as the lock could last.
      const error = await within(4000, rejection(redlock.lock('a', 5000)), 'the error');
      assert.equal(error.code, 'ERR_REDLOCK_UNAVAILABLE');
      assert.equal(error.votes[0].vote, 'failed');
      assert.match(error.votes[0].error.message, pattern);
      const shown = inspect([error, redlock], { showHidden: true, depth: null });
      assert.ok(!shown.includes('s3cr3t'), shown);
    });
  }
});
