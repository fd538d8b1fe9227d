'use strict';

/**
 * Every client that an app may pass, at every kind of server that it can be led to: the same behaviours
 * through the client and, where that can be, over a connection of our own. What it does when things
 * fail is in matrix-failures.test.js.
 */

const assert = require('node:assert/strict');
const { after, before, describe, test } = require('node:test');

const Redlock = require('../..');
const { CLIENTS, assertClosed, profile, missing } = require('../support/client-table');
const { PLACES, startPlaces, commandAt } = require('../support/server-kinds');
const { promoted } = require('../support/redlock');
const { rejection } = require('../support/rejection');
const { Report, document, documented } = require('../support/report');
const { needsTls } = require('../support/servers');
const { endOfSuite } = require('../support/suite');

const TTL = 60_000;
/** A busy machine must not decide a vote. */
const OPTIONS = {
  ...{ retryCount: 0, retryDelay: 5, retryJitter: 5 },
  ...{ deadlineFloor: 10_000, deadlineCeiling: 10_000 },
};

/** No name is used twice. In a cluster the names of one lock must be in one slot. */
let used = 0;
function makeNames(count = 1) {
  used += 1;
  return Array.from({ length: count }, (_, index) => `{every ${used}}:${index}`);
}

const report = new Report(PLACES);

describe('every client', () => {
  const suite = endOfSuite();
  let places;
  let others;
  before(async () => {
    ({ places, others } = await startPlaces(suite));
  });

  for (const row of CLIENTS) {
    describe(row.title, { skip: missing(row) }, () => {
      for (const kind of Object.keys(row.at)) {
        const cell = report.cell(row.title, kind);
        const it = profile(row, kind);
        const { skip } = kind === 'tls' ? needsTls() : { skip: kind === 'unix' && noSockets() };
        describe(PLACES[kind], { skip }, () => {
          const make = () => it.make(places[kind]);
          const context = { it, cell, make, place: () => places[kind], others: () => others };
          describe('through the client', () => testBehaviours(context, 'bridge'));
          if (it.isPromotable)
            describe('over a connection of our own', () => testBehaviours(context, 'auto'));
          else describe('where it could be promoted', () => testStaying(context));
        });
      }
    });
  }
});

function noSockets() {
  return process.platform === 'win32' && 'there are none';
}

