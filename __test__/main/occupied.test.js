'use strict';

/** A name that is "held" for good, since another application keeps its own data under it. */

const assert = require('node:assert/strict');
const { before, describe, test } = require('node:test');

const Original = require('redlock');
const Redlock = require('../..');
const { IOREDIS, makeClient } = require('../support/clients');
const { namesLike } = require('../support/redlock');
const { rejection } = require('../support/rejection');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');
const { within } = require('../support/within');

let servers;
const newName = namesLike('occupied ');

/** Each way to the servers. */
const ROUTES = {
  URLs: (_t, options) =>
    new Redlock(
      servers.map(({ url }) => url),
      options,
    ),
  'clients alone': async (t, options) => {
    const clients = await Promise.all(servers.map((server) => makeClient(t, IOREDIS, server)));
    return new Redlock(clients, { ...options, connections: 'bridge' });
  },
};

const OTHER_TYPE =
  /its key holds data of another type than a lock's, as a hash or a list, so that another application uses/;
const ENDLESS = /its key holds a value that never expires, so that another application uses this name/;
const STRANGE = /its key holds a value that is no lock's, so that another application uses this name/;

/** What may be there, and what is said of it. */
const DATA = {
  'a hash': [['HSET', 'secret', 'secret'], OTHER_TYPE],
  'a list': [['RPUSH', 'secret'], OTHER_TYPE],
  'a counter': [['SET', '12'], ENDLESS],
  'a document in a cache': [['SET', '{"secret":1}', 'PX', '60000'], STRANGE],
  'nothing but its name': [['SET', '', 'PX', '60000'], STRANGE],
};

/** As lockers of all kinds have them. */
const VALUES = {
  'redlock’s': 'b0f2ad5a4c1b3d9ea1c1e8f0b6a5d4c3',
  'a UUID': '0b6a5d4c-3e8f-4c1b-9ea1-c1e8f0b6a5d4',
  base64: 'm5eZ1+/p0cGQfVWmXq0fQw==',
  'a host’s and a task’s': 'worker-3.eu:4711/refresh#2',
};

describe('a name under which there are other data than a lock', () => {
  const suite = endOfSuite();
  before(async () => {
    servers = await startServers(suite, 3);
  });

  const put = (name, [command, ...rest]) =>
    Promise.all(servers.map((server) => server.command(command, name, ...rest)));
  const valuesAt = (name) => Promise.all(servers.map((server) => server.command('TYPE', name)));

  for (const [route, open] of Object.entries(ROUTES)) {
    for (const [what, [command, message]] of Object.entries(DATA)) {
      test(`${what}: the error says so, and nothing of what it is (${route})`, async (t) => {
        const redlock = await open(t, { retryCount: 1, retryDelay: 1, retryJitter: 0 });
        t.after(() => redlock.quit());
        const name = newName();
        await put(name, command);
        const before = await valuesAt(name);
        const error = await rejection(redlock.lock(name, 5000));
        assert.equal(error.code, 'ERR_REDLOCK_HELD');
        assert.equal(error.message, `Exceeded 1 attempts to lock the resource "${name}".`);
        assert.match(error.cause.message, message);
        assert.match(
          error.cause.message,
          /give the lock another one, or a keyPrefix: \d of 3 instances said so/,
        );
        assert.doesNotMatch(`${error.cause.message} ${JSON.stringify(error)}`, /secret/);
        assert.deepEqual(await valuesAt(name), before);
      });
    }

    for (const [whose, value] of Object.entries(VALUES)) {
      test(`not of a lock whose value is ${whose} (${route})`, async (t) => {
        const redlock = await open(t, { retryCount: 1, retryDelay: 1 });
        t.after(() => redlock.quit());
        const name = newName();
        await put(name, ['SET', value, 'PX', '60000']);
        const error = await rejection(redlock.lock(name, 5000));
        assert.match(error.cause.message, /is held by another: \d of 3 instances said so/);
      });
    }
  }

  test('redlock 4 says nothing of it', async (t) => {
    const clients = await Promise.all(servers.map((server) => makeClient(t, IOREDIS, server)));
    const name = newName();
    await put(name, DATA['a hash'][0]);
    const error = await rejection(new Original(clients, { retryCount: 0 }).lock(name, 5000));
    assert.equal(error.message, `Exceeded 0 attempts to lock the resource "${name}".`);
  });

  test('one attempt costs no more than its clean-up: a look comes in the place of that', async (t) => {
    const redlock = ROUTES.URLs(t, { retryCount: 0 });
    t.after(() => redlock.quit());
    const [hash, text] = [newName(), newName()];
    await put(hash, DATA['a hash'][0]);
    await put(text, DATA['a counter'][0]);
    const calls = async () => {
      const all = await Promise.all(servers.map((server) => server.info('commandstats')));
      return all.reduce(
        (sum, stats) => sum + callsOf(stats.cmdstat_evalsha) + callsOf(stats.cmdstat_eval),
        0,
      );
    };
    const callsOf = (stat) => Number(/calls=(\d+)/.exec(stat ?? '')?.[1] ?? 0);
    // All scripts are known from here on.
    for (const names of [newName(), [newName(), newName()]]) await (await redlock.lock(names, 5000)).unlock();
    await redlock.inspect(hash);
    const before = await calls();
    assert.match((await rejection(redlock.lock(hash, 5000))).cause.message, OTHER_TYPE);
    assert.match((await rejection(redlock.lock([newName(), hash], 5000))).cause.message, OTHER_TYPE);
    assert.match((await rejection(redlock.lock(text, 5000))).cause.message, /is held by another/);
    assert.equal(await redlock.lock(text, 5000, { tryLock: true }), null);
    // Of several names, the lock is a script too.
    const most = (4 + 1) * servers.length;
    const taken = (await calls()) - before;
    assert.ok(taken <= most, `${taken} scripts, not ${most} at most`);
  });

  test('a look that is not allowed changes nothing', async (t) => {
    const [server] = await startServers(t, 1);
    const redlock = new Redlock([server.url], { retryCount: 1, retryDelay: 1, retryJitter: 0 });
    t.after(() => redlock.quit());
    await server.command('SET', 'name', '1');
    await server.command('ACL', 'SETUSER', 'default', '-pttl');
    assert.match((await rejection(redlock.lock('name', 5000))).cause.message, /is held by another/);
  });

  test('a look that is not answered delays the error by 100 ms, whatever an unlock may take', async (t) => {
    let looks = 0;
    const client = {
      eval(_script, _count, ...args) {
        // Beside the name and a callback, it is asked with nothing.
        if (args.length > 2) return Promise.resolve(0);
        looks += 1;
        return new Promise(() => {});
      },
    };
    const options = { retryCount: 1, retryDelay: 1, retryJitter: 0, deadlineCeiling: 5000 };
    const redlock = new Redlock([client], options);
    t.after(() => redlock.quit());
    const error = await within(4500, rejection(redlock.lock('name', 5000)), 'the error');
    assert.match(error.cause.message, /is held by another/);
    assert.equal(looks, 1);
  });
});
