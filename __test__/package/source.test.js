'use strict';

// The package that compiles the addon where it is installed.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');

const { stageSource } = require('../../scripts/package/source-package');
const ours = require('../../package.json');

const ROOT = path.join(__dirname, '..', '..');

describe('the source package', () => {
  let folder;
  let files;
  before(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-native-source-test-'));
    stageSource(folder, ours);
    files = fs
      .readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .map((file) => file.split(path.sep).join('/'));
  });
  after(() => fs.rmSync(folder, { recursive: true }));

  test('has what cargo needs, and none of the inputs that fuzzing has found', () => {
    for (const file of ['Cargo.toml', 'Cargo.lock', 'addon/Cargo.toml', 'src/lib.rs']) {
      assert.ok(files.includes(file), file);
    }
    assert.deepEqual(
      files.filter((file) => file.includes('__fuzz__')),
      [],
    );
  });

  test('needs the Rust that Cargo.toml has, and whatever else names it says so', () => {
    const { rustVersion } = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
    const own = /^rust-version = "(.*)"$/m;
    const named = /(?:cargo,?|Rust) \(?(\d+\.\d+)/g;
    assert.equal(rustVersion, textOf('Cargo.toml').match(own)[1]);
    for (const crate of ['addon', 'bench/ceiling', 'bench/stages']) {
      assert.equal(textOf(crate, 'Cargo.toml').match(own)?.[1], rustVersion, crate);
    }
    for (const file of ['CONTRIBUTING.md', 'docs/platforms.md', 'scripts/package/source/README.md']) {
      const versions = [...textOf(file).matchAll(named)].map(([, version]) => version);
      assert.deepEqual(new Set(versions), new Set([rustVersion]), file);
    }
  });
});

/** @param {...string} parts */
function textOf(...parts) {
  return fs.readFileSync(path.join(ROOT, ...parts), 'utf8');
}