function testBehaviours({ it, cell, make, place, others }, connections) {
  const ending = endOfSuite();
  const isNative = connections === 'auto';
  const options = { ...OPTIONS, connections };
  /** @type {import('../support/client-table').Made} */
  let made;
  /** @type {Redlock} */
  let redlock;
  /** With another client of the same kind. @type {Redlock} */
  let other;

  /** For one test, or for all of them. */
  async function open(t, more = {}, rest = []) {
    const one = await make();
    const opened = new Redlock([one.client, ...rest], { ...options, ...more });
    t.after(async () => {
      await opened.quit().catch(() => {});
      await one.end?.();
    });
    if (isNative) await promoted(opened);
    // ioredis connects when it is first asked.
    else await (await opened.lock(makeNames(), TTL)).unlock();
    return { made: one, redlock: opened };
  }

  before(async () => {
    ({ made, redlock } = await open(ending));
    ({ redlock: other } = await open(ending));
    if (isNative) cell.isNative = true;
  });

  const command = (name, ...args) =>
    made.command ? made.command(name, ...args) : commandAt(place(), it.own, name, ...args);

  cell.test('is shown as what it is', () => {
    const [connection] = redlock.connections;
    assert.equal(connection.mode, isNative ? 'native' : 'bridge');
    assert.equal(connection.library, it.library);
    assert.equal(connection.topology, it.topology);
    assert.equal(connection.state, 'ready');
    assert.deepEqual(connection.reasons, isNative ? [] : ['the option "connections" says so']);
    assert.deepEqual(redlock.servers, [made.client]);
    if (it.isOpaque) return;
    assert.equal(connection.keyPrefix, it.own.prefix);
    if (it.own.db !== undefined) assert.equal(connection.db, it.own.db);
  });

  if (isNative) {
    cell.test('can be asked for a connection of our own from the first lock on', async (t) => {
      const { client, end } = await make();
      const direct = new Redlock([client], { ...options, connections: 'native' });
      t.after(async () => {
        await direct.quit();
        await end?.();
      });
      assert.equal(direct.connections[0].mode, 'native');
      const [name] = makeNames();
      const lock = await direct.lock(name, TTL);
      assert.equal(await command('GET', name), lock.value);
      await lock.unlock();
    });
  }

  cell.test('locks: its key is there, under its own prefix and in its own database', async () => {
    const [name] = makeNames();
    const lock = await redlock.lock(name, TTL);
    assert.equal(await command('GET', name), lock.value);
    const left = await command('PTTL', name);
    assert.ok(left > TTL / 2 && left <= TTL, `${left}`);
    await lock.unlock();
    assert.equal(await command('EXISTS', name), 0);
  });

  cell.test('nobody else gets what is locked, with another client of its kind neither', async () => {
    const [name] = makeNames();
    const lock = await redlock.lock(name, TTL);
    for (const [one, retryCount] of [
      [other, 0],
      [redlock, 0],
      [other, 2],
    ]) {
      const error = await rejection(one.lock(name, TTL, { retryCount }));
      assert.ok(error instanceof Redlock.LockError);
      assert.equal(error.code, 'ERR_REDLOCK_HELD');
      assert.equal(error.attempts, retryCount + 1);
      assert.deepEqual(
        error.votes.map(({ vote }) => vote),
        ['held'],
      );
    }
    assert.equal(await command('GET', name), lock.value);
    await lock.unlock();
    const next = await other.lock(name, TTL);
    assert.equal(await command('GET', name), next.value);
    await next.unlock();
  });

  cell.test('waits for what another holds', async () => {
    const [name] = makeNames();
    const lock = await redlock.lock(name, TTL);
    const waiting = other.lock(name, TTL, { retryCount: -1 });
    await lock.unlock();
    const next = await waiting;
    assert.notEqual(next.value, lock.value);
    await next.unlock();
  });

  cell.test('extends: its key lives longer', async () => {
    const [name] = makeNames();
    const lock = await redlock.lock(name, TTL);
    assert.equal(await lock.extend(10 * TTL), lock);
    const left = await command('PTTL', name);
    assert.ok(left > 5 * TTL && left <= 10 * TTL, `${left}`);
    assert.equal(await command('GET', name), lock.value);
    await lock.unlock();
  });

  cell.test('several resources at once are locked, extended and unlocked, all or none', async () => {
    const names = makeNames(3);
    const onAll = (name, ...args) => Promise.all(names.map((one) => command(name, one, ...args)));
    const lock = await redlock.lock(names, TTL);
    assert.deepEqual(await onAll('GET'), [lock.value, lock.value, lock.value]);
    assert.equal((await rejection(other.lock(names[2], TTL))).code, 'ERR_REDLOCK_HELD');
    await lock.extend(10 * TTL);
    for (const left of await onAll('PTTL')) assert.ok(left > 5 * TTL);
    await lock.unlock();
    assert.deepEqual(await onAll('EXISTS'), [0, 0, 0]);

    const one = await other.lock(names[1], TTL);
    assert.equal((await rejection(redlock.lock(names, TTL))).code, 'ERR_REDLOCK_HELD');
    assert.deepEqual(await onAll('EXISTS'), [0, 1, 0]);
    await one.unlock();
  });

  cell.test("leaves a stranger's key alone", async () => {
    const [name] = makeNames();
    await command('SET', name, 'of a stranger', 'PX', TTL);
    const error = await rejection(redlock.lock(name, TTL));
    assert.equal(error.code, 'ERR_REDLOCK_HELD');
    const stale = new Redlock.Lock(redlock, [name], '0'.repeat(32), Date.now() + TTL);
    assert.equal((await rejection(stale.extend(TTL))).code, 'ERR_REDLOCK_NOT_HELD');
    assert.equal((await rejection(stale.unlock())).code, 'ERR_REDLOCK_NOT_HELD');
    assert.equal(await command('GET', name), 'of a stranger');
  });

  cell.test("tells of a server's error, and a key that is no lock can't be locked", async () => {
    const [name] = makeNames();
    await command('SADD', name, 'a member');
    const held = await rejection(redlock.lock(name, TTL));
    assert.equal(held.code, 'ERR_REDLOCK_HELD');
    const stale = new Redlock.Lock(redlock, [name], '0'.repeat(32), Date.now() + TTL);
    const error = await rejection(stale.unlock());
    assert.equal(await command('EXISTS', name), 1);
    assert.equal(error.votes[0].vote, it.refusal);
    // A mock's Lua has no errors to look at.
    if (it.refusal === 'held') return;
    assert.equal(error.code, 'ERR_REDLOCK_UNAVAILABLE');
    const [{ error: reason }] = error.votes;
    assert.ok(reason instanceof Redlock.InstanceError);
    assert.equal(reason.code, 'ERR_REDLOCK_REFUSED');
    assert.equal(reason.reply, 'WRONGTYPE');
    // The client's own is kept with it.
    if (isNative) assert.equal(reason.cause, undefined);
    else assert.match(String(reason.cause), /wrong kind of value/);
  });

  if (it.closed) {
    testClosing();
  } else {
    cell.test('goes on after its end', async (t) => {
      const { made: own, redlock: ending } = await open(t);
      await it.close(own);
      await (await ending.lock(makeNames(), TTL)).unlock();
    });
  }

  cell.test('quit ends the client too', async (t) => {
    const { made: own, redlock: quitting } = await open(t);
    assert.deepEqual(await quitting.quit(), [it.quits]);
    if (it.isLeftOpen) return;
    const again = new Redlock([own.client], options);
    const error = await rejection(again.lock(makeNames(), TTL));
    assert.equal(error.code, 'ERR_REDLOCK_UNAVAILABLE');
    assertClosed(error.votes[0].error, it.closed);
    await again.quit().catch(() => {});
  });

  function testClosing() {
    cell.test(
      "a client that its owner has closed fails with its own error, and doesn't reopen",
      async (t) => {
        const { made: own, redlock: closing } = await open(t);
        const [name] = makeNames();
        const lock = await closing.lock(name, TTL);
        await it.close(own);
        const attempts = {
          lock: () => closing.lock(makeNames(), TTL),
          extend: () => lock.extend(TTL),
          unlock: () => lock.unlock(),
        };
        for (const [operation, attempt] of Object.entries(attempts)) {
          const error = await rejection(attempt());
          assert.equal(error.code, 'ERR_REDLOCK_UNAVAILABLE', operation);
          assert.equal(error.votes[0].vote, 'failed');
          assertClosed(error.votes[0].error, it.closed);
        }
        assert.equal(closing.connections[0].mode, 'bridge');
        if (!it.isOpaque) assert.equal(closing.connections[0].state, 'down');
        assert.equal(await command('GET', name), lock.value);
        await closing.quit();
      },
    );

    cell.test('one closed client of three is outvoted', async (t) => {
      const rest = others().map(({ url }) => url);
      const { made: own, redlock: closing } = await open(t, {}, rest);
      await it.close(own);
      const [name] = makeNames();
      const lock = await closing.lock(name, TTL);
      assert.equal((await rejection(closing.lock(name, TTL))).code, 'ERR_REDLOCK_HELD');
      await lock.extend(2 * TTL);
      await lock.unlock();
      await (await closing.lock(name, TTL)).unlock();
    });
  }
}

