'use strict';

/** What somebody has put into `Object.prototype` is nobody's option, password or lock. */

const assert = require('node:assert/strict');
const { describe, before, test } = require('node:test');

const { Inspection } = require('../../lib/inspection');
const { runScript } = require('../support/script');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');

/** Under names that a lock, options, a configuration, a client or an answer may leave out. */
const POLLUTION = {
  db: 3,
  database: 4,
  prefix: 'polluted:',
  keyPrefix: 'polluted:',
  tls: true,
  host: 'polluted.invalid',
  port: 1,
  path: '/polluted',
  url: 'redis://polluted.invalid',
  socket: { host: 'polluted.invalid' },
  username: 'polluted',
  password: 'polluted',
  sentinels: ['polluted.invalid'],
  cluster: ['polluted.invalid'],
  rootNodes: ['polluted.invalid'],
  natMap: { a: 1 },
  role: 'slave',
  client: {},
  connections: 'bridge',
  retryCount: 7,
  retryDelay: 1,
  driftFactor: 0.9,
  deadlineFloor: 1,
  deadlineCeiling: 1,
  ttl: 1,
  signal: 5,
  maxWait: 'polluted',
  tryLock: 'polluted',
  autoExtend: 'polluted',
  threshold: 1,
  maxHold: 1,
  value: 'polluted',
  resource: ['polluted'],
  resources: ['polluted'],
  expiration: 8.64e15,
  attempts: 9,
  bridge: 'polluted',
  same: 0,
  native: true,
  code: 'POLLUTED',
  reply: 'polluted',
  error: 1,
  reason: 'polluted',
  options: { host: 'polluted.invalid', password: 'polluted' },
  selected_db: 5,
  auth_pass: 'polluted',
  credentialsProvider: {},
  Connector: class {},
  dnsLookup() {},
  rename_commands: { eval: 'polluted' },
  timeout: 1,
  retries: 1,
  delay: 1,
  prepare: 'polluted',
};

/** How each is made, in a process of its own that loads no other. */
const CLIENTS = {
  ioredis: `() => new Redis(PORT, '127.0.0.1')`,
  redis: `() => require('redis-3').createClient(PORT, '127.0.0.1')`,
  nodeRedis: `() => require('redis-5').createClient({ socket: { host: '127.0.0.1', port: PORT } }).connect()`,
};

