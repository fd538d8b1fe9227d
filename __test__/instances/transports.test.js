'use strict';

/**
 * The same behaviours whatever lies between: TCP, TLS with a client's certificate and an ACL user, a
 * unix socket, memory; with promises and callbacks; one resource and several; 1, 3 and 5 instances.
 */

const assert = require('node:assert/strict');
const { describe, before, beforeEach, test } = require('node:test');

const Redlock = require('../..');
const { makeCertificates } = require('../support/certificates');
const { rejection } = require('../support/rejection');
const { needsTls, startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');
const { until } = require('../support/until');

const MOST_INSTANCES = 5;
const INSTANCES = [1, 3, MOST_INSTANCES];
const TTL = 20_000;
const DB = 3;

/**
 * How instances are reached. `configure` gives what leads to one server, `prefix` and `db` are where
 * its keys then are; without servers there is nothing to look at.
 */
const TRANSPORTS = {
  TCP: {
    prefix: 'tcp {ü}:',
    db: DB,
    servers: (suite) => startServers(suite, MOST_INSTANCES),
    configure: ({ url }) => `${url}/${DB}?keyPrefix=${encodeURIComponent('tcp {ü}:')}&clientName=tcp`,
  },
  'TLS with a certificate and an ACL user': {
    options: needsTls,
    prefix: 'tls:',
    db: 0,
    async servers(suite) {
      const { server, ca } = await makeCertificates();
      return startServers(suite, MOST_INSTANCES, {
        tls: { ...server, ca, clientAuth: 'yes' },
        users: [`locker on >${PASSWORD} ~tls:* -@all ${COMMANDS}`, 'default off'],
      });
    },
    async configure({ host, port }) {
      const { ca, client } = await makeCertificates();
      const { cert, key } = client;
      const login = { username: 'locker', password: PASSWORD };
      return { host, port, ...login, keyPrefix: 'tls:', tls: { ca, cert, key } };
    },
  },
  'a unix socket': {
    options: () => ({ skip: process.platform === 'win32' ? 'there are none' : false }),
    prefix: 'unix:',
    db: DB,
    servers: (suite) => startServers(suite, MOST_INSTANCES),
    configure: ({ socket }) => ({ path: socket, db: DB, keyPrefix: 'unix:' }),
  },
  memory: {
    prefix: '',
    configure: (_server, index) => `memory://transport-${index}`,
  },
};

/** Needs to be escaped in a URL and in nothing else. */
const PASSWORD = 'p@ss:w/ord#1';
/** What an ACL user needs, and not one more. */
const COMMANDS = '+set +get +exists +del +pttl +pexpire +eval +evalsha';

/** How a method is called: each resolves or rejects with what came of it. */
const STYLES = {
  promises: (object, method, ...args) => object[method](...args),
  callbacks: (object, method, ...args) =>
    new Promise((resolve, reject) => {
      object[method](...args, (error, value) => (error ? reject(error) : resolve(value)));
    }),
};

/** No name is used twice, so that tests don't see each other's locks where there is no FLUSHALL. */
let used = 0;
const RESOURCES = {
  'one resource': () => `a-${used++}`,
  'an array of one': () => [`b-${used++}`],
  'several resources': () => Array.from({ length: 3 }, () => `c-${used++}`),
};

for (const [transport, { options, prefix, db, servers: start, configure }] of Object.entries(TRANSPORTS)) {
  describe(`over ${transport}`, options?.(), () => {
    const suite = endOfSuite();
    /** @type {import('../../scripts/servers').RedisServer[]} */
    let servers = [];
    /** @type {unknown[]} */
    let instances;
    before(async () => {
      if (start) servers = await start(suite);
      const indices = Array.from({ length: MOST_INSTANCES }, (_, index) => index);
      instances = await Promise.all(indices.map((index) => configure(servers[index], index)));
    });
    beforeEach(() => Promise.all(servers.map((server) => server.command('FLUSHALL'))));

    for (const count of INSTANCES) {
      describe(`with ${count} instance${count > 1 ? 's' : ''}`, () => {
        const ending = endOfSuite();
        /** @type {Redlock} */
        let redlock;
        /** @type {Redlock} */
        let other;
        before(() => {
          redlock = new Redlock(instances.slice(0, count), { retryCount: 0 });
          other = new Redlock(instances.slice(0, count), { retryCount: 0 });
          for (const one of [redlock, other]) ending.after(() => one.quit());
        });

        const quorum = () => servers.slice(0, count);
        const isFree = async (names) => {
          const lock = await other.lock(names, TTL).catch(({ code }) => {
            assert.equal(code, 'ERR_REDLOCK_HELD');
          });
          await lock?.unlock();
          return lock !== undefined;
        };
        /** One command for every name on every server. */
        const onAll = (command, names, ...args) => {
          const all = quorum().flatMap((server) => [names].flat().map((name) => ({ server, name })));
          return Promise.all(
            all.map(({ server, name }) => inDb(server, db, command, prefix + name, ...args)),
          );
        };

        for (const [style, call] of Object.entries(STYLES)) {
          for (const [what, makeNames] of Object.entries(RESOURCES)) {
            describe(`with ${style}, ${what}`, () => {
              test('a lock is what redlock 4 makes of it', async () => {
                const names = makeNames();
                const asked = Date.now();
                const lock = await call(redlock, 'lock', names, TTL);
                assert.ok(lock instanceof Redlock.Lock);
                assert.equal(lock.redlock, redlock);
                assert.deepEqual(lock.resource, [names].flat());
                assert.match(lock.value, /^[0-9a-f]{32}$/);
                assert.deepEqual([lock.attempts, lock.attemptsRemaining], [1, -1]);
                const drift = TTL / 100 + 2;
                assert.ok(lock.expiration >= asked + TTL - drift - 1, 'not too early');
                assert.ok(lock.expiration <= Date.now() + TTL - drift, 'not too late');
                await call(lock, 'unlock');
              });

              if (start) {
                test('it is stored as plain text, with its ttl, under the prefix and in the db', async () => {
                  const names = makeNames();
                  const lock = await call(redlock, 'lock', names, TTL);
                  // The last of them may still be on its way.
                  await until(async () => (await onAll('GET', names)).every((value) => value === lock.value));
                  for (const left of await onAll('PTTL', names)) assert.ok(left > TTL / 2 && left <= TTL);
                  for (const server of quorum()) {
                    const wanted = [names].flat().map((name) => prefix + name);
                    assert.deepEqual((await inDb(server, db, 'KEYS', '*')).sort(), wanted.sort());
                  }
                  await call(lock, 'unlock');
                });

                test('extending makes the keys live longer', async () => {
                  const names = makeNames();
                  const lock = await call(redlock, 'lock', names, TTL);
                  await call(lock, 'extend', 3 * TTL);
                  await until(async () => (await onAll('PTTL', names)).every((left) => left > 2 * TTL));
                  assert.deepEqual(new Set(await onAll('GET', names)), new Set([lock.value]));
                  await call(lock, 'unlock');
                });

                test('unlocking deletes the keys', async () => {
                  const names = makeNames();
                  const lock = await call(redlock, 'lock', names, TTL);
                  await call(lock, 'unlock');
                  await until(async () => (await onAll('EXISTS', names)).every((count) => count === 0));
                });

                test('a name that another locker holds stays with it', async () => {
                  const names = makeNames();
                  const last = [names].flat().at(-1);
                  await onAll('SET', last, 'of another locker', 'PX', TTL);
                  const error = await rejection(call(redlock, 'lock', names, TTL));
                  assert.equal(error.code, 'ERR_REDLOCK_HELD');
                  assert.equal(error.votes.length, count);
                  assert.deepEqual(new Set(await onAll('GET', last)), new Set(['of another locker']));
                  const others = [names].flat().filter((name) => name !== last);
                  await until(async () => (await onAll('EXISTS', others)).every((count) => count === 0));
                });
              }

              test('nobody else gets it', async () => {
                const names = makeNames();
                const lock = await call(redlock, 'lock', names, TTL);
                const error = await rejection(call(other, 'lock', names, TTL));
                assert.ok(error instanceof Redlock.LockError);
                assert.equal(error.message, `Exceeded 0 attempts to lock the resource "${names}".`);
                assert.equal(error.attempts, 1);
                assert.equal(error.code, 'ERR_REDLOCK_HELD');
                await call(lock, 'unlock');
                assert.ok(await isFree(names));
              });

              test('it is retried until it is free', async () => {
                const names = makeNames();
                const held = await call(redlock, 'lock', names, TTL);
                const options = { retryCount: -1, retryDelay: 2, retryJitter: 1 };
                const waiting = call(other, 'lock', names, TTL, options);
                await Promise.all([waiting, call(held, 'unlock')]);
                const lock = await waiting;
                assert.notEqual(lock.value, held.value);
                assert.ok(!(await isFree(names)));
                await call(lock, 'unlock');
              });

              test('extending gives the same object, valid for longer', async () => {
                const names = makeNames();
                const lock = await call(redlock, 'lock', names, TTL);
                const { value, expiration } = lock;
                assert.equal(await call(lock, 'extend', 2 * TTL), lock);
                assert.equal(lock.value, value);
                assert.ok(lock.expiration > expiration + TTL / 2);
                assert.equal(await call(redlock, 'extend', lock, 3 * TTL), lock);
                assert.ok(!(await isFree(names)));
                await call(redlock, 'unlock', lock);
              });

              test('once it is unlocked it is neither unlocked nor extended again', async () => {
                const names = makeNames();
                const lock = await call(redlock, 'lock', names, TTL);
                await call(lock, 'unlock');
                assert.equal(lock.expiration, 0);
                const twice = await rejection(call(lock, 'unlock'));
                assert.ok(twice instanceof Redlock.LockError);
                assert.equal(twice.message, `Unable to fully release the lock on resource "${names}".`);
                const late = await rejection(call(lock, 'extend', TTL));
                assert.ok(late instanceof Redlock.LockError);
                const text = `Cannot extend lock on resource "${names}" because the lock has already expired.`;
                assert.equal(late.message, text);
              });

              test('of several names it is all or none', async () => {
                const names = [makeNames(), makeNames(), makeNames()].flat();
                const held = await call(redlock, 'lock', names[1], TTL);
                const error = await rejection(call(other, 'lock', names, TTL));
                assert.equal(error.code, 'ERR_REDLOCK_HELD');
                // A failed attempt has taken back what it got before it is told.
                for (const name of names) assert.equal(await isFree(name), name !== names[1]);
                await call(held, 'unlock');
                const all = await call(other, 'lock', names, TTL);
                for (const name of names) assert.ok(!(await isFree(name)));
                await call(all, 'unlock');
              });

              test('it is released from its stored values', async () => {
                const names = makeNames();
                const { resource, value, expiration } = await call(redlock, 'lock', names, TTL);
                const stored = JSON.parse(JSON.stringify({ resource, value, expiration }));
                const lock = new Redlock.Lock(other, stored.resource, stored.value, stored.expiration);
                await call(lock, 'extend', 2 * TTL);
                await call(lock, 'unlock');
                assert.ok(await isFree(names));
              });
            });
          }
        }
      });
    }
  });
}

/** A command in a database other than the one our own connection begins with. */
function inDb(server, db, command, ...args) {
  if (!db) return server.command(command, ...args);
  const script = "redis.call('SELECT', ARGV[1]) return redis.call(unpack(ARGV, 2))";
  return server.command('EVAL', script, 0, db, command, ...args);
}
