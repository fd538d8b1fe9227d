'use strict';

/**
 * Whoever stands between a caller's client and the wire is seen, so that the client is asked through them for good:
 * here they name the keys by the tenant of the moment. Beside ours, redlock 4 or another of ours has such a client.
 */

const assert = require('node:assert/strict');
const { describe, before, beforeEach, test } = require('node:test');

const Redlock = require('../..');
const { watch } = require('../support/clients');
const { promoted } = require('../support/redlock');
const { rejection } = require('../support/rejection');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');
const { until } = require('../support/until');

const TTL = 20_000;

let tenant = '';
/** @param {string} key */
const named = (key) => (tenant ? `${tenant}:${key}` : key);

/** The arguments of EVAL behind its text, in whatever shape, with the tenant's keys. */
function withTenant(given) {
  const [count, ...rest] = given.flat();
  return [count, ...rest.map((one, at) => (at < count ? named(one) : one))];
}

/** The words of a whole command. */
function wordsWithTenant(words, from = 0) {
  if (!/^eval/i.test(words[from])) return words;
  const [head, tail] = [words.slice(0, from + 2), words.slice(from + 2)];
  return [...head, ...withTenant(tail)];
}

/** ioredis' commands keep their arguments as text. */
function renameKeys(command) {
  if (/^eval/.test(command.name)) {
    for (let at = 0; at < Number(command.args[1]); at++) command.args[2 + at] = named(command.args[2 + at]);
  }
  return command;
}

/** As what replaced `eval` has to, where a callback is the last argument. */
function byEval(original) {
  return function replaced(text, ...rest) {
    const flat = [text, ...rest].flat();
    const callback = typeof flat.at(-1) === 'function' ? [flat.pop()] : [];
    return original.call(this, flat[0], ...withTenant(flat.slice(1)), ...callback);
  };
}

/** @param {string} name */
function ioredis(name) {
  const Redis = require(name);
  const make = (Class) => async (t, server) => {
    const client = new Class({ host: server.host, port: server.port });
    t.after(() => client.disconnect());
    await until(() => client.status === 'ready');
    return client;
  };
  const own = (change) => async (t, server) => {
    const client = await make(Redis)(t, server);
    change(client);
    return client;
  };
  return {
    original: true,
    plain: make(Redis),
    ways: {
      'a subclass with an eval and an evalsha': make(
        class extends Redis {
          eval(...args) {
            return byEval(super.eval).apply(this, args);
          }
          evalsha(...args) {
            return byEval(super.evalsha).apply(this, args);
          }
        },
      ),
      'a subclass with a sendCommand': make(
        class extends Redis {
          sendCommand(command, ...rest) {
            return super.sendCommand(renameKeys(command), ...rest);
          }
        },
      ),
      'a sendCommand of its own': own((client) => {
        const { sendCommand } = client;
        client.sendCommand = function send(command, ...rest) {
          return sendCommand.call(this, renameKeys(command), ...rest);
        };
      }),
      'a sendCommand that is a Proxy': own((client) => {
        client.sendCommand = new Proxy(client.sendCommand, {
          apply: (send, self, [command, ...rest]) =>
            Reflect.apply(send, self, [renameKeys(command), ...rest]),
        });
      }),
      'a keyPrefix that is a getter': own((client) => {
        Object.defineProperty(client.options, 'keyPrefix', { get: () => named('') });
      }),
      'a keyPrefix that is an object': own((client) => {
        client.options.keyPrefix = { toString: () => named('') };
      }),
      'a Proxy': async (t, server) =>
        new Proxy(await make(Redis)(t, server), {
          get(client, key) {
            const value = client[key];
            if (key === 'eval' || key === 'evalsha') return byEval(value).bind(client);
            return typeof value === 'function' ? value.bind(client) : value;
          },
        }),
      'a library that is patched': async (t, server) => {
        const client = await make(Redis)(t, server);
        const holder = prototypeWith(Redis, 'sendCommand');
        const { sendCommand } = holder;
        // Once for both clients.
        if (sendCommand.name === 'traced') return client;
        holder.sendCommand = function traced(command, ...rest) {
          return sendCommand.call(this, renameKeys(command), ...rest);
        };
        t.after(() => {
          holder.sendCommand = sendCommand;
        });
        return client;
      },
      'a transformer of arguments': async (t, server) => {
        for (const command of ['eval', 'evalsha']) {
          Redis.Command.setArgumentTransformer(command, (args) => [args[0], ...withTenant(args.slice(1))]);
        }
        t.after(() => {
          delete Redis.Command._transformer.argument.eval;
          delete Redis.Command._transformer.argument.evalsha;
        });
        return make(Redis)(t, server);
      },
      ...Object.fromEntries(
        ['initPromise', 'stringifyArguments'].map((method) => [
          `commands with another ${method}`,
          (t, server) => {
            const { prototype } = Redis.Command;
            const original = prototype[method];
            // Once for both clients.
            if (original.name !== 'patched') {
              prototype[method] = function patched(...args) {
                if (/^eval/.test(this.name) && !this.isNamed) renameKeys(this);
                this.isNamed = true;
                return original.apply(this, args);
              };
              t.after(() => {
                prototype[method] = original;
              });
            }
            return make(Redis)(t, server);
          },
        ]),
      ),
    },
    late: (client) => {
      const { sendCommand } = client;
      client.sendCommand = function send(command, ...rest) {
        return sendCommand.call(this, renameKeys(command), ...rest);
      };
    },
  };
}

