'use strict';

/** The crates that are linked into the addon. */

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { before, describe, test } = require('node:test');

const { linkedCrates, platforms } = require('../../scripts/supply-chain/crates');

const ROOT = path.join(__dirname, '..', '..');

describe('the linked crates', () => {
  let crates;
  before(() => {
    crates = new Map(linkedCrates().map((crate) => [crate.name, crate]));
  });

  test('begin with the addon, which alone is of this repository', () => {
    assert.equal([...crates.keys()][0], 'redlock-native-addon');
    const ours = [...crates.values()].filter(({ sha256 }) => sha256 === null).map(({ name }) => name);
    assert.deepEqual(ours, ['redlock-native-addon']);
  });

  test('have those of every platform', () => {
    for (const name of ['rustix', 'windows-sys', 'ring']) assert.ok(crates.has(name), name);
  });

  test('have neither those of tests nor those of build scripts', () => {
    for (const name of ['proptest', 'loom', 'bolero', 'napi-build', 'cc']) assert.ok(!crates.has(name), name);
  });

  test('are what cargo-deny looks at', () => {
    const [, list] = /^targets = \[([^\]]*)\]/m.exec(fs.readFileSync(path.join(ROOT, 'deny.toml'), 'utf8'));
    const named = [...list.matchAll(/"([^"]+)"/g)].map(([, name]) => name);
    assert.deepEqual(named.sort(), platforms().sort());
  });
});
