'use strict';

/** docs/api.md is what `npm run api` writes, and docs/errors.md has every code that there is. */

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { test } = require('node:test');

const { FILE, page } = require('../../scripts/api');
const { read } = require('../support/documents');

test('docs/api.md says what index.d.ts says (else: npm run api)', async () => {
  assert.equal(fs.readFileSync(FILE, 'utf8'), await page());
});

test("docs/api.md's links are named after what they lead to, whichever way it is written in index.d.ts", async () => {
  const text = await page();
  assert.match(text, /\[Lock\.signal\]\(#locksignal\)/);
  assert.match(text, /\[Redlock\.lock\]\(#redlocklock\)/);
  assert.match(text, /\[LockError\]\(#lockerror\)/);
});

test('index.d.ts writes error codes in full, so that they can be searched for', () => {
  assert.deepEqual(read('index.d.ts').match(/`_[A-Z_]+`/g), null);
});

test('docs/errors.md has a row for every code of index.d.ts, and for no other', () => {
  const declared = new Set(read('index.d.ts').match(/(?<=')ERR_REDLOCK_\w+(?=')/g));
  const rows = new Set(read('docs/errors.md').match(/(?<=^\| `)ERR_REDLOCK_\w+(?=` \|)/gm));
  assert.deepEqual([...rows].sort(), [...declared].sort());
});

test('docs/install.md has a row for every reason why an addon can not be loaded, and for no other', () => {
  const reasons = new Set(read('lib/unloadable.js').match(/(?<=trouble\(')[A-Z_]+(?=')/g));
  const [, table] = read('docs/install.md').split("## When it can't be loaded");
  const rows = table.match(/(?<=^\| `)[A-Z_]+(?=` \|)/gm);
  assert.deepEqual(rows?.sort(), [...reasons].sort());
});