function prototypeWith(Class, method) {
  let holder = Class.prototype;
  while (!Object.hasOwn(holder, method)) holder = Object.getPrototypeOf(holder);
  return holder;
}

/** @param {string} name */
function callbacks(name) {
  const { createClient, RedisClient } = require(name);
  const ready = async (t, client) => {
    client.on('error', () => {});
    t.after(() => client.end(true));
    await until(() => client.ready);
    return client;
  };
  const plain = (t, server) => ready(t, createClient({ host: server.host, port: server.port }));
  const internal = (client) => {
    const { internal_send_command: send } = client;
    client.internal_send_command = function traced(command) {
      if (/^eval/.test(command.command)) {
        command.args = [command.args[0], ...withTenant(command.args.slice(1))];
      }
      return send.call(this, command);
    };
  };
  class Tenants extends RedisClient {
    eval(...args) {
      return byEval(super.eval).apply(this, args);
    }
    evalsha(...args) {
      return byEval(super.evalsha).apply(this, args);
    }
  }
  return {
    original: true,
    plain,
    ways: {
      'a subclass with an eval and an evalsha': (t, server) =>
        ready(t, new Tenants({ host: server.host, port: server.port })),
      'an internal_send_command of its own': async (t, server) => {
        const client = await plain(t, server);
        internal(client);
        return client;
      },
      'a prefix that is a getter': async (t, server) => {
        const client = await plain(t, server);
        Object.defineProperty(client.options, 'prefix', { get: () => named('') || undefined });
        return client;
      },
      'a prefix that is an object': async (t, server) => {
        const client = await plain(t, server);
        client.options.prefix = { toString: () => named('') };
        return client;
      },
    },
    late: internal,
  };
}

/** @param {string} name */
function promises(name) {
  const { createClient } = require(name);
  const plain = async (t, server) => {
    const client = createClient({ socket: { host: server.host, port: server.port } });
    client.on('error', () => {});
    await client.connect();
    t.after(() => client.disconnect());
    return client;
  };
  const byKeys = (client) => {
    for (const method of ['eval', 'evalSha']) {
      const original = client[method];
      client[method] = function replaced(text, { keys, ...rest }) {
        return original.call(this, text, { ...rest, keys: keys.map(named) });
      };
    }
  };
  const own = (change) => async (t, server) => {
    const client = await plain(t, server);
    change(client);
    return client;
  };
  const isFour = name === 'redis-4';
  return {
    original: false,
    plain,
    ways: {
      'an eval and an evalSha of its own': own(byKeys),
      ...(!isFour && {
        'a sendCommand of its own': own((client) => {
          const self = client._self;
          const { sendCommand } = self;
          self.sendCommand = function send(words, ...rest) {
            return sendCommand.call(this, wordsWithTenant(words), ...rest);
          };
        }),
        'an _executeCommand of its own': own((client) => {
          const self = client._self;
          const { _executeCommand: execute } = self;
          self._executeCommand = function traced(command, parser, ...rest) {
            const renamed = Object.create(parser, {
              redisArgs: { get: () => wordsWithTenant(parser.redisArgs) },
            });
            return execute.call(this, command, renamed, ...rest);
          };
        }),
      }),
      'a Proxy': async (t, server) =>
        new Proxy(await plain(t, server), {
          get(client, key) {
            const value = client[key];
            if (key === 'eval' || key === 'evalSha') {
              return (text, { keys, ...rest }) =>
                value.call(client, text, { ...rest, keys: keys.map(named) });
            }
            return typeof value === 'function' ? value.bind(client) : value;
          },
        }),
    },
    late: byKeys,
  };
}

