'use strict';

/**
 * Test runners replace ticks, microtasks, timers and the clock, before the package is loaded or after it: it works all
 * the same, with each of them. What is run is in runners/.
 */

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { describe, before, test } = require('node:test');

const { runScript } = require('../support/script');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');

const RUNNERS = path.join(__dirname, 'runners');
const ROOT = path.join(__dirname, '..', '..');

/** @param {string} name of a package, and the file in it */
const bin = (name, file) => path.join(ROOT, 'node_modules', name, file);

// Each is a process of its own, which mostly waits.
describe('with fake timers', { concurrency: 3 }, () => {
  const suite = endOfSuite();
  let env;

  before(async () => {
    const servers = await startServers(suite, 3);
    const cache = fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-runners-'));
    suite.after(() => fs.rmSync(cache, { recursive: true, force: true }));
    env = {
      ...process.env,
      REDLOCK_URLS: servers.map(({ url }) => url).join(),
      JEST_CACHE: path.join(cache, 'jest'),
      VITEST_CACHE: path.join(cache, 'vitest'),
    };
    // A runner that is started by another would report to it.
    delete env.NODE_TEST_CONTEXT;
  });

  const run = (...args) =>
    new Promise((resolve) => {
      const options = { cwd: RUNNERS, env, timeout: 100_000 };
      const child = execFile(process.execPath, args, options, (_error, stdout, stderr) =>
        resolve({ code: child.exitCode, said: `${stdout}${stderr}` }),
      );
    });

  const passes = async (...args) => {
    const { code, said } = await run(...args);
    assert.equal(code, 0, said);
    return said;
  };

  const jest = (spec, ...more) =>
    passes(bin('jest', 'bin/jest.js'), '--config', 'jest/jest.config.js', '--runInBand', spec, ...more);

  test('of jest', () => jest('use-fake-timers'));

  test('of jest, in an app of tenants that is traced: contexts and all', () => jest('app'));

  test('of jest, enabled for all tests', async () => {
    const config = {
      ...require('./runners/jest/jest.config.js'),
      cacheDirectory: env.JEST_CACHE,
      fakeTimers: { enableGlobally: true },
    };
    await passes(
      ...[bin('jest', 'bin/jest.js'), '--config', JSON.stringify(config), '--runInBand', 'enabled-globally'],
    );
  });

  test('of sinon, from after it was loaded', () => passes('sinon.js', 'before'));

  test('of sinon, from before it was loaded', () => passes('sinon.js', 'after'));

  test('of vitest', () => passes(bin('vitest', 'vitest.mjs'), 'run', '--config', 'vitest/vitest.config.mjs'));

  test('of node:test', () => passes('--test', 'mock-timers.js'));

  test('of sinon, from before it was loaded: who listens to channels is told all the same', async () => {
    const { code, stdout, stderr } = await runScript(
      `const { channel } = require('node:diagnostics_channel');
       const FakeTimers = require('@sinonjs/fake-timers');
       FakeTimers.install();
       const Redlock = require('redlock-native');
       const told = [];
       channel('tracing:redlock:hold:asyncEnd').subscribe(({ outcome }) => told.push(outcome));
       (async () => {
         const redlock = new Redlock(['memory://faked']);
         await (await redlock.lock('a', 5000)).unlock();
         await redlock.quit();
         console.log(told.join());
         process.exit();
       })();`,
    );
    assert.deepEqual([code, stdout, stderr], [0, 'released\n', '']);
  });

  test('a tick that is swallowed costs no lock, then or later', async () => {
    const { code, stdout, stderr } = await runScript(
      `const Redlock = require('redlock-native');
       (async () => {
         const redlock = new Redlock(${JSON.stringify(env.REDLOCK_URLS)}.split(','), { retryCount: 0 });
         await (await redlock.lock('warm', 5000)).unlock();
         const { nextTick } = process;
         process.nextTick = () => {};
         const meanwhile = redlock.lock('meanwhile', 5000);
         process.nextTick = nextTick;
         await (await meanwhile).unlock();
         await (await redlock.lock('later', 5000)).unlock();
         await redlock.quit();
         console.log('done');
       })();`,
    );
    assert.deepEqual([code, stdout, stderr], [0, 'done\n', '']);
  });
});