describe('with Object.prototype polluted', () => {
  const suite = endOfSuite();
  let server;
  before(async () => {
    [server] = await startServers(suite, 1);
  });

  /** Runs it in a process of its own, with `redlocks` to be asked, before and after. */
  async function run(body) {
    const { stdout, stderr } = await runScript(
      `const PORT = ${server.port};
      const URL_TEXT = 'redis://127.0.0.1:' + PORT;
      const POLLUTION = { ${Object.entries(POLLUTION)
        .map(
          ([key, value]) =>
            `${JSON.stringify(key)}: ${typeof value === 'function' ? '(class {})' : JSON.stringify(value)}`,
        )
        .join(', ')} };
      function pollute() {
        for (const [key, value] of Object.entries(POLLUTION)) {
          Object.defineProperty(Object.prototype, key, { value, writable: true, enumerable: true, configurable: true });
        }
      }
      function cleanse() {
        for (const key of Object.keys(Object.prototype)) delete Object.prototype[key];
      }
      ${body}
      main().then((said) => { cleanse(); console.log(JSON.stringify(said)); process.exit(); },
        (error) => { cleanse(); console.log(error); process.exit(1); });`,
    );
    assert.equal(stderr.replaceAll(/.*warning.*\n/gi, ''), '');
    try {
      return JSON.parse(stdout);
    } catch {
      throw new Error(stdout);
    }
  }

  for (const [what, instances] of Object.entries({
    'a URL': '[URL_TEXT]',
    'an object': '[{ host: "127.0.0.1", port: PORT }]',
    'an object with a URL': '[{ url: URL_TEXT }]',
    'an object with a socket': '[{ socket: { host: "127.0.0.1", port: PORT } }]',
    ioredis: '[clients.ioredis]',
    'redis 3': '[{ client: clients.redis, connections: "native" }]',
    'node-redis 5': '[{ client: clients.nodeRedis, connections: "native" }]',
    'ioredis, on a connection of our own': '[{ client: clients.ioredis, connections: "native" }]',
    'a wrapped client': '[{ client: clients.ioredis }]',
    'a client of nobody knows what': '[{ eval: (...args) => clients.ioredis.eval(...args) }]',
  })) {
    test(`a lock over ${what} is the same as ever`, async () => {
      const said = await run(`
        const Redlock = require('redlock-native');
        const Redis = require('ioredis');
        async function main() {
          const clients = {};
          ${Object.entries(CLIENTS)
            .filter(([name]) => instances.includes(`clients.${name}`))
            .map(([name, make]) => `clients.${name} = await (${make})();`)
            .join('\n')}
          const asking = new Redis(PORT, '127.0.0.1');
          await asking.flushall();
          const warm = [];
          // Whatever libraries make of it is their own business: they are set up by now.
          for (const client of [clients.ioredis ?? asking, asking]) await client.ping();
          const instances = () => ${instances};
          const bare = instances();
          pollute();
          const redlock = new Redlock(bare, { retryCount: 0 });
          const locking = redlock.lock('a', 5000);
          const [{ address, db, keyPrefix }] = redlock.connections;
          const lock = await locking;
          const refused = await redlock.lock('a', 5000).catch((error) => error);
          await lock.extend(60_000);
          const inspection = await redlock.inspect('a');
          const plain = JSON.parse('{"resource":["a"],"expiration":5}');
          const invalid = await redlock.unlock(plain).catch((error) => error.message);
          const restored = redlock.restore(JSON.stringify({ resource: ['a'], value: lock.value, expiration: lock.expiration }));
          const left = restored.remaining() > 50_000;
          cleanse();
          const keys = await asking.keys('*');
          const pttl = await asking.pttl('a');
          pollute();
          await lock.unlock();
          cleanse();
          return {
            address: address.includes('polluted'), db: db ?? 0, keyPrefix: keyPrefix ?? '', keys, lives: pttl > 50_000,
            retryCount: redlock.retryCount, driftFactor: redlock.driftFactor, code: refused.code,
            votes: refused.votes.map(({ vote, error }) => [vote, error === undefined]), held: inspection.held, left,
            invalid, after: await asking.keys('*'),
          };
        }`);
      assert.deepEqual(said, {
        address: false,
        db: 0,
        keyPrefix: '',
        keys: ['a'],
        lives: true,
        retryCount: 0,
        driftFactor: 0.01,
        code: 'ERR_REDLOCK_HELD',
        votes: [['held', true]],
        held: true,
        left: true,
        invalid: 'lock must be a Lock: its value must be a non-empty string, not undefined',
        after: [],
      });
    });
  }

  for (const [face, code] of Object.entries({
    v4: `const Class = require('redlock-native/v4'); const take = (r) => r.lock('a', 5000); const settings = (r) => r;`,
    v1: `const Class = require('redlock-native/v1'); const take = (r) => r.lock('a', 5000); const settings = (r) => r;`,
    v5: `const Class = require('redlock-native/v5').default; const take = (r) => r.acquire(['a'], 5000); const settings = (r) => r.settings;`,
  })) {
    test(`the face ${face} has its own defaults`, async () => {
      const said = await run(`
        ${code}
        async function main() {
          pollute();
          const redlock = new Class([URL_TEXT], {});
          const lock = await take(redlock);
          const { retryDelay, driftFactor } = settings(redlock);
          const release = () => (redlock.release ?? redlock.unlock).call(redlock, lock);
          const invalid = await (redlock.release ?? redlock.unlock).call(redlock, JSON.parse('{"value":"v"}')).catch((error) => error.message);
          await release();
          cleanse();
          return { retryDelay, driftFactor, invalid: /must be a/.test(invalid) };
        }`);
      assert.deepEqual(said, { retryDelay: 200, driftFactor: 0.01, invalid: true });
    });
  }

  test('put there once an inspection was answered, it is nothing that an instance has said', () => {
    const votes = [{ vote: 'failed', code: 'UNREACHABLE', message: 'gone' }];
    let inspection;
    Object.prototype.reply = 'polluted';
    try {
      inspection = new Inspection('a', votes, ['redis://a'], 0);
    } finally {
      delete Object.prototype.reply;
    }
    assert.equal(inspection.instances[0].error.reply, undefined);
  });

  test('an inspection says of an instance only what that has said, also where nothing shows what is there', async () => {
    const said = await run(`
      const Redlock = require('redlock-native');
      async function main() {
        const redlock = new Redlock(['redis://127.0.0.1:1']);
        for (const key of ['reply', 'value']) {
          Object.defineProperty(Object.prototype, key, { value: 'polluted', configurable: true, writable: true });
        }
        const { instances: [seen] } = await redlock.inspect('a');
        for (const key of ['reply', 'value']) delete Object.prototype[key];
        return [seen.error.code, String(seen.error.reply), String(seen.value)];
      }`);
    assert.deepEqual(said, ['ERR_REDLOCK_UNREACHABLE', 'undefined', 'undefined']);
  });

  test('what a class of the caller’s inherits counts, as that of its own chain', async () => {
    const said = await run(`
      const Redlock = require('redlock-native');
      class Options { get retryCount() { return 0; } get driftFactor() { return 0.02; } }
      async function main() {
        pollute();
        const redlock = new Redlock([URL_TEXT], new Options());
        const lock = await redlock.lock('b', 5000);
        const heir = Object.create(lock);
        await heir.unlock();
        cleanse();
        return [redlock.retryCount, redlock.driftFactor];
      }`);
    assert.deepEqual(said, [0, 0.02]);
  });
});