const LIBRARIES = {
  'ioredis 4': () => ioredis('ioredis-4'),
  'ioredis 5': () => ioredis('ioredis'),
  'ioredis 6': () => ioredis('ioredis-6'),
  iovalkey: () => ioredis('iovalkey'),
  'redis 2': () => callbacks('redis-2'),
  'redis 3': () => callbacks('redis-3'),
  'node-redis 4': () => promises('redis-4'),
  'node-redis 5': () => promises('redis-5'),
  'node-redis 6': () => promises('redis-6'),
};

describe('what stands between a client and the wire is never passed by', () => {
  const suite = endOfSuite();
  let server;
  before(async () => {
    [server] = await startServers(suite, 1);
  });
  beforeEach(() => server.command('FLUSHALL'));

  /** Locks under no tenant, as at an app's start: more often than it takes to be promoted. */
  async function start(redlock, monitor) {
    const { length } = await monitor.seen();
    for (let round = 0; round < 5; round++) {
      const lock = await redlock.lock(`boot ${round}`, TTL);
      // Where there is another connection, it has something to say soon.
      await until(async () => (await monitor.seen()).length > length, { timeout: 100 }).catch(() => {});
      await lock.unlock();
    }
  }

  async function excludes(mine, theirs) {
    tenant = 't1';
    try {
      for (const [one, other] of [
        [theirs, mine],
        [mine, theirs],
      ]) {
        const lock = await one.lock('invoice', TTL);
        assert.deepEqual(await server.keys(), ['t1:invoice']);
        const error = await rejection(other.lock('invoice', TTL));
        assert.equal(error.name, 'LockError');
        await lock.unlock();
      }
      assert.deepEqual(await server.keys(), []);
    } finally {
      tenant = '';
    }
  }

  for (const [library, find] of Object.entries(LIBRARIES)) {
    describe(library, () => {
      const { original, plain, ways, late } = find();

      /** Another app's, with redlock 4 where that knows the library. */
      const another = (t, client) => {
        if (original) return new (require('redlock'))([client], { retryCount: 0 });
        const redlock = new Redlock([client], { retryCount: 0, connections: 'bridge' });
        t.after(() => redlock.quit());
        return redlock;
      };

      for (const [way, make] of Object.entries(ways)) {
        test(`${way}: whoever holds is seen by both`, async (t) => {
          const [one, two] = [await make(t, server), await make(t, server)];
          const redlock = new Redlock([one], { retryCount: 0 });
          t.after(() => redlock.quit());
          await start(redlock, await watch(t, server));
          await excludes(redlock, another(t, two));
          const [{ mode, reasons }] = redlock.connections;
          assert.equal(mode, 'bridge');
          assert.match(reasons[0], /was replaced|is a getter|is an object|a transformer/);
        });
      }

      test('put there once our own connection is used, it is seen at the next request', async (t) => {
        const [one, two] = [await plain(t, server), await plain(t, server)];
        const redlock = new Redlock([one], { retryCount: 0 });
        t.after(() => redlock.quit());
        await promoted(redlock);
        late(one);
        late(two);
        await excludes(redlock, another(t, two));
        assert.equal(redlock.connections[0].mode, 'bridge');
      });
    });
  }

  test('a subclass that replaces nothing gets a connection of our own', async (t) => {
    class Service extends require('ioredis') {
      hello() {
        return 'hello';
      }
    }
    const client = new Service({ host: server.host, port: server.port });
    t.after(() => client.disconnect());
    const redlock = new Redlock([client], { retryCount: 0 });
    t.after(() => redlock.quit());
    await promoted(redlock);
  });
});