/** What can't be promoted is bridged for good, and works the same. */
function testStaying({ it, cell, make }) {
  cell.test('stays with the client, and says why', async (t) => {
    const { client, end } = await make();
    const redlock = new Redlock([client], OPTIONS);
    t.after(async () => {
      await redlock.quit();
      await end?.();
    });
    for (let round = 0; round < 3; round += 1) {
      const lock = await redlock.lock(makeNames(), TTL);
      await lock.unlock();
      const [{ mode, reasons }] = redlock.connections;
      assert.equal(mode, 'bridge');
      assert.equal(reasons.length, 1);
      assert.match(reasons[0], it.reason);
      cell.reason = reasons[0];
    }
  });

  cell.test("can't be asked for a connection of our own", async (t) => {
    const { client, end } = await make();
    t.after(() => end?.());
    const native = { ...OPTIONS, connections: 'native' };
    assert.throws(
      () => new Redlock([client], native),
      (error) => error.code === 'ERR_REDLOCK_INVALID_INSTANCE' && error.message.includes(cell.reason),
    );
    // The client is not to blame.
    const redlock = new Redlock([client], OPTIONS);
    await (await redlock.lock(makeNames(), TTL)).unlock();
    await redlock.quit();
  });
}

describe('the table of clients', () => {
  after(() => console.log(`\n${report}\n`));

  test('in docs/clients.md is what ran', (t) => {
    if (!report.isWhole) return t.skip('not everything ran');
    const text = String(report);
    if (process.env.UPDATE_TABLE === '1') document(text);
    assert.equal(documented(), text);
  });
});
