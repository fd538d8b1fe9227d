'use strict';

/** Each vote is told on the channel `redlock:vote` as it comes, whoever asked for it. */

const assert = require('node:assert/strict');
const { AsyncLocalStorage } = require('node:async_hooks');
const { channel } = require('node:diagnostics_channel');
const { describe, test } = require('node:test');

const { Trace } = require('../../lib/channels');
const { Engine } = require('../../lib/native');
const { DEFAULTS } = require('../../lib/options');
const { makeClient, IOREDIS } = require('../support/clients');
const { assertValue, redlockOver, urlsOf } = require('../support/redlock');
const { startServers } = require('../support/servers');
const { until } = require('../support/until');

const NAME = 'votes';

/** Every vote on that name, as long as the test lasts. */
function listen(t) {
  const votes = [];
  const hear = (vote) => {
    if (vote.resource.includes(NAME)) votes.push(vote);
  };
  channel('redlock:vote').subscribe(hear);
  t.after(() => channel('redlock:vote').unsubscribe(hear));
  return votes;
}

const told = (votes, count) => until(() => votes.length >= count, { what: `${count} votes are told` });

/** What is the same in each run. */
const inShort = ({ operation, instance, vote, attempt, late }) =>
  `${operation} ${instance.index} ${vote} ${attempt}${late ? ' late' : ''}`;

describe('redlock:vote', () => {
  const routes = {
    'our own connections': async (_t, servers) => urlsOf(servers),
    "callers' clients": (t, servers) => Promise.all(servers.map((server) => makeClient(t, IOREDIS, server))),
  };
  for (const [what, membersOf] of Object.entries(routes)) {
    test(`tells each vote of ${what}, with its time and never the value`, async (t) => {
      const servers = await startServers(t, 3);
      const members = await membersOf(t, servers);
      const redlock = redlockOver(t, members, { connections: 'bridge' });
      const votes = listen(t);
      const lock = await redlock.lock(NAME, 10_000);
      await told(votes, 3);
      await lock.extend(10_000);
      await told(votes, 6);
      await redlock.inspect(NAME);
      await told(votes, 9);
      await lock.unlock();
      await told(votes, 12);
      const of = (operation, vote) => [0, 1, 2].map((index) => `${operation} ${index} ${vote} 1`);
      const expected = [
        ...of('acquire', 'granted'),
        ...of('extend', 'granted'),
        ...of('inspect', 'seen'),
        ...of('release', 'granted'),
      ];
      assert.deepEqual(votes.map(inShort).sort(), expected.sort());
      for (const vote of votes) {
        assert.ok(vote.ms > 0 && vote.ms < 10_000, `${vote.ms} ms`);
        assert.match(vote.instance.address, /:\d+/);
        assert.equal(vote.trace, undefined);
      }
      assert.doesNotMatch(JSON.stringify(votes), new RegExp(lock.value));
    });
  }

  test('tells silence once the deadline is over, and then the late answer', async (t) => {
    const servers = await startServers(t, 3);
    const redlock = redlockOver(t, urlsOf(servers));
    const before = await redlock.lock('before', 10_000);
    // It knows the scripts before it is silent.
    await assertValue(servers, 'before', before.value);
    await before.unlock();
    await assertValue(servers, 'before', null);
    const votes = listen(t);
    const [, , silent] = servers;
    silent.pause();
    const lock = await redlock.lock(NAME, 2000);
    await told(votes, 3);
    silent.resume();
    await told(votes, 4);
    assert.deepEqual(votes.map(inShort).slice(0, 2).sort(), ['acquire 0 granted 1', 'acquire 1 granted 1']);
    assert.deepEqual(votes.map(inShort).slice(2, 4), ['acquire 2 failed 1', 'acquire 2 granted 1 late']);
    const [missed, late] = votes.slice(2);
    assert.equal(missed.error.code, 'ERR_REDLOCK_SILENT');
    assert.equal(missed.error.address, missed.instance.address);
    assert.ok(late.ms > missed.ms);
    await lock.unlock();
  });

  test('numbers the attempts', async (t) => {
    const redlock = redlockOver(t, ['memory://votes'], { retryCount: 1, retryDelay: 5 });
    const other = redlockOver(t, ['memory://votes']);
    const lock = await other.lock(NAME, 10_000);
    const votes = listen(t);
    await assert.rejects(redlock.lock(NAME, 1000), { code: 'ERR_REDLOCK_HELD' });
    const acquires = votes.filter(({ operation }) => operation === 'acquire').map(inShort);
    // Who waits may be asked for in between: that counts as the attempt before.
    assert.deepEqual([...new Set(acquires)], ['acquire 0 held 1', 'acquire 0 held 2']);
    await lock.unlock();
  });

  test("tells those of extensions that a lock's keeper makes", async (t) => {
    const redlock = redlockOver(t, ['memory://votes']);
    const votes = listen(t);
    const lock = await redlock.lock(NAME, 200, { autoExtend: true });
    await until(() => votes.some(({ operation }) => operation === 'extend'), { what: 'it is extended' });
    await lock.unlock();
  });

  test('is heard no more by who has unsubscribed', async (t) => {
    const redlock = redlockOver(t, ['memory://votes']);
    const votes = [];
    const hear = (vote) => votes.push(vote);
    channel('redlock:vote').subscribe(hear);
    await (await redlock.lock(NAME, 1000)).unlock();
    assert.equal(votes.length, 2);
    channel('redlock:vote').unsubscribe(hear);
    await (await redlock.lock(NAME, 1000)).unlock();
    assert.equal(votes.length, 2);
  });
});

