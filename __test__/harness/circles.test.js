'use strict';

/** The check that no files import each other in a circle: that it finds those there are. */

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { describe, test } = require('node:test');

const SCRIPT = path.join(__dirname, '..', '..', 'scripts', 'circles.js');

/** What it prints of a tree with these files; nothing if there are no circles. */
function circlesIn(t, files) {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'circles-'));
  t.after(() => fs.rmSync(root, { recursive: true }));
  for (const [name, text] of Object.entries(files)) {
    fs.mkdirSync(path.join(root, path.dirname(name)), { recursive: true });
    fs.writeFileSync(path.join(root, name), text);
  }
  const { status, stderr } = spawnSync(process.execPath, [SCRIPT, root], { encoding: 'utf8' });
  assert.equal(status, stderr === '' ? 0 : 1, stderr);
  return stderr.split('\n').filter((line) => line.startsWith('a circle'));
}

describe('circles of imports', () => {
  test('there are none where imports go down only', (t) => {
    const files = {
      'lib/a.js': "require('./b'); /** @type {import('./c').C} */",
      'lib/b.js': "require('./c/index');",
      'lib/c/index.js': '',
      'compat/d.js': "require('../lib/a');",
      'src/lib.rs': 'mod high;\nmod low;\n',
      'src/high.rs': 'use crate::low::{self, Low};\n#[cfg(test)]\nmod tests {\n    use super::*;\n}\n',
      'src/low/mod.rs': 'mod part;\npub use part::Part;\n',
      'src/low/part.rs': 'use std::rc::Rc;\n',
    };
    assert.deepEqual(circlesIn(t, files), []);
  });

  const CIRCLES = {
    'two scripts': { 'lib/a.js': "require('./b');", 'lib/b.js': "require('./a');" },
    'scripts of two folders': { 'lib/a/x.js': "require('../b');", 'lib/b/index.js': "require('../a/x.js');" },
    'a type': { 'lib/a.js': "/** @typedef {import('./b').B} B */", 'lib/b.js': "require('./a');" },
    'three scripts': {
      'lib/a.js': "require('./b');",
      'lib/b.js': "require('./c');",
      'compat/c.js': '',
      'lib/c.js': "require('./a');",
    },
    'two Rust modules': {
      'src/lib.rs': 'mod a;\nmod b;\n',
      'src/a.rs': 'use crate::b::B;\n',
      'src/b.rs': 'fn b() -> super::a::A { super::a::A }\n',
    },
    'a nested use': {
      'src/lib.rs': 'mod a;\nmod b;\n',
      'src/a.rs': 'use crate::{\n    b::{c::C, d as e},\n};\n',
      'src/b/mod.rs': 'pub mod c;\npub mod d;\n',
      'src/b/c.rs': 'use super::super::a::A;\n',
      'src/b/d.rs': '',
    },
    'a child and what its parent hands on': {
      'src/lib.rs': 'mod a;\nmod b;\n',
      'src/a/mod.rs': 'mod child;\npub use child::Child;\n',
      'src/a/child.rs': 'use crate::b::B;\n',
      'src/b.rs': 'use crate::a::Child;\n',
    },
    'a child and what its parent defines': {
      'src/lib.rs': 'mod a;\n',
      'src/a/mod.rs': 'mod child;\nuse child::Child;\npub struct Parent(Child);\n',
      'src/a/child.rs': 'use super::Parent;\n',
    },
  };
  for (const [name, files] of Object.entries(CIRCLES)) {
    test(`one of ${name} is found`, (t) => {
      assert.equal(circlesIn(t, files).length, 1);
    });
  }
});
