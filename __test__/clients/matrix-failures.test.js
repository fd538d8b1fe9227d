'use strict';

/**
 * Every client that an app may pass, when things fail: a master behind sentinels, a server that answers
 * nothing, a client that answers nonsense.
 */

const assert = require('node:assert/strict');
const { before, describe, test } = require('node:test');

const Redlock = require('../..');
const { CLIENTS, profile, missing } = require('../support/client-table');
const { startGroup } = require('../support/server-kinds');
const { namesLike, promoted } = require('../support/redlock');
const { rejection } = require('../support/rejection');
const { startServers } = require('../support/servers');
const { makeTable } = require('../support/stubs');
const { endOfSuite } = require('../support/suite');
const { until } = require('../support/until');

const TTL = 60_000;
/** Where the deadline is waited for. */
const SHORT = { deadlineFloor: 300, deadlineCeiling: 300 };
/** Where a busy machine must not decide a vote, and what is taken back may be waited for. */
const LONG = { deadlineFloor: 10_000, deadlineCeiling: 300 };
const MEDIUM = { deadlineFloor: 1000, deadlineCeiling: 1000 };
/** What decides in time, but on a very busy machine. */
const SOON = 20_000;

const makeName = namesLike('failing ');

/** Who is asked by which way at one kind of server. */
function ways(kind) {
  return CLIENTS.filter(({ at }) => kind in at).flatMap((row) => {
    const it = profile(row, kind);
    const skip = missing(row);
    const bridged = { title: `${row.title}, through the client`, connections: 'bridge', it, skip };
    const native = { title: `${row.title}, over a connection of our own`, connections: 'auto', it, skip };
    return it.isPromotable ? [bridged, native] : [bridged];
  });
}

/**
 * A Redlock on clients of one kind, which has locked something already.
 *
 * @param {{after: (callback: () => Promise<unknown>) => void}} t
 */
async function open(t, { it, connections }, places, options) {
  const made = await Promise.all(places.map((place) => it.make(place)));
  const clients = made.map(({ client }) => client);
  const redlock = new Redlock(clients, { retryCount: 0, connections, ...options });
  t.after(async () => {
    await redlock.quit().catch(() => {});
    for (const one of made) await one.end?.();
  });
  if (connections === 'auto') await promoted(redlock);
  else await locked(redlock).then((lock) => lock.unlock());
  return redlock;
}

/** A lock that all instances have granted, once they do. */
function locked(redlock) {
  const wholly = async () => {
    const lock = await redlock.lock(makeName(), TTL);
    const states = redlock.connections.map(({ state }) => state);
    if (states.every((state) => state === 'ready')) return lock;
    await lock.unlock();
    return undefined;
  };
  return until(wholly, { timeout: SOON, what: 'the first lock' });
}

describe('when the master behind sentinels is lost', { timeout: 100_000 }, () => {
  const suite = endOfSuite();
  const all = ways('sentinel').map((way) => ({ ...way, name: makeName() }));
  let master;
  let replica;
  before(async () => {
    const group = await startGroup(suite, 1);
    [master, replica] = group.servers;
    for (const way of all) {
      if (way.skip) continue;
      way.redlock = await open(suite, way, [group], MEDIUM);
      way.other = await open(suite, way, [group], MEDIUM);
      way.lock = await until(() => way.redlock.lock(way.name, TTL));
    }
    const isCopied = async ({ it, name, lock }) =>
      !lock || (await valueOn(replica, it.own, name)) === lock.value;
    const areCopied = async () => (await Promise.all(all.map(isCopied))).every(Boolean);
    await until(areCopied, { timeout: SOON, what: 'the replica has all locks' });
    await master.kill();
  });

  for (const way of all) {
    const { title, it, skip, name } = way;
    test(`${title}: locks go on with the next one, and keep others out`, { skip }, async () => {
      const { redlock, other, lock } = way;
      const next = makeName();
      const held = await until(() => redlock.lock(next, TTL), { timeout: 60_000, what: 'a lock is granted' });
      assert.equal(await valueOn(replica, it.own, next), held.value);
      // An attempt may still fail while the other client finds its way.
      for (const taken of [next, name]) {
        const refused = async () => {
          const error = await rejection(other.lock(taken, TTL));
          return error.code === 'ERR_REDLOCK_HELD';
        };
        await until(refused, { timeout: 60_000, what: `${taken} is refused` });
      }
      for (const one of [held, lock]) {
        const isGone = async () => {
          await one.unlock().catch(() => {});
          return (await valueOn(replica, it.own, one.resource[0])) === null;
        };
        await until(isGone, { timeout: SOON, what: 'the key is gone' });
      }
    });
  }
});

