'use strict';

/** Test runners load the package into a realm of its own for each file, and look for what stays open: nothing does. */

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { describe, before, test } = require('node:test');

const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');

const ROOT = path.join(__dirname, '..', '..');
const JEST = path.join(ROOT, 'node_modules', 'jest', 'bin', 'jest.js');

/** jest's usual environment, in which a copy of the package says that it was made. */
const ENVIRONMENT = `
  const { TestEnvironment } = require(${JSON.stringify(path.join(ROOT, 'node_modules', 'jest-environment-node'))});
  module.exports = class extends TestEnvironment {
    async setup() {
      await super.setup();
      globalThis.copies ??= [];
      this.global.made = (copy) => globalThis.copies.push(new WeakRef(copy));
    }
  };`;

/** Run by jest when all tests are over: waits until the copies are collected, and says how many are left. */
const TEARDOWN = `
  module.exports = async () => {
    const { copies } = globalThis;
    const left = () => copies.filter((copy) => copy.deref() !== undefined).length;
    for (let turn = 0; turn < 200 && left() > 0; turn++) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      globalThis.gc();
    }
    console.log(copies.length + ' copies, ' + left() + ' of them left');
  };`;

describe('in realms that come and go', () => {
  const suite = endOfSuite();
  let urls;
  let folder;

  before(async () => {
    const servers = await startServers(suite, 1);
    urls = servers.map(({ url }) => url);
    folder = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-realms-')));
    suite.after(() => fs.rmSync(folder, { recursive: true, force: true }));
    fs.writeFileSync(path.join(folder, 'environment.js'), ENVIRONMENT);
    fs.writeFileSync(path.join(folder, 'teardown.js'), TEARDOWN);
  });

  function write(name, end) {
    const text = `
      const Redlock = require(${JSON.stringify(ROOT)});
      test('it locks', async () => {
        const redlock = new Redlock(${JSON.stringify(urls)}, { retryCount: 0 });
        const lock = await redlock.lock('${name}', 1000);
        lock.signal.throwIfAborted();
        await lock.unlock();
        await redlock.using('${name}', 1000, async () => {});
        ${end}
      });
      globalThis.made?.(Redlock);`;
    fs.writeFileSync(path.join(folder, `${name}.spec.js`), text);
  }

  /** @param {object} config beyond what all have */
  const jest = (config, ...args) =>
    new Promise((resolve) => {
      const usual = {
        rootDir: folder,
        testEnvironment: 'node',
        transform: {},
        cacheDirectory: path.join(folder, 'cache'),
      };
      const configured = ['--config', JSON.stringify({ ...usual, ...config })];
      const { NODE_TEST_CONTEXT: _, ...env } = process.env;
      const options = { cwd: folder, env, timeout: 100_000 };
      const all = ['--expose-gc', JEST, '--runInBand', ...configured, ...args];
      const child = execFile(process.execPath, all, options, (_error, stdout, stderr) =>
        resolve({ code: child.exitCode, said: `${stdout}${stderr}` }),
      );
    });

  for (const [what, name, end] of [
    ['after quit()', 'quit', 'await redlock.quit();'],
    ['also without quit()', 'dropped', ''],
  ]) {
    test(`a copy of the package is collected with its realm, ${what}`, async () => {
      const copies = 8;
      for (let copy = 0; copy < copies; copy++) write(`${name}-${copy}`, end);
      const { code, said } = await jest(
        {
          testEnvironment: path.join(folder, 'environment.js'),
          globalTeardown: path.join(folder, 'teardown.js'),
        },
        `${name}-`,
      );
      assert.equal(code, 0, said);
      assert.match(said, new RegExp(`^${copies} copies, 0 of them left$`, 'm'));
    });
  }

  test('--detectOpenHandles finds nothing after quit()', async () => {
    write('handles', 'await redlock.quit();');
    const { code, said } = await jest({}, '--detectOpenHandles', 'handles');
    assert.equal(code, 0, said);
    assert.doesNotMatch(said, /open handle/);
  });
});
