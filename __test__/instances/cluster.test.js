'use strict';

/** A cluster as one member of the quorum: slots, redirects, lost nodes. */

const assert = require('node:assert/strict');
const { describe, before, beforeEach, test } = require('node:test');
const { inspect } = require('node:util');

const Redlock = require('../..');
const { makeCertificates } = require('../support/certificates');
const { rejection } = require('../support/rejection');
const { needsTls, startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');
const { slotsOf, startCluster } = require('../support/topologies');
const { until } = require('../support/until');
const { within } = require('../support/within');

const TTL = 20_000;
const MASTERS = 3;
const PASSWORD = 'p@ss:w/ord#1';

/** @param {import('../../scripts/servers').RedisServer[]} servers */
const nodesOf = (servers) => servers.map(({ host, port }) => ({ host, port }));

function open(t, instance, options = {}) {
  const instances = Array.isArray(instance) ? instance : [instance];
  const redlock = new Redlock(instances, { retryCount: 0, ...options });
  t.after(() => redlock.quit());
  return redlock;
}

/** The place of the master that has a key. */
async function placeOf(servers, key) {
  const slot = await servers[0].command('CLUSTER', 'KEYSLOT', key);
  const isIn = (_, index) => {
    const [first, last] = slotsOf(index, MASTERS);
    return slot >= first && slot <= last;
  };
  return { slot, place: servers.slice(0, MASTERS).findIndex(isIn) };
}

/** A name whose key the master at `place` has, another one each time. */
let used = 0;
async function nameAt(servers, place) {
  for (;;) {
    const name = `name-${used++}`;
    if ((await placeOf(servers, name)).place === place) return name;
  }
}

/** Whether somebody else could lock it; if so it is unlocked again. */
async function isFree(redlock, names) {
  const lock = await redlock.lock(names, TTL).catch((error) => {
    assert.equal(error.code, 'ERR_REDLOCK_HELD', error.cause?.message);
  });
  await lock?.unlock();
  return lock !== undefined;
}

describe('a cluster', () => {
  const suite = endOfSuite();
  /** @type {import('../../scripts/servers').RedisServer[]} */
  let servers;
  before(async () => {
    servers = await startCluster(suite, MASTERS);
  });
  beforeEach(() => Promise.all(servers.map((server) => server.command('FLUSHALL'))));

  const keys = async () => (await Promise.all(servers.map((server) => server.keys()))).flat().sort();

  for (const [what, configure] of Object.entries({
    'its nodes': (nodes) => ({ cluster: nodes }),
    'one of its nodes': ([node]) => ({ cluster: [node] }),
    'the ports of its nodes': (nodes) => ({ cluster: nodes.map(({ port }) => port) }),
    'their hosts and ports': (nodes) => ({ cluster: nodes.map(({ host, port }) => `${host}:${port}`) }),
    'their URLs': (nodes) => ({ cluster: nodes.map(({ host, port }) => `redis://${host}:${port}/0`) }),
    "node-redis' configuration": (nodes) => ({
      rootNodes: nodes.map(({ host, port }) => ({ url: `redis://${host}:${port}` })),
      defaults: { socket: { connectTimeout: 2000 } },
    }),
    'one node that lives among some that do not': ([node]) => ({
      cluster: [{ host: '127.0.0.1', port: 1 }, { host: '127.0.0.1', port: 2 }, node],
    }),
  })) {
    test(`is found by ${what}, and locks are held, extended and released on all of its nodes`, async (t) => {
      const config = configure(nodesOf(servers));
      const [redlock, other] = [open(t, config), open(t, { ...config, clientName: 'other' })];
      for (const [place, server] of servers.entries()) {
        const name = await nameAt(servers, place);
        const lock = await redlock.lock(name, TTL);
        assert.equal(await server.command('GET', name), lock.value);
        assert.equal(await isFree(other, name), false);
        await lock.extend(3 * TTL);
        assert.ok((await server.command('PTTL', name)) > 2 * TTL);
        await lock.unlock();
        assert.equal(await server.command('EXISTS', name), 0);
        assert.equal(await isFree(other, name), true);
      }
    });
  }

  test('has the queue of those who wait in turn in the slot of the name, and says where that can’t be', async (t) => {
    const config = { cluster: nodesOf(servers) };
    const redlock = open(t, config, { fair: true, retryCount: -1 });
    for (const name of [
      ...(await Promise.all([0, 1, 2].map((at) => nameAt(servers, at)))),
      '{tag}:a',
      'a{b',
    ]) {
      const held = await redlock.lock(name, TTL);
      const all = [0, 1].map(async () => (await redlock.lock(name, TTL)).unlock());
      await until(async () => (await keys()).filter((key) => key.includes(':queue:')).length === 2);
      await held.unlock();
      await Promise.all(all);
      await until(async () => !(await keys()).some((key) => key.includes(':queue:')));
    }
    const error = await rejection(redlock.lock('a}b', TTL));
    assert.equal(error.votes[0].error.code, 'ERR_REDLOCK_CROSS_SLOT');
    assert.match(error.votes[0].error.message, /the queue of "a}b" would be in another slot/);
  });

  test('is one member, with an address and a state', async (t) => {
    const redlock = open(t, { cluster: nodesOf(servers) });
    const address = `redis://${nodesOf(servers)
      .map(({ host, port }) => `${host}:${port}`)
      .join(',')}`;
    assert.deepEqual(redlock.servers, [address]);
    await until(() => redlock.connections[0].state === 'ready');
    assert.equal(redlock.connections.length, 1);
  });

  test('that is listed twice grants once, however it is listed, and the error says so', async (t) => {
    const [first, second] = nodesOf(servers);
    const redlock = open(t, [{ cluster: [first] }, { cluster: [first] }, { cluster: [second] }]);
    await until(() => redlock.connections.every(({ state }) => state === 'ready'));
    for (const names of ['twice', ['{twice}a', '{twice}b']]) {
      const error = await rejection(redlock.lock(names, TTL, { retryCount: 0 }));
      assert.equal(error.votes.filter(({ vote }) => vote === 'granted').length, 1);
      assert.match(error.cause.message, /list each server once/);
      await until(async () => (await keys()).length === 0);
    }
  });

  test('several resources are taken together if a tag puts them into one slot', async (t) => {
    const [redlock, other] = [open(t, { cluster: nodesOf(servers) }), open(t, { cluster: nodesOf(servers) })];
    const names = ['{order:1}:a', '{order:1}:b', 'other {order:1}'];
    const lock = await redlock.lock(names, TTL);
    assert.deepEqual(await keys(), [...names].sort());
    for (const name of names) assert.equal(await isFree(other, name), false);
    await lock.extend(2 * TTL);
    await lock.unlock();
    assert.deepEqual(await keys(), []);
  });

  test('several resources in different slots are refused at once, with what to do', async (t) => {
    const redlock = open(t, { cluster: nodesOf(servers) }, { retryCount: 100, retryDelay: 10_000 });
    const error = await within(5000, rejection(redlock.lock(['a', 'b'], TTL)), 'the error');
    assert.equal(error.code, 'ERR_REDLOCK_UNAVAILABLE');
    assert.equal(error.attempts, 1);
    assert.equal(error.votes[0].error.code, 'ERR_REDLOCK_CROSS_SLOT');
    assert.match(error.cause.message, /"a" and "b" are in different slots of the cluster/);
    assert.match(error.cause.message, /put the same \{tag\} in their names, as "\{order:1\}:a"/);
    assert.deepEqual(await keys(), []);
  });

  test('the other members of a quorum can do without it', async (t) => {
    const others = await startServers(t, 2);
    const redlock = open(t, [{ cluster: nodesOf(servers) }, ...others.map(({ url }) => url)]);
    const lock = await redlock.lock(['a', 'b'], TTL);
    await lock.unlock();
    const [one] = others;
    await one.kill();
    const error = await rejection(redlock.lock(['a', 'b'], TTL));
    assert.deepEqual(
      error.votes.map(({ vote }) => vote),
      ['failed', 'failed', 'granted'],
    );
    const single = await redlock.lock('a', TTL);
    await single.unlock();
  });

  test('a prefix stands before every name, and its tag counts for the slot', async (t) => {
    const plain = open(t, { cluster: nodesOf(servers), keyPrefix: 'app:' });
    const lock = await plain.lock('{x}a', TTL);
    assert.deepEqual(await keys(), ['app:{x}a']);
    await lock.unlock();
    const error = await rejection(plain.lock(['a', 'b'], TTL));
    assert.equal(error.votes[0].error.code, 'ERR_REDLOCK_CROSS_SLOT');

    const tagged = open(t, { cluster: nodesOf(servers), keyPrefix: '{app}:' });
    const all = await tagged.lock(['a', 'b', '{c}'], TTL);
    assert.deepEqual(await keys(), ['{app}:a', '{app}:b', '{app}:{c}']);
    await all.unlock();
    assert.deepEqual(await keys(), []);
  });

  test("scripts of the caller's run on the node that has the keys", async (t) => {
    const lockScript = (ours) => `redis.call('SET', KEYS[1] .. '!', ARGV[1])\n${ours}`;
    const redlock = open(t, { cluster: nodesOf(servers) }, { lockScript });
    const lock = await redlock.lock('{s}', TTL);
    assert.deepEqual(await keys(), ['{s}', '{s}!']);
    await lock.unlock();
  });

  test('a slot that has moved is followed, also by the locks that are held in it', async (t) => {
    const redlock = open(t, { cluster: nodesOf(servers) });
    const name = await nameAt(servers, 0);
    const held = await redlock.lock(`{${name}}held`, TTL);
    const move = await startMove(servers, name, 1);
    t.after(() => startMove(servers, name, 0, 1).then(({ finish }) => finish()));
    await move.finish();
    assert.equal(await isFree(redlock, `{${name}}held`), false);
    const lock = await redlock.lock([`{${name}}a`, `{${name}}b`], TTL);
    assert.equal(await servers[1].command('GET', `{${name}}a`), lock.value);
    await lock.extend(2 * TTL);
    await lock.unlock();
    await held.extend(2 * TTL);
    await held.unlock();
    assert.deepEqual(await keys(), []);
  });

  test('while a slot is being moved, each key is found where it is', async (t) => {
    const redlock = open(t, { cluster: nodesOf(servers) });
    const name = await nameAt(servers, 1);
    const [stays, goes] = [`{${name}}stays`, `{${name}}goes`];
    const [staying, going] = [await redlock.lock(stays, TTL), await redlock.lock(goes, TTL)];
    const move = await startMove(servers, name, 2, 1);
    t.after(() => startMove(servers, name, 1, 2).then(({ finish }) => finish()));
    await move.carry(goes);
    for (const held of [stays, goes]) assert.equal(await isFree(redlock, held), false);

    // What isn't there yet is made on the new node, by whatever command.
    const fresh = await redlock.lock(`{${name}}fresh`, TTL);
    assert.equal(await servers[2].command('CLUSTER', 'COUNTKEYSINSLOT', move.slot), 2);
    await servers[2].command('SCRIPT', 'FLUSH');
    await going.extend(2 * TTL);
    await fresh.extend(2 * TTL);
    for (const lock of [staying, going, fresh]) await lock.unlock();
    assert.deepEqual(await keys(), []);

    // Several keys are nowhere together; that is said, and passes.
    const several = [`{${name}}1`, `{${name}}2`];
    const error = await rejection(redlock.lock(several, TTL));
    assert.equal(error.votes[0].error.reply, 'TRYAGAIN');
    assert.match(error.cause.message, /being moved to another node of the cluster; try again/);
    await move.finish();
    const lock = await redlock.lock(several, TTL);
    await lock.unlock();
    assert.deepEqual(await keys(), []);
  });

  test('a cluster that is down votes so, and votes again once it is up', async (t) => {
    const redlock = open(t, { cluster: nodesOf(servers) });
    const name = await nameAt(servers, 0);
    const { slot } = await placeOf(servers, await nameAt(servers, 2));
    const held = await redlock.lock(name, TTL);
    const state = async (wanted) => {
      const says = async (server) => (await server.command('CLUSTER', 'INFO')).includes(`state:${wanted}\r`);
      await until(async () => (await Promise.all(servers.map(says))).every(Boolean), { timeout: 20_000 });
    };
    for (const server of servers) await server.command('CLUSTER', 'DELSLOTS', slot);
    t.after(() => servers[2].command('CLUSTER', 'ADDSLOTS', slot).catch(() => {}));
    await state('fail');
    const error = await rejection(redlock.lock(await nameAt(servers, 1), TTL));
    assert.equal(error.code, 'ERR_REDLOCK_UNAVAILABLE');
    assert.equal(error.votes[0].error.reply, 'CLUSTERDOWN');
    assert.match(error.cause.message, /it will vote again once they are back/);
    await rejection(held.unlock());
    for (const server of servers) await server.command('CLUSTER', 'ADDSLOTS', slot).catch(() => {});
    await servers[2].command('CLUSTER', 'SETSLOT', slot, 'NODE', await servers[2].command('CLUSTER', 'MYID'));
    await state('ok');
    await until(async () => (await servers[0].command('EXISTS', name)) === 0, {
      what: 'the release that it was owed is delivered',
    });
    const lock = await redlock.lock(name, TTL);
    await lock.unlock();
  });

  test('its connections are closed with their last user', async (t) => {
    const config = { cluster: nodesOf(servers), clientName: 'counted' };
    const count = async () => {
      const lists = await Promise.all(servers.map((server) => server.command('CLIENT', 'LIST')));
      return lists.join('').split('name=counted').length - 1;
    };
    const [one, other] = [open(t, config), open(t, config)];
    for (const redlock of [one, other]) await (await redlock.lock('a', TTL)).unlock();
    await until(async () => (await count()) === MASTERS, { what: 'there is one to each node' });
    await one.quit();
    assert.equal(await count(), MASTERS);
    await other.quit();
    await until(async () => (await count()) === 0, { what: 'all are closed' });
  });

  test('a server that is in no cluster says so', async (t) => {
    const [single] = await startServers(t, 1);
    const redlock = open(t, { cluster: nodesOf([single]) });
    const error = await rejection(redlock.lock('a', TTL));
    assert.match(error.cause.message, /cluster support disabled \(this server is not in a cluster/);
  });

  test('one of its nodes, listed by itself, says what to do', async (t) => {
    const redlock = open(t, servers[0].url);
    const error = await rejection(redlock.lock(await nameAt(servers, 1), TTL));
    assert.equal(error.votes[0].error.reply, 'MOVED');
    assert.match(error.cause.message, /this is one node of a cluster; list the cluster as \{cluster: \[/);
  });
});

test('names that mean nothing here are mapped to addresses that do', async (t) => {
  const args = [
    '--cluster-announce-hostname',
    'node.invalid',
    '--cluster-preferred-endpoint-type',
    'hostname',
  ];
  const [server] = await startCluster(t, 1, { server: { args } });
  const { host, port } = server;
  const natMap = { [`node.invalid:${port}`]: { host, port } };
  for (const config of [
    { cluster: [port], natMap },
    { rootNodes: [{ socket: { port } }], nodeAddressMap: natMap },
  ]) {
    const redlock = open(t, config);
    const lock = await redlock.lock('a', TTL);
    await lock.unlock();
  }
  const error = await rejection(open(t, { cluster: [port] }).lock('a', TTL));
  assert.equal(error.votes[0].vote, 'failed', 'nobody is there without the map');
});

test('a password that occurs in the address of a node does not keep it from being used', async (t) => {
  const servers = await startCluster(t, 1, { server: { requirepass: '127' } });
  const redlock = open(t, { cluster: nodesOf(servers), redisOptions: { password: '127' } });
  const lock = await redlock.lock('a', TTL);
  await lock.unlock();
});

test('a node that says that its name is the password has none that is shown', async (t) => {
  const args = [
    '--cluster-announce-hostname',
    'hunter2.invalid',
    '--cluster-preferred-endpoint-type',
    'hostname',
  ];
  const servers = await startCluster(t, 1, { server: { requirepass: 'hunter2', args } });
  const redlock = open(t, { cluster: nodesOf(servers), redisOptions: { password: 'hunter2' } });
  const events = [];
  redlock.on('connection', (event) => events.push(event));
  redlock.on('error', (error) => events.push(error));
  const error = await rejection(redlock.lock('a', TTL));
  assert.equal(error.votes[0].vote, 'failed');
  await servers[0].stop();
  await until(() => /the node /.test(redlock.connections[0].lastError?.message), { timeout: 10_000 });
  const shown = inspect([error, events, redlock.connections, redlock.servers], {
    depth: null,
    showHidden: true,
  });
  assert.ok(!shown.includes('hunter2'), shown);
});

describe('a cluster with TLS and an ACL user', needsTls(), () => {
  const suite = endOfSuite();
  let servers;
  let tls;
  before(async () => {
    const { server, client, ca } = await makeCertificates();
    tls = { ca, cert: client.cert, key: client.key };
    const commands = '+set +get +exists +del +pttl +pexpire +eval +evalsha';
    servers = await startCluster(suite, MASTERS, {
      server: {
        tls: { ...server, ca, clientAuth: 'yes', client },
        users: [
          `locker on >${PASSWORD} ~app:* -@all ${commands} +cluster|slots`,
          `blind on >${PASSWORD} ~app:* -@all ${commands}`,
          'default off',
        ],
      },
    });
  });

  test('is locked on all of its nodes', async (t) => {
    const login = { username: 'locker', password: PASSWORD };
    for (const config of [
      { cluster: nodesOf(servers), redisOptions: { tls, ...login }, keyPrefix: 'app:' },
      { rootNodes: servers.map(({ url }) => ({ url })), defaults: { tls, ...login }, keyPrefix: 'app:' },
    ]) {
      const redlock = open(t, config);
      for (const place of servers.keys()) {
        const tag = await nameAt(servers, place);
        const names = [`{${tag}}a`, `{${tag}}b`];
        const lock = await redlock.lock(names, TTL);
        await lock.extend(2 * TTL);
        await lock.unlock();
      }
    }
  });

  test('errors say what is missing and show no password', async (t) => {
    for (const [login, message] of [
      [{ username: 'blind', password: PASSWORD }, /NOPERM .*allow this user CLUSTER SLOTS/],
      [{ username: 'locker', password: 'hunter2' }, /WRONGPASS/],
      [{}, /NOAUTH/],
    ]) {
      const redlock = open(t, {
        cluster: nodesOf(servers),
        redisOptions: { tls, ...login },
        keyPrefix: 'app:',
      });
      const error = await rejection(redlock.lock('a', TTL));
      assert.match(error.cause.message, message);
      const shown = inspect([error, redlock.connections], { depth: null, showHidden: true });
      assert.ok(!shown.includes('hunter2') && !shown.includes(PASSWORD), shown);
    }
  });
});

describe('a cluster with replicas', () => {
  const suite = endOfSuite();
  let servers;
  before(async () => {
    servers = await startCluster(suite, MASTERS, { replicas: 1, nodeTimeout: 1000 });
  });

  test('outlives a master: nobody gets what is held, and what was released meanwhile goes', async (t) => {
    const redlock = open(t, { cluster: nodesOf(servers) });
    const other = open(t, { cluster: nodesOf(servers.slice(0, 1)) }, { retryCount: -1, retryDelay: 50 });
    const [held, released] = [await nameAt(servers, 1), await nameAt(servers, 1)];
    const [lock, gone] = [await redlock.lock(held, 3 * TTL), await redlock.lock(released, 3 * TTL)];
    assert.equal(await isFree(open(t, { cluster: nodesOf(servers.slice(0, 1)) }), held), false);
    const replica = servers[MASTERS + 1];
    const offsetOf = async (server, field) => (await server.info('replication'))[field];
    const written = await offsetOf(servers[1], 'master_repl_offset');
    await until(async () => Number(await offsetOf(replica, 'slave_repl_offset')) >= Number(written), {
      what: 'the replica has the locks',
    });

    await servers[1].kill();
    await until(() => redlock.connections[0].state === 'ready');
    const lost = await rejection(gone.unlock());
    assert.equal(lost.code, 'ERR_REDLOCK_UNAVAILABLE');
    const promoted = replica;
    const isMaster = async () => (await promoted.info('replication')).role === 'master';
    await until(isMaster, { timeout: 20_000, what: 'the replica is promoted' });
    const since = performance.now();
    const fresh = await other.lock(await nameAt(servers, 1), TTL);
    t.diagnostic(`locks again ${Math.round(performance.now() - since)} ms after the promotion`);
    await fresh.unlock();
    await until(async () => (await promoted.command('EXISTS', released)) === 0, {
      timeout: 10_000,
      what: 'the release is delivered to the new master',
    });
    assert.equal(await promoted.command('GET', held), lock.value);
    const refused = await rejection(other.lock(held, TTL, { retryCount: 0 }));
    assert.equal(refused.code, 'ERR_REDLOCK_HELD');
    await until(() => lock.extend(3 * TTL).catch(() => false), { what: 'its holder finds it' });
    await lock.unlock();
    assert.equal(await promoted.command('EXISTS', held), 0);
  });

  test('outlives a master that freezes', async (t) => {
    const redlock = open(
      t,
      { cluster: nodesOf(servers) },
      { retryCount: -1, retryDelay: 50, retryJitter: 10 },
    );
    const name = await nameAt(servers, 2);
    const held = await redlock.lock(name, 3 * TTL);
    assert.equal(await servers[2].command('WAIT', 1, 5000), 1);
    servers[2].pause();
    t.after(() => servers[2].resume());
    const promoted = servers[MASTERS + 2];
    const isMaster = async () => (await promoted.info('replication')).role === 'master';
    await until(isMaster, { timeout: 20_000, what: 'the replica is promoted' });
    const since = performance.now();
    const fresh = await redlock.lock(await nameAt(servers, 2), TTL);
    t.diagnostic(`locks again ${Math.round(performance.now() - since)} ms after the promotion`);
    await fresh.unlock();
    const refused = await rejection(redlock.lock(name, TTL, { retryCount: 0 }));
    assert.equal(refused.code, 'ERR_REDLOCK_HELD');
    await held.unlock();
    servers[2].resume();
    const isReplica = async () => (await servers[2].info('replication')).role === 'slave';
    await until(isReplica, { timeout: 20_000, what: 'the old master has learnt of it' });
    for (let place = 0; place < MASTERS; place++) {
      const lock = await redlock.lock(await nameAt(servers, place), TTL);
      await lock.unlock();
    }
  });
});

/**
 * Begins to move the slot of `key` from the master at `from` to the one at `to`.
 */
async function startMove(servers, key, to, from = 0) {
  const [source, target] = [servers[from], servers[to]];
  const { slot } = await placeOf(servers, key);
  const ids = await Promise.all([source, target].map((server) => server.command('CLUSTER', 'MYID')));
  await target.command('CLUSTER', 'SETSLOT', slot, 'IMPORTING', ids[0]);
  await source.command('CLUSTER', 'SETSLOT', slot, 'MIGRATING', ids[1]);
  const carry = (name) => source.command('MIGRATE', target.host, target.port, name, 0, 5000);
  const finish = async () => {
    for (const name of await source.command('CLUSTER', 'GETKEYSINSLOT', slot, 1000)) await carry(name);
    await target.command('CLUSTER', 'SETSLOT', slot, 'NODE', ids[1]);
    await source.command('CLUSTER', 'SETSLOT', slot, 'NODE', ids[1]);
  };
  return { slot, carry, finish };
}