describe('when a server is frozen', () => {
  const suite = endOfSuite();
  let servers;
  let places;
  before(async () => {
    servers = await startServers(suite, 3);
    places = servers.map((server) => ({ host: server.host, port: server.port, servers: [server] }));
  });

  for (const way of ways('plain')) {
    const { title, it, skip } = way;
    describe(title, { skip }, () => {
      test('alone: the attempt fails in time, and leaves no key when it goes on', async (t) => {
        const [server] = servers;
        const redlock = await open(t, way, places.slice(0, 1), SHORT);
        t.after(() => server.resume());
        server.pause();
        const asked = performance.now();
        const error = await rejection(redlock.lock(makeName(), TTL));
        assert.ok(performance.now() - asked < SOON);
        assert.equal(error.code, 'ERR_REDLOCK_UNAVAILABLE');
        assert.equal(error.votes[0].vote, 'failed');
        server.resume();
        await runsOn(redlock, server, it.own);
        await isEmpty(server);
      });

      test('one of three: the lock is granted in time, and leaves no key when it goes on', async (t) => {
        const [frozen, ...rest] = servers;
        const redlock = await open(t, way, places, LONG);
        await Promise.all(servers.map(isEmpty));
        t.after(() => frozen.resume());
        frozen.pause();
        const name = makeName();
        const asked = performance.now();
        const lock = await redlock.lock(name, TTL);
        await lock.extend(2 * TTL);
        for (const server of rest) assert.equal(await valueOn(server, it.own, name), lock.value);
        // Whether it is told in time doesn't matter here: what is left is.
        await lock.unlock().catch(() => {});
        assert.ok(performance.now() - asked < SOON);
        frozen.resume();
        await runsOn(redlock, frozen, it.own);
        await Promise.all(servers.map(isEmpty));
      });
    });
  }
});

/** Waits until what is asked now reaches the server again: what waited before has been run then. */
async function runsOn(redlock, server, own) {
  const reaches = async () => {
    const name = makeName();
    const lock = await redlock.lock(name, TTL);
    const isThere = async () => (await valueOn(server, own, name)) === lock.value;
    const reached = await until(isThere, { timeout: 500 }).catch(() => false);
    await lock.unlock();
    return reached;
  };
  await until(reaches, { timeout: SOON, what: 'it is asked again' });
}

async function isEmpty(server) {
  const hasNone = async () => {
    const keyspace = Object.values(await server.info('keyspace')).filter((value) => /^keys=/.test(value));
    return keyspace.every((value) => value.startsWith('keys=0'));
  };
  await until(hasNone, { timeout: SOON, what: 'no key is left' });
}

function valueOn(server, { db = 0, prefix = '' }, name) {
  const script = "redis.call('SELECT', ARGV[1]) return redis.call('GET', KEYS[1])";
  return server.command('EVAL', script, 1, prefix + name, db);
}

/** What no script returns, by what it is called. */
const NONSENSE = {
  null: null,
  undefined: undefined,
  'a text': 'abc',
  'an empty text': '',
  'a list': [],
  'an object': {},
  'a fraction': 1.5,
  'no number': Number.NaN,
  infinity: Number.POSITIVE_INFINITY,
  true: true,
  bytes: Buffer.from([255, 0]),
  'more than a number': 2n ** 70n,
};

/** Thrown by careless code, and what is thrown by careful code. */
const THROWN = {
  'an Error': new Error('broken'),
  'an Error without a message': new Error(''),
  'a text': 'broken',
  'a number': 42,
  null: null,
  undefined: undefined,
  'a symbol': Symbol('broken'),
  'an object without a prototype': Object.create(null),
  'an object whose message is no text': { message: { text: 'broken' } },
  'an object that throws itself': new Proxy(
    {},
    {
      get() {
        throw new Error('hostile');
      },
      getPrototypeOf() {
        throw new Error('hostile');
      },
    },
  ),
};

