'use strict';

/** What a server's user may do, no more and less than docs/servers.md says, and commands that aren't there. */

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { before, beforeEach, describe, test } = require('node:test');

const Redlock4 = require('redlock');

const Redlock = require('../..');
const { IOREDIS, NODE_REDIS, REDIS_3, GLIDE, makeClient } = require('../support/clients');
const { namesLike } = require('../support/redlock');
const { rejection } = require('../support/rejection');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');
const { until } = require('../support/until');

const TTL = 5000;
const PASSWORD = 'pw';
const DOCS = fs.readFileSync(path.join(__dirname, '../../docs/servers.md'), 'utf8');
const [, COMMANDS] = /^ACL SETUSER locker on >password ~locks:\* -@all (.*)$/m.exec(DOCS);
const LEAST = COMMANDS.split(' ').map((command) => command.slice('+'.length));

/** All that is of use. */
const [, MOST] = /^ACL SETUSER locker (on >password ~locks:\* ~\{locks:\* .*)$/m.exec(DOCS);

/** What a queue needs on top of it. */
const [, QUEUED] = /^\| (`Z[^|]*) \| `fair: true`, which needs/m.exec(DOCS);
const QUEUE = QUEUED.match(/Z[A-Z]+/g).map((command) => command.toLowerCase());

/** A name that is taken once. */
const fresh = namesLike('locks:');

const suite = endOfSuite();
/** @type {import('../../scripts/servers').RedisServer} */
let server;
before(async () => {
  const user = (name, commands) =>
    `${name} on >${PASSWORD} ~locks:* -@all ${commands.map((one) => `+${one}`).join(' ')}`;
  const without = LEAST.map((missing) =>
    user(
      `no-${missing}`,
      LEAST.filter((one) => one !== missing),
    ),
  );
  [server] = await startServers(suite, 1, {
    users: [
      ...[
        user('locker', LEAST),
        user('no-scripts', ['set', 'get', 'del']),
        user('old', ['set', 'get', 'del', 'eval', 'pexpire']),
        `${user('fair', [...LEAST, ...QUEUE])} ~{locks:*`,
        `${user('no-queue', LEAST)} ~{locks:*`,
        `all ${MOST.replace('>password', `>${PASSWORD}`)}`,
      ],
      ...without,
    ],
  });
});
beforeEach(() => server.command('FLUSHALL'));

/** @returns {Redlock} */
function openUrl(t, user, more = '') {
  const url = `redis://${user}:${PASSWORD}@${server.host}:${server.port}${more}`;
  return open(t, [url]);
}

function open(t, instances, options) {
  const redlock = new Redlock(instances, { retryCount: 0, ...options });
  t.after(() => redlock.quit());
  return redlock;
}

/** Everything there is for a lock. */
async function lockAll(redlock) {
  for (const names of [fresh(), [fresh(), fresh(), fresh()]]) {
    const lock = await redlock.lock(names, TTL);
    await lock.extend(2 * TTL);
    await lock.unlock();
  }
  const name = fresh();
  await redlock.using(name, TTL, async () => assert.equal((await redlock.inspect(name)).held, true));
}

async function isEmpty() {
  await until(async () => !(await server.keys()).length, { what: 'no key is left' });
}

/** How often a command was asked for, and how often it was refused by then. */
async function statOf(command) {
  const { [`cmdstat_${command}`]: stat = 'calls=0,rejected_calls=0' } = await server.info('commandstats');
  const numbers = Object.fromEntries(stat.split(',').map((one) => one.split('=')));
  return { calls: Number(numbers.calls), rejected: Number(numbers.rejected_calls) };
}

async function isOlderThan7() {
  const { redis_version: version } = await server.info('server');
  return Number.parseInt(version, 10) < 7;
}

describe("a user with the docs' least", () => {
  test('locks, extends, releases and inspects by URL', async (t) => {
    const redlock = openUrl(t, 'locker');
    await lockAll(redlock);
    await isEmpty();
    assert.equal(redlock.connections[0].state, 'ready');
  });

  test('waits in turn with a little more, and is told what is missing', async (t) => {
    const wait = async (redlock) => (await redlock.lock(fresh(), TTL, { fair: true })).unlock();
    await wait(openUrl(t, 'fair'));
    const error = await rejection(wait(openUrl(t, 'no-queue')));
    assert.equal(error.code, 'ERR_REDLOCK_UNAVAILABLE');
    assert.match(error.votes[0].error.message, /with fair: true also ZADD, ZRANK, ZRANGE and ZREM/);
  });

  test('does so through a client', async (t) => {
    const client = await makeClient(t, IOREDIS, server, {
      username: 'locker',
      password: PASSWORD,
      enableReadyCheck: false,
    });
    const redlock = open(t, [client]);
    await lockAll(redlock);
    await isEmpty();
    assert.match(String(redlock.connections[0].reasons), /INFO/);
  });
});

test('every command of the least is in the table, with what is lost without it', () => {
  for (const command of LEAST)
    assert.match(DOCS, new RegExp(`^\\|[^|]*\`${command.toUpperCase()}\`[^|]*\\|`, 'm'));
});

describe('without EVALSHA', () => {
  test('scripts are sent in full, and it is not tried again', async (t) => {
    const before = await statOf('evalsha');
    const redlock = openUrl(t, 'no-evalsha');
    for (let turn = 0; turn < 5; turn++) await lockAll(redlock);
    await isEmpty();
    const { rejected } = await statOf('evalsha');
    assert.ok(rejected - before.rejected <= 1, `${rejected - before.rejected} times`);
  });

  for (const library of [IOREDIS, NODE_REDIS, REDIS_3]) {
    test(`so it is through ${library.title}`, async (t) => {
      const before = await statOf('evalsha');
      const login =
        library === REDIS_3
          ? { user: 'no-evalsha', password: PASSWORD, no_ready_check: true }
          : { username: 'no-evalsha', password: PASSWORD, enableReadyCheck: false };
      const client = await makeClient(t, library, server, login);
      const redlock = open(t, [client], { connections: 'bridge' });
      for (let turn = 0; turn < 5; turn++) await lockAll(redlock);
      await isEmpty();
      const { rejected } = await statOf('evalsha');
      assert.equal(rejected - before.rejected, 1);
    });
  }
});

describe('where EVALSHA is renamed', () => {
  const ending = endOfSuite();
  /** @type {import('../../scripts/servers').RedisServer} */
  let renamed;
  /** What is optional is renamed there too; GLIDE can't do without it. @type {import('../../scripts/servers').RedisServer} */
  let taciturn;
  before(async () => {
    const start = (...names) =>
      startServers(ending, 1, { args: names.flatMap((name) => ['--rename-command', name, '']) });
    [[renamed], [taciturn]] = await Promise.all([start('EVALSHA'), start('EVALSHA', 'INFO', 'CLIENT')]);
  });

  test('scripts are sent in full, and what is optional is done without', async (t) => {
    const redlock = open(t, [`${taciturn.url}?clientName=me`]);
    await lockAll(redlock);
    assert.deepEqual(await taciturn.keys(), []);
  });

  for (const library of [IOREDIS, NODE_REDIS, REDIS_3, GLIDE]) {
    test(`so it is through ${library.title}`, { skip: 'skip' in library && library.skip }, async (t) => {
      const client = await makeClient(t, library, renamed);
      const redlock = open(t, [client], { connections: 'bridge' });
      await lockAll(redlock);
      assert.deepEqual(await renamed.keys(), []);
    });
  }
});

describe('what can only not be released is not granted', () => {
  for (const user of ['no-del', 'no-get', 'no-eval', 'no-scripts']) {
    for (const names of [['locks:one'], ['locks:one', 'locks:two']]) {
      test(`${user}: ${names}`, async (t) => {
        const { votes } = await rejection(openUrl(t, user).lock(names, TTL));
        const [{ error }] = votes;
        assert.equal(error.code, 'ERR_REDLOCK_REFUSED');
        assert.equal(error.reply, 'NOPERM');
        assert.match(error.message, /allow this user .*EVAL.*GET, DEL/);
        if (user === 'no-del') assert.match(error.message, /DEL \(allow|'del' command/);
        await isEmpty();
      });
    }
  }

  for (const library of [IOREDIS, NODE_REDIS]) {
    test(`nor through ${library.title}, where redlock 4 grants it`, async (t) => {
      const login = { username: 'no-del', password: PASSWORD, enableReadyCheck: false };
      const client = await makeClient(t, library, server, login);
      const { votes } = await rejection(open(t, [client]).lock('locks:one', TTL));
      assert.equal(votes[0].error.reply, 'NOPERM');
      await isEmpty();
      if (library !== IOREDIS) return;
      const original = new Redlock4([client], { retryCount: 0 });
      const lock = await original.lock('locks:one', TTL);
      await lock.unlock().catch(() => {});
      assert.deepEqual(await server.keys(), ['locks:one']);
    });
  }

  test('nor through a client that goes on as another user, who may not', async (t) => {
    const login = { username: 'locker', password: PASSWORD, enableReadyCheck: false };
    const client = await makeClient(t, IOREDIS, server, login);
    const redlock = open(t, [client], { connections: 'bridge' });
    await (await redlock.lock('locks:one', TTL)).unlock();
    client.options.username = 'no-del';
    client.disconnect(true);
    await until(() => client.status !== 'ready');
    await until(() => client.status === 'ready');
    const { votes } = await rejection(redlock.lock('locks:one', TTL));
    assert.equal(votes[0].error.reply, 'NOPERM');
    await isEmpty();
  });

  test("an unlockScript of the caller's may need less", async (t) => {
    const url = `redis://no-del:${PASSWORD}@${server.host}:${server.port}`;
    const unlockScript = () => "return redis.call('PEXPIRE', KEYS[1], 1)";
    const lock = await open(t, [url], { unlockScript }).lock(fresh(), TTL);
    await lock.unlock();
    await isEmpty();
  });

  test('a lock that another holds is held, whatever is allowed', async (t) => {
    const lock = await openUrl(t, 'locker').lock('locks:one', TTL);
    const error = await rejection(openUrl(t, 'no-del').lock('locks:one', TTL));
    assert.equal(error.code, 'ERR_REDLOCK_HELD');
    await lock.unlock();
  });
});

describe('what is lost without', () => {
  test('EXISTS: locks of several resources', async (t) => {
    const redlock = openUrl(t, 'no-exists');
    const lock = await redlock.lock(fresh(), TTL);
    await lock.extend(TTL);
    await lock.unlock();
    const { votes } = await rejection(redlock.lock([fresh(), fresh()], TTL));
    assert.equal(votes[0].error.reply, 'NOPERM');
    await isEmpty();
  });

  test('PEXPIRE: extensions', async (t) => {
    const lock = await openUrl(t, 'no-pexpire').lock(fresh(), TTL);
    const { votes } = await rejection(lock.extend(2 * TTL));
    assert.equal(votes[0].error.reply, 'NOPERM');
    await lock.unlock();
    await isEmpty();
  });

  test('PTTL: inspect, and no life is shortened all the same', async (t) => {
    const redlock = openUrl(t, 'no-pttl');
    const name = fresh();
    const lock = await redlock.lock(name, 10 * TTL);
    if (await isOlderThan7()) {
      await rejection(lock.extend(TTL));
    } else {
      await lock.extend(TTL);
      assert.ok((await server.command('PTTL', name)) > 8 * TTL);
      await lock.extend(20 * TTL);
      assert.ok((await server.command('PTTL', name)) > 15 * TTL);
    }
    const { instances } = await redlock.inspect(name);
    assert.equal(instances[0].error.reply, 'NOPERM');
    await lock.unlock();
  });
});

test("what redlock 3's scripts needed is enough for one resource", async (t) => {
  const redlock = openUrl(t, 'old');
  const lock = await redlock.lock(fresh(), TTL);
  if (!(await isOlderThan7())) await lock.extend(2 * TTL);
  await lock.unlock();
  await isEmpty();
});

test('who may all that the docs name lacks nothing', async (t) => {
  const redlock = openUrl(t, 'all', '?clientName=locker');
  await lockAll(redlock);
  const errors = [];
  redlock.on('clientError', (error) => errors.push(error.message));
  const name = fresh();
  const held = await redlock.lock(name, TTL, { fair: true });
  const waiting = redlock.lock(name, TTL, { fair: true, retryCount: -1, maxWait: TTL });
  await until(async () => /name=locker/.test(await server.command('CLIENT', 'LIST')));
  await held.unlock();
  await (await waiting).unlock();

  const other = openUrl(t, 'all');
  const kept = await other.lock(fresh(), TTL, { autoExtend: true });
  await until(async () => Number(/tracking_clients:(\d+)/.exec(await server.command('INFO'))[1]) > 0);
  assert.equal(other.connections[0].noWakeups, undefined);
  await kept.unlock();
  assert.deepEqual(errors, []);
});
