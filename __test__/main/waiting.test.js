'use strict';

/** Waiting for a lock: given up, for so long, not at all; and seeing who holds it. */

const assert = require('node:assert/strict');
const { getEventListeners } = require('node:events');
const { before, describe, test } = require('node:test');
const { setTimeout: sleep } = require('node:timers/promises');

const Redlock = require('../..');
const { IOREDIS, makeClient, watch } = require('../support/clients');
const { assertValue, namesLike, promoted, urlsOf, valuesAt } = require('../support/redlock');
const { startProxy } = require('../support/proxy');
const { rejection } = require('../support/rejection');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');
const { startCluster } = require('../support/topologies');
const { until } = require('../support/until');
const { within } = require('../support/within');

const HOUR = 3_600_000;

function open(t, servers, options) {
  const redlock = new Redlock(urlsOf(servers), options);
  t.after(() => redlock.quit());
  return redlock;
}

const newName = namesLike('waiting ');

async function isFree(servers, name) {
  return (await valuesAt(servers, name)).every((value) => value === null);
}

/** How often the servers were asked to lock something. */
async function requests(servers) {
  const counts = await Promise.all(
    servers.map(async (server) => {
      const stats = await server.info('commandstats');
      const asked = ['set', 'evalsha', 'eval'].map((name) => stats[`cmdstat_${name}`]);
      return asked.reduce((sum, found) => sum + Number(/calls=(\d+)/.exec(found ?? '')?.[1] ?? 0), 0);
    }),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

/** Locks of somebody else, until the test ends. */
async function hold(t, servers, name) {
  const other = open(t, servers);
  return other.lock(name, HOUR);
}

/** As a subclass that gives the values has it. */
class Own extends Redlock {}
Own.prototype._random = () => `own ${Math.random()}`;

const ENGINES = { 'values of the engine': Redlock, 'values of _random': Own };

let servers;

const suite = endOfSuite();
before(async () => {
  servers = await startServers(suite, 3);
});

test('the time that _random takes counts as time waited', async (t) => {
  class Slow extends Redlock {
    _random() {
      const end = performance.now() + 60;
      while (performance.now() < end);
      return `slow ${Math.random()}`;
    }
  }
  const redlock = new Slow(urlsOf(servers), { retryCount: 0 });
  t.after(() => redlock.quit());
  const name = newName();
  const error = await rejection(redlock.lock(name, HOUR, { maxWait: 50 }));
  assert.equal(error.code, 'ERR_REDLOCK_TIMEOUT');
  await until(() => isFree(servers, name));
});

for (const [values, Class] of Object.entries(ENGINES)) {
  const make = (t, instances, options) => {
    const redlock = new Class(urlsOf(instances), options);
    t.after(() => redlock.quit());
    return redlock;
  };
  const makeBehind = async (t, options) => {
    const proxies = await Promise.all(servers.map((server) => startProxy(t, server)));
    const redlock = make(t, proxies, options);
    await until(() => redlock.connections.every(({ state }) => state === 'ready'));
    // Each has carried one out, so that what is late is the answer, not the script.
    await (await redlock.lock(newName(), 5000)).unlock();
    return { redlock, proxies };
  };

  describe(`a signal, with ${values}`, () => {
    test('gives up the wait for what is held, with its own reason, at once', async (t) => {
      const name = newName();
      // By another process, so that it is asked for.
      await Promise.all(servers.map((server) => server.command('SET', name, 'of another', 'PX', HOUR)));
      const redlock = make(t, servers, { retryCount: -1, retryDelay: HOUR, retryJitter: 0 });
      const before = await requests(servers);
      const controller = new AbortController();
      const waiting = rejection(redlock.lock(name, 5000, { signal: controller.signal }));
      await until(async () => (await requests(servers)) > before);
      const reason = { its: 'own' };
      controller.abort(reason);
      assert.equal(await waiting, reason);
      assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
      await assertValue(servers, name, 'of another');
    });

    test('gives up within the tick of the call, and leaves nothing', async (t) => {
      const name = newName();
      const redlock = make(t, servers);
      const controller = new AbortController();
      const waiting = rejection(redlock.lock(name, HOUR, { signal: controller.signal }));
      const reason = new Error('at once');
      controller.abort(reason);
      assert.equal(await waiting, reason);
      await (await redlock.lock(newName(), 5000)).unlock();
      await until(() => isFree(servers, name));
      assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
    });

    test('gives up an attempt that is in flight at once, and what is granted late is released', async (t) => {
      const name = newName();
      const { redlock, proxies } = await makeBehind(t);
      for (const proxy of proxies) proxy.late(700);
      const controller = new AbortController();
      const waiting = rejection(redlock.lock(name, HOUR, { signal: controller.signal }));
      await until(async () => (await valuesAt(servers, name)).every(Boolean), { what: 'it was applied' });
      const replied = proxies.map((proxy) => proxy.replyBytes);
      const reason = new Error('in flight');
      controller.abort(reason);
      assert.equal(await waiting, reason);
      const later = proxies.map((proxy) => proxy.replyBytes);
      assert.deepEqual(later, replied, 'it does not wait for the answers');
      for (const proxy of proxies) proxy.pass();
      await until(() => isFree(servers, name));
      assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
    });

    test('that many wait with has one listener, and gives all of them up', async (t) => {
      const name = newName();
      const redlock = make(t, servers, { retryCount: -1, retryDelay: 20 });
      const held = await redlock.lock(name, HOUR);
      const warnings = [];
      const listener = (warning) => warnings.push(warning.name);
      process.on('warning', listener);
      t.after(() => process.off('warning', listener));
      const controller = new AbortController();
      const { signal } = controller;
      const waiting = Array.from({ length: 30 }, () => rejection(redlock.lock(name, 5000, { signal })));
      await rejection(redlock.lock(name, 5000, { signal, maxWait: 50 }));
      assert.equal(getEventListeners(signal, 'abort').length, 1);
      controller.abort();
      for (const error of await Promise.all(waiting)) assert.equal(error, signal.reason);
      assert.equal(getEventListeners(signal, 'abort').length, 0);
      await held.unlock();
      assert.deepEqual(warnings, []);
    });

    test('that is aborted already has nothing sent', async (t) => {
      const redlock = make(t, servers);
      const monitors = await Promise.all(servers.map((server) => watch(t, server)));
      const reason = { its: 'own' };
      const given = { signal: AbortSignal.abort(reason) };
      const name = newName();
      assert.equal(await rejection(redlock.lock(name, HOUR, given)), reason);
      assert.equal(await rejection(redlock.using(name, HOUR, given, assert.fail)), reason);
      // What was sent would have come before this.
      await (await redlock.lock('after', 5000)).unlock();
      for (const { seen } of monitors) {
        assert.deepEqual(
          (await seen()).filter(({ words }) => words.includes(`"${name}"`)),
          [],
        );
      }
    });

    test('is left alone once the lock is there, or was refused', async (t) => {
      const name = newName();
      const redlock = make(t, servers, { retryCount: 0 });
      const { signal } = new AbortController();
      const lock = await redlock.lock(name, 5000, { signal });
      assert.equal(getEventListeners(signal, 'abort').length, 0);
      assert.equal((await rejection(redlock.lock(name, 5000, { signal }))).code, 'ERR_REDLOCK_HELD');
      assert.equal(getEventListeners(signal, 'abort').length, 0);
      assert.equal(await redlock.lock(name, 5000, { signal, tryLock: true }), null);
      await lock.unlock();
    });
  });

  describe(`maxWait, with ${values}`, () => {
    test('ends the wait for what is held, and tells of the last votes', async (t) => {
      const name = newName();
      const held = await hold(t, servers, name);
      const redlock = make(t, servers, { retryCount: -1, retryDelay: 600, retryJitter: 0 });
      const asked = performance.now();
      // It ends between two attempts, and nothing else ends it.
      const error = await within(10_000, rejection(redlock.lock(name, 5000, { maxWait: 1000 })), 'the error');
      const waited = performance.now() - asked;
      assert.ok(waited >= 999, `${waited} ms`);
      assert.ok(error instanceof Redlock.LockError);
      assert.equal(error.code, 'ERR_REDLOCK_TIMEOUT');
      assert.match(error.message, /1000 ms/);
      assert.ok(error.attempts > 1, `${error.attempts} attempts`);
      assert.equal(error.votes.length, 3);
      assert.ok(error.votes.filter(({ vote }) => vote === 'held').length >= 2);
      await assertValue(servers, name, held.value);
      await held.unlock();
    });

    test('ends an attempt that is in flight, and what is granted late is released', async (t) => {
      const name = newName();
      const { redlock, proxies } = await makeBehind(t);
      for (const proxy of proxies) proxy.late(1000);
      const replied = proxies.map((proxy) => proxy.replyBytes);
      const asked = performance.now();
      const error = await rejection(redlock.lock(name, HOUR, { maxWait: 100 }));
      const waited = performance.now() - asked;
      const later = proxies.map((proxy) => proxy.replyBytes);
      assert.deepEqual(later, replied, 'it does not wait for the answers');
      assert.equal(error.code, 'ERR_REDLOCK_TIMEOUT');
      assert.ok(waited >= 99, `${waited} ms`);
      for (const proxy of proxies) proxy.pass();
      await until(() => isFree(servers, name));
    });

    test('does not matter to what is granted in time', async (t) => {
      const name = newName();
      const held = await hold(t, servers, name);
      const redlock = make(t, servers, { retryCount: -1, retryDelay: 10, retryJitter: 5 });
      const before = await requests(servers);
      const waiting = redlock.lock(name, 5000, { maxWait: HOUR });
      await until(async () => (await requests(servers)) > before);
      await held.unlock();
      const lock = await waiting;
      assert.equal(lock.held, true);
      await lock.unlock();
    });

    test('may be as long as there are numbers', async (t) => {
      const redlock = make(t, servers);
      for (const maxWait of [Number.MAX_SAFE_INTEGER, Number.MAX_VALUE]) {
        const lock = await redlock.lock(newName(), 5000, { maxWait, autoExtend: { maxHold: maxWait } });
        assert.equal(lock.held, true);
        await lock.unlock();
      }
    });

    test('of 0 does not wait', async (t) => {
      const name = newName();
      const held = await hold(t, servers, name);
      const redlock = make(t, servers, { retryCount: -1, retryDelay: HOUR, retryJitter: 0 });
      const error = await rejection(redlock.lock(name, 5000, { maxWait: 0 }));
      assert.equal(error.code, 'ERR_REDLOCK_TIMEOUT');
      await assertValue(servers, name, held.value);
      const free = newName();
      assert.equal((await rejection(redlock.lock(free, HOUR, { maxWait: 0 }))).code, 'ERR_REDLOCK_TIMEOUT');
      await until(() => isFree(servers, free));
      await held.unlock();
    });
  });

  for (const [what, tryIt] of /** @type {const} */ ([
    ['option tryLock', (redlock, name) => redlock.lock(name, 5000, { tryLock: true })],
    ['method tryLock', (redlock, name) => redlock.tryLock(name, 5000)],
    [
      'method tryLock with options',
      (redlock, name) => redlock.tryLock(name, 5000, { retryCount: 3, maxWait: HOUR, tryLock: false }),
    ],
    [
      'method tryLock with a callback',
      (redlock, name) =>
        new Promise((resolve, reject) => {
          redlock.tryLock(name, 5000, (error, lock) => (error ? reject(error) : resolve(lock)));
        }),
    ],
  ])) {
    describe(`the ${what}, with ${values}`, () => describeTrying(make, tryIt));
  }

  test(`the method tryLock hands its options on, with ${values}`, async (t) => {
    const name = newName();
    const redlock = make(t, servers);
    const controller = new AbortController();
    controller.abort();
    assert.equal(
      await rejection(redlock.tryLock(name, 5000, { signal: controller.signal })),
      controller.signal.reason,
    );
    const lock = await redlock.tryLock([name], 5000, { autoExtend: true });
    await assertValue(servers, name, lock.value);
    const { error, found } = await new Promise((resolve) => {
      redlock.tryLock(name, 5000, null, (error, found) => resolve({ error, found }));
    });
    assert.deepEqual([error, found], [null, null]);
    await lock.unlock();
  });
}

/**
 * @param {(t: any, servers: any[], options?: object) => Redlock} make
 * @param {(redlock: Redlock, name: string) => Promise<any>} tryIt
 */
function describeTrying(make, tryIt) {
  test('gives a lock, or null after one attempt', async (t) => {
    const name = newName();
    const redlock = make(t, servers, { retryCount: -1, retryDelay: HOUR });
    const lock = await tryIt(redlock, name);
    assert.ok(lock instanceof Redlock.Lock);
    assert.equal(lock.attempts, 1);
    const monitor = await watch(t, servers[0]);
    assert.equal(await tryIt(redlock, name), null);
    // The attempt, and what makes sure that nothing is left of it.
    const sent = (await monitor.seen()).filter(({ words }) => words.includes(`"${name}"`));
    assert.ok(sent.length <= 3, `${sent.length} requests`);
    assert.equal(await redlock.using(name, 5000, { tryLock: true }, assert.fail), null);
    await assertValue(servers, name, lock.value);
    await lock.unlock();
  });

  test('is rejected when nobody can say, after one attempt', async (t) => {
    const own = await startServers(t, 3);
    const redlock = make(t, own, { retryCount: -1, retryDelay: HOUR });
    await Promise.all(own.map((server) => server.kill()));
    const error = await rejection(tryIt(redlock, 'a'));
    assert.equal(error.code, 'ERR_REDLOCK_UNAVAILABLE');
    assert.equal(error.attempts, 1);
  });
}

describe('the same over promoted clients', () => {
  test('a signal, maxWait and tryLock', async (t) => {
    const name = newName();
    const clients = await Promise.all(servers.map((server) => makeClient(t, IOREDIS, server)));
    const redlock = new Redlock(clients, { retryCount: -1, retryDelay: 20, retryJitter: 5 });
    await promoted(redlock);
    const held = await hold(t, servers, name);
    assert.equal(await redlock.lock(name, 5000, { tryLock: true }), null);
    assert.equal((await rejection(redlock.lock(name, 5000, { maxWait: 60 }))).code, 'ERR_REDLOCK_TIMEOUT');
    const controller = new AbortController();
    const waiting = rejection(redlock.lock(name, 5000, { signal: controller.signal }));
    await sleep(30);
    controller.abort();
    assert.equal(await waiting, controller.signal.reason);
    await held.unlock();
    await until(() => isFree(servers, name));
    await redlock.quit();
  });
});

describe('what can not be wished for is refused at once, with nothing sent', () => {
  for (const [what, options, type] of [
    ['a maxHold below the ttl', { autoExtend: { maxHold: 999 } }, 'RangeError'],
    ['a maxHold that is no number', { autoExtend: { maxHold: '2000' } }, 'TypeError'],
    ['a threshold of the ttl', { autoExtend: { threshold: 1000 } }, 'RangeError'],
    ['a threshold of 0', { autoExtend: { threshold: 0 } }, 'RangeError'],
    ['a maxWait below 0', { maxWait: -1 }, 'RangeError'],
    ['a maxWait of NaN', { maxWait: Number.NaN }, 'RangeError'],
    ['a maxWait that is text', { maxWait: '5' }, 'TypeError'],
    ['a tryLock that is text', { tryLock: 'yes' }, 'TypeError'],
    ['a signal that is an object', { signal: {} }, 'TypeError'],
    ['a signal that is null', { signal: null }, 'TypeError'],
    ['a controller for its signal', { signal: new AbortController() }, 'TypeError'],
    ['an autoExtend of 5', { autoExtend: 5 }, 'TypeError'],
    ['an autoExtend of null', { autoExtend: null }, 'TypeError'],
  ]) {
    test(String(what), async (t) => {
      const redlock = open(t, servers);
      const name = newName();
      const [option] = Object.keys(options);
      for (const asked of [
        redlock.lock(name, 1000, options),
        redlock.tryLock(name, 1000, options),
        redlock.using(name, 1000, options, assert.fail),
      ]) {
        const error = await rejection(asked);
        assert.equal(error.name, type);
        assert.equal(error.code, 'ERR_REDLOCK_INVALID_OPTIONS');
        const [inner] = Object.keys(options[option] ?? {});
        assert.ok(
          error.message.includes(option === 'autoExtend' ? (inner ?? option) : option),
          error.message,
        );
      }
      await assertValue(servers, name, null);
    });
  }

  for (const [what, routine] of Object.entries({ nothing: undefined, text: 'x', null: null, object: {} })) {
    test(`a routine that is ${what}`, async (t) => {
      const redlock = open(t, servers);
      const name = newName();
      for (const asked of [redlock.using(name, 1000, {}, routine), redlock.using(name, 1000, routine)]) {
        const error = await rejection(asked);
        assert.equal(error.name, 'TypeError');
        assert.equal(error.code, 'ERR_REDLOCK_INVALID_ROUTINE');
      }
      await assertValue(servers, name, null);
    });
  }

  test('so that the servers have not been asked', async (t) => {
    const redlock = open(t, servers);
    const monitor = await watch(t, servers[0]);
    const name = newName();
    await rejection(redlock.lock(name, 1000, { maxWait: -1 }));
    await rejection(redlock.using(name, 1000, undefined));
    // What was sent would have come before this.
    await (await redlock.lock('after', 5000)).unlock();
    const seen = await monitor.seen();
    assert.ok(!seen.some(({ words }) => words.includes(`"${name}"`)));
  });
});

describe('inspect', () => {
  /** Every way to three servers, and what to quit. */
  const WAYS = {
    URLs: async (t) => open(t, servers),
    'bridged clients': async (t) => {
      const clients = await Promise.all(servers.map((server) => makeClient(t, IOREDIS, server)));
      const instances = clients.map((client) => ({ client, mode: 'bridge' }));
      const redlock = new Redlock(instances);
      t.after(() => redlock.quit());
      assert.ok(redlock.connections.every(({ mode }) => mode === 'bridge'));
      return redlock;
    },
    'promoted clients': async (t) => {
      const clients = await Promise.all(servers.map((server) => makeClient(t, IOREDIS, server)));
      const redlock = new Redlock(clients);
      t.after(() => redlock.quit());
      await promoted(redlock);
      return redlock;
    },
    memory: async (t) => {
      const redlock = new Redlock(['memory://inspect-1', 'memory://inspect-2', 'memory://inspect-3']);
      t.after(() => redlock.quit());
      return redlock;
    },
    'a cluster': async (t) => {
      const [{ host, port }] = await startCluster(t);
      const redlock = new Redlock([{ cluster: [{ host, port }] }]);
      t.after(() => redlock.quit());
      return redlock;
    },
  };

  for (const [way, openBy] of Object.entries(WAYS)) {
    test(`tells over ${way} what is held, by whom and for how long, and what is free`, async (t) => {
      const redlock = await openBy(t);
      const name = newName();
      const free = await redlock.inspect(name);
      assert.deepEqual(
        [free.resource, free.held, free.value, free.remaining],
        [name, false, undefined, undefined],
      );
      const lock = await redlock.lock(name, 60_000);
      // A minority may be late.
      const found = await until(async () => {
        const seen = await redlock.inspect(name);
        return seen.instances.every(({ held }) => held) && seen;
      });
      assert.deepEqual([found.held, found.value], [true, lock.value]);
      assert.ok(found.remaining <= 60_000 && found.remaining > 30_000, String(found.remaining));
      assert.deepEqual(
        found.instances.map(({ address, held, value }) => ({ address, held, value })),
        redlock.connections.map(({ address }) => ({ address, held: true, value: lock.value })),
      );
      await lock.unlock();
      assert.equal((await redlock.inspect(name)).held, false);
    });

    if (way === 'memory' || way === 'a cluster') continue;
    test(`tells over ${way} of what nobody knows: split votes, no ttl, another type`, async (t) => {
      const redlock = await openBy(t);
      const name = newName();
      const [first, second, third] = servers;
      await first.command('SET', name, 'x', 'PX', HOUR);
      await second.command('SET', name, 'y', 'PX', HOUR);
      const split = await redlock.inspect(name);
      assert.deepEqual([split.held, split.value, split.remaining], [undefined, undefined, undefined]);
      assert.deepEqual(
        split.instances.map(({ held, value }) => [held, value]),
        [
          [true, 'x'],
          [true, 'y'],
          [false, undefined],
        ],
      );

      for (const server of [first, second]) await server.command('SET', name, 'z');
      const endless = await redlock.inspect(name);
      assert.deepEqual(
        [endless.held, endless.value, endless.remaining],
        [true, 'z', Number.POSITIVE_INFINITY],
      );

      await third.command('SADD', name, 'member');
      const mixed = await redlock.inspect(name);
      assert.deepEqual([mixed.held, mixed.value], [true, 'z']);
      assert.equal(mixed.instances[2].held, undefined);
      assert.equal(mixed.instances[2].error?.reply, 'WRONGTYPE');
      await Promise.all(servers.map((server) => server.command('DEL', name)));
    });
  }

  test('goes by the majority when one is down, and by nobody when all are', async (t) => {
    const own = await startServers(t, 3);
    const redlock = open(t, own, { retryCount: 0 });
    const lock = await redlock.lock('a', HOUR);
    await until(async () => (await valuesAt(own, 'a')).every(Boolean));
    await own[0].kill();
    const one = await redlock.inspect('a');
    assert.deepEqual([one.held, one.value], [true, lock.value]);
    assert.equal(one.instances[0].held, undefined);
    assert.ok(one.instances[0].error instanceof Redlock.InstanceError);
    await Promise.all(own.map((server) => server.kill()));
    const none = await redlock.inspect('a');
    assert.deepEqual([none.held, none.value, none.remaining], [undefined, undefined, undefined]);
    assert.equal(none.instances.length, 3);
    for (const { held, error } of none.instances) {
      assert.equal(held, undefined);
      assert.ok(error instanceof Redlock.InstanceError);
    }
  });

  test('is refused what is not one name', async (t) => {
    const redlock = open(t, servers);
    for (const resource of [undefined, 5, '', [], ['a', 'b']]) {
      assert.equal((await rejection(redlock.inspect(resource))).code, 'ERR_REDLOCK_INVALID_RESOURCE');
    }
  });
});