describe('a client that answers nonsense', () => {
  const styles = {
    'with a promise': (answer) => ({ eval: async () => answer }),
    'by calling back': (answer) => ({ eval: (...args) => void setImmediate(args.at(-1), null, answer) }),
  };
  for (const [style, make] of Object.entries(styles)) {
    for (const [what, answer] of Object.entries(NONSENSE)) {
      test(`${what}, ${style}, votes for nothing`, async () => {
        const redlock = new Redlock([make(answer)], { retryCount: 0, ...LONG });
        const stale = new Redlock.Lock(redlock, ['a'], '0'.repeat(32), Date.now() + TTL);
        for (const attempt of [() => redlock.lock('a', TTL), () => stale.extend(TTL), () => stale.unlock()]) {
          const error = await rejection(attempt());
          assert.equal(error.code, 'ERR_REDLOCK_UNAVAILABLE');
          assert.equal(error.votes[0].vote, 'failed');
          assert.equal(error.votes[0].error.code, 'ERR_REDLOCK_UNEXPECTED');
        }
      });
    }
  }
});

describe('a client that fails', () => {
  for (const [what, thrown] of Object.entries(THROWN)) {
    const styles = {
      'throwing it': () => {
        throw thrown;
      },
      'rejecting with it': () => Promise.reject(thrown),
      // Without an error it is an answer.
      ...(thrown && { 'calling back with it': (...args) => void setImmediate(args.at(-1), thrown) }),
    };
    for (const [style, run] of Object.entries(styles)) {
      test(`with ${what}, ${style}, has failed with just that`, async () => {
        const redlock = new Redlock([{ eval: run }], { retryCount: 0, ...LONG });
        const error = await rejection(redlock.lock('a', TTL));
        assert.equal(error.code, 'ERR_REDLOCK_UNAVAILABLE');
        const [{ vote, error: reason }] = error.votes;
        assert.equal(vote, 'failed');
        if (what.startsWith('an Error')) assert.equal(reason, thrown);
        else assert.equal(reason.cause, thrown);
      });
    }
  }
});

describe('one broken client of three', () => {
  const broken = {
    'answers nothing': () => new Promise(() => {}),
    ...named('answers', NONSENSE, (answer) => async () => answer),
    ...named('throws', THROWN, (thrown) => () => {
      throw thrown;
    }),
    ...named('rejects with', THROWN, (thrown) => () => Promise.reject(thrown)),
    'calls back twice': (...args) => {
      args.at(-1)(new Error('first'));
      args.at(-1)(null, 1);
    },
    'calls back and throws': (...args) => {
      args.at(-1)(null, 0);
      throw new Error('after its answer');
    },
    'claims that it has locked, and has not': async () => 1,
    'claims to hold it already': async () => -1,
    'claims to have locked more than was asked': async () => 7,
  };

  for (const [what, run] of Object.entries(broken)) {
    for (const place of [0, 2]) {
      test(`${what}, at place ${place}: the others are left without a key`, async (t) => {
        const tables = [makeTable(), makeTable()];
        const clients = tables.map((table, index) => table.stub(['promises', 'callbacks'][index]));
        clients.splice(place, 0, { eval: run });
        const redlock = new Redlock(clients, { retryCount: 0, ...MEDIUM });
        t.after(() => redlock.quit());

        const lock = await until(() => redlock.lock('granted', TTL), { timeout: SOON });
        const isOnAll = () => tables.every((table) => table.command('GET', 'granted') === lock.value);
        await until(isOnAll, { timeout: SOON });
        await lock.unlock();
        await until(() => tables.every((table) => table.size === 0), { timeout: SOON });

        tables[0].command('SET', 'taken', 'by a stranger', 'PX', TTL);
        tables[1].command('SET', 'taken', 'by a stranger', 'PX', TTL);
        const error = await rejection(redlock.lock(['free', 'taken'], TTL));
        assert.equal(error.code, 'ERR_REDLOCK_HELD');
        await until(() => tables.every((table) => table.size === 1), { timeout: SOON });

        tables[0].command('SET', 'half', 'of a stranger', 'PX', TTL);
        if (!what.startsWith('claims')) {
          await rejection(redlock.lock('half', TTL));
          await until(() => tables[1].command('GET', 'half') === null, { timeout: SOON });
          assert.equal(tables[0].command('GET', 'half'), 'of a stranger');
        }
      });
    }
  }
});

function named(verb, values, make) {
  return Object.fromEntries(Object.entries(values).map(([what, value]) => [`${verb} ${what}`, make(value)]));
}
