'use strict';

/**
 * What redlock's own READMEs tell people to write, taken from the installed originals, run with each entry
 * with only the package's name changed; and an app on express that takes a lock per request.
 */

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { before, beforeEach, describe, test } = require('node:test');
const { setTimeout: sleep } = require('node:timers/promises');

const bluebird = require('bluebird');
const express = require('express');
const redis = require('redis-3');

const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');
const { until } = require('../support/until');

/** The README whose code an entry must run, and which styles of it the original has. */
const READMES = [
  { entry: 'v0', readme: 'redlock-2', styles: ['callback'] },
  { entry: 'v1', readme: 'redlock-2', styles: ['promise', 'disposer', 'callback'] },
  { entry: 'v2', readme: 'redlock-2', styles: ['promise', 'disposer', 'callback'] },
  { entry: 'v3', readme: 'redlock-3', styles: ['promise', 'disposer', 'callback'] },
  { entry: 'v4', readme: 'redlock', styles: ['promise', 'disposer', 'callback', 'multiple'] },
  { entry: 'redlock-async', readme: 'redlock-3', styles: ['promise'] },
];

const HEADINGS = {
  configuration: 'Configuration\n',
  errors: 'Error Handling\n',
  promise: 'Usage (promise style)\n',
  disposer: 'Usage (disposer style)\n',
  callback: 'Usage (callback style)\n',
  multiple: '## Locking multiple resources\n',
};

const suite = endOfSuite();
/** @type {import('../../scripts/servers').RedisServer[]} */
let servers;
before(async () => {
  servers = await startServers(suite, 3);
});
beforeEach(() => Promise.all(servers.map((server) => server.command('FLUSHALL'))));

/** A client of node_redis for one of our servers, in place of redis1.example.com and so on. */
function createClient(_port, host) {
  const server = servers[Number(/\d/.exec(host)[0]) - 1];
  const client = redis.createClient(server.port, server.host);
  suite.after(() => client.end(false));
  return client;
}

const areFree = () =>
  until(async () => (await Promise.all(servers.map((server) => server.keys()))).flat().length === 0);

for (const { entry, readme, styles } of READMES) {
  describe(`with redlock-native/${entry}, ${readme}'s README`, () => {
    for (const style of styles) {
      test(`in the section on ${style}${style === 'multiple' ? ' resources' : ' style'} works`, async () => {
        const seen = [];
        const printed = [];
        const code = codeOf(readme, style);
        const expected = code.split(PROBE).length - 1;
        assert.ok(expected > 0);
        const configuration = entry === 'v0' ? CONFIGURATION_0 : codeOf(readme, 'configuration');
        const errors = entry === 'v0' ? '' : codeOf(readme, 'errors');
        run(`${configuration}\n${errors}\n${code}`, {
          require: (name) => {
            if (name === 'redis') return { createClient };
            if (name === 'bluebird') return bluebird;
            return require(name.replace('redlock', `redlock-native/${entry}`));
          },
          happened: (lock) => {
            assert.ok(lock.expiration > Date.now());
            seen.push(lock);
          },
          failed: (error) => assert.ifError(error),
          console: { error: (error) => error && printed.push(error) },
        });
        await until(() => seen.length === expected);
        await areFree();
        assert.deepEqual(printed, []);
      });
    }
  });
}

const PROBE = 'happened(lock);';

/** redlock 0.2 has its options first. */
const CONFIGURATION_0 = `
  var client1 = require('redis').createClient(6379, 'redis1.example.com');
  var client2 = require('redis').createClient(6379, 'redis2.example.com');
  var Redlock = require('redlock');
  var redlock = new Redlock({ driftFactor: 0.01, retryCount: 3, retryDelay: 200 }, client1, client2);`;

/** The code of one section, with something to see in place of its comments that something is done. */
function codeOf(readme, style) {
  const file = path.join(__dirname, '..', '..', 'node_modules', readme, 'README.md');
  const text = fs.readFileSync(file, 'utf8');
  const from = text.indexOf(HEADINGS[style]);
  assert.notEqual(from, -1);
  const ends = [...Object.values(HEADINGS), 'API Docs\n'].map((heading) => text.indexOf(heading));
  const to = Math.min(...ends.filter((end) => end > from));
  const blocks = text.slice(from, to).matchAll(/```js\n(.*?)```/gs);
  return (
    [...blocks]
      .map(([, code]) => code)
      .join('\n')
      .replaceAll('// ...do something here...', PROBE)
      .replace(/if\(err\) \{\s*\/\/ \.\.\./g, 'if(err) { failed(err);')
      // They forget this parenthesis.
      .replace(/(lock\.unlock\(\);\s*\n\t\t\})(\n\t\}\n\}\);)/g, '$1);$2')
  );
}

function run(code, globals) {
  new Function(...Object.keys(globals), code)(...Object.values(globals));
}

describe('an app on express that takes a lock per request', () => {
  /** What takes a lock for a request, in the style that the original is used in. */
  const MIDDLEWARE = {
    callbacks: (redlock) => (request, response, next) => {
      redlock.lock(request.params.id, 10_000, (error, lock) => {
        if (error) return next(error);
        response.on('finish', () => lock.unlock());
        next();
      });
    },
    promises: (redlock) => (request, response, next) => {
      redlock
        .lock(request.params.id, 10_000)
        .then((lock) => {
          response.on('finish', () => lock.unlock().catch(next));
          next();
        })
        .catch(next);
    },
  };

  for (const { entry } of READMES) {
    const styles = { v0: ['callbacks'], 'redlock-async': ['promises'] }[entry] ?? ['callbacks', 'promises'];
    for (const style of styles) {
      test(`serves one request per order at a time (redlock-native/${entry}, ${style})`, async (t) => {
        const Redlock = require(`redlock-native/${entry}`);
        const clients = servers.map((_, index) => createClient(0, `redis${index + 1}`));
        const options = { retryCount: 1000, retryDelay: 5 };
        const redlock = entry === 'v0' ? new Redlock(options, ...clients) : new Redlock(clients, options);
        const inside = new Map();
        let most = 0;

        const app = express();
        app.post('/orders/:id', MIDDLEWARE[style](redlock), async (request, response) => {
          const { id } = request.params;
          inside.set(id, (inside.get(id) ?? 0) + 1);
          most = Math.max(most, inside.get(id));
          await sleep(2);
          inside.set(id, inside.get(id) - 1);
          response.json({ id });
        });
        const server = app.listen(0, '127.0.0.1');
        t.after(() => server.close());
        await once(server, 'listening');
        const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());

        const requests = Array.from({ length: 30 }, async (_, index) => {
          const id = `order-${index % 3}`;
          const response = await fetch(`http://127.0.0.1:${port}/orders/${id}`, { method: 'POST' });
          assert.equal(response.status, 200);
          assert.deepEqual(await response.json(), { id });
        });
        await Promise.all(requests);
        assert.equal(most, 1);
        await areFree();
      });
    }
  }
});
