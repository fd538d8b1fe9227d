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

describe('in realms that come and go', () => {
  const suite = endOfSuite();
  let urls;
  let folder;

  before(async () => {
    const servers = await startServers(suite, 1);
    urls = servers.map(({ url }) => url);
    folder = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-realms-')));
    suite.after(() => fs.rmSync(folder, { recursive: true, force: true }));
    const config = { testEnvironment: 'node', transform: {}, cacheDirectory: path.join(folder, 'cache') };
    fs.writeFileSync(path.join(folder, 'jest.config.json'), JSON.stringify(config));
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
      });`;
    fs.writeFileSync(path.join(folder, `${name}.spec.js`), text);
  }

  const jest = (...args) =>
    new Promise((resolve) => {
      const { NODE_TEST_CONTEXT: _, ...env } = process.env;
      const options = { cwd: folder, env, timeout: 100_000 };
      const all = ['--expose-gc', JEST, '--runInBand', ...args];
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
      const { code, said } = await jest('--logHeapUsage', `${name}-`);
      assert.equal(code, 0, said);
      const heap = [...said.matchAll(/\((\d+) MB heap size\)/g)].map(([, size]) => Number(size));
      assert.equal(heap.length, copies, said);
      // Each copy that stays is 3 MB.
      assert.ok(Math.min(...heap.slice(-4)) - heap[0] < 8, String(heap));
    });
  }

  test('--detectOpenHandles finds nothing after quit()', async () => {
    write('handles', 'await redlock.quit();');
    const { code, said } = await jest('--detectOpenHandles', 'handles');
    assert.equal(code, 0, said);
    assert.doesNotMatch(said, /open handle/);
  });
});