describe('what a request is traced by', () => {
  /** An engine over three tables, without a Redlock. */
  function open(t) {
    const members = [1, 2, 3].map((index) => ({ config: { kind: 'memory', name: `traced-${index}` } }));
    const owner = {};
    const engine = new Engine(owner, members, {});
    t.after(() => engine.close().then(() => owner));
    return engine;
  }

  const wordsOf = ({ votes }) => votes.map(({ address, vote }) => `${address} ${vote}`);
  const all = (vote) => [1, 2, 3].map((index) => `memory://traced-${index} ${vote}`);

  test('shows the votes of its last attempt, also where it succeeds', async (t) => {
    const engine = open(t);
    const [granted, held, released, extended] = Array.from({ length: 4 }, () => new Trace([NAME]));
    const traces = { granted, held, released, extended };
    const lock = await engine.lock([NAME], 10_000, DEFAULTS.tracedBy(traces.granted), false);
    const twice = Object.assign(DEFAULTS.once().tracedBy(traces.held), { retries: 1, delay: 5 });
    const refused = await engine.lock([NAME], 10_000, twice, false);
    assert.equal(refused.attempts, 2);
    const { value, until: end, since } = lock;
    await engine.extend([NAME], value, end, false, 10_000, DEFAULTS.tracedBy(traces.extended), false);
    await engine.unlock([NAME], value, since, DEFAULTS.tracedBy(traces.released), false);
    assert.deepEqual(wordsOf(traces.granted), all('granted'));
    assert.deepEqual(wordsOf(traces.held), all('held'));
    assert.deepEqual(wordsOf(traces.extended), all('granted'));
    assert.deepEqual(wordsOf(traces.released), all('granted'));
  });

  test('comes with each of its votes, in the context of whom it is for', async (t) => {
    const engine = open(t);
    const votes = listen(t);
    const storage = new AsyncLocalStorage();
    const contexts = new Set();
    const note = () => contexts.add(storage.getStore());
    channel('redlock:vote').subscribe(note);
    t.after(() => channel('redlock:vote').unsubscribe(note));
    const trace = new Trace([NAME]);
    const lock = await storage.run('mine', () =>
      engine.lock([NAME], 10_000, DEFAULTS.tracedBy(trace), false),
    );
    assert.equal(votes.length, 3);
    assert.ok(votes.every((vote) => vote.trace === trace));
    assert.deepEqual([...contexts], ['mine']);
    await engine.unlock([NAME], lock.value, lock.since, DEFAULTS, false);
  });
});
