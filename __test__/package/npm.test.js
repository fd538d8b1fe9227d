'use strict';

// Which npm the scripts run: never through a shell, and never another package manager that has started them.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, afterEach, before, describe, test } = require('node:test');

const { npm, npmCommand } = require('../../scripts/npm');
const { setEnvironment } = require('../support/environment');

describe('npm', () => {
  let folder;
  before(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-native npm & test-'));
  });
  after(() => fs.rmSync(folder, { recursive: true }));

  const { npm_execpath } = process.env;
  afterEach(() => setEnvironment({ npm_execpath }));

  test('is given paths as they are, with spaces and signs', async () => {
    fs.writeFileSync(path.join(folder, 'package.json'), '{ "name": "one", "version": "1.0.0" }\n');
    const said = await npm(os.tmpdir(), ['pkg', 'get', 'name', '--prefix', folder]);
    assert.equal(JSON.parse(said), 'one');
  });

  test('is the one that has started the script', () => {
    const file = path.join(folder, 'npm-cli.js');
    fs.writeFileSync(file, '');
    setEnvironment({ npm_execpath: file });
    assert.deepEqual(npmCommand(), [process.execPath, file]);
  });

  test('is found if another package manager has started the script, or none', () => {
    for (const started of [path.join(folder, 'pnpm.cjs'), undefined]) {
      setEnvironment({ npm_execpath: started });
      const [program, file] = npmCommand();
      assert.equal(program, process.execPath);
      assert.equal(path.basename(file), 'npm-cli.js');
      assert.ok(fs.existsSync(file), file);
    }
  });
});
