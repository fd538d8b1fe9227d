'use strict';

/** THIRD-PARTY-NOTICES.txt: that what is linked is in it, with a licence. */

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { describe, test } = require('node:test');

const { noticesOf } = require('../../scripts/supply-chain/notices');

/** A crate of the registry's, with these files. */
function crate(t, name, license, files, repository = null) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'crate-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  for (const [file, text] of Object.entries(files)) {
    fs.mkdirSync(path.join(folder, path.dirname(file)), { recursive: true });
    fs.writeFileSync(path.join(folder, file), text);
  }
  return { name, version: '1.0.0', license, repository, folder, sha256: 'a sum', needs: [] };
}

describe('the notices', () => {
  test('name each crate, its version and its licence', (t) => {
    const notices = noticesOf([crate(t, 'one', 'ISC', { LICENSE: 'the text of one' })]);
    assert.match(notices, /^one 1\.0\.0: ISC$/m);
    assert.match(notices, /^one 1\.0\.0\n-+\n\nthe text of one$/m);
  });

  test('have a text once, with all that it is of', (t) => {
    const notices = noticesOf([
      crate(t, 'one', 'MIT', { LICENSE: 'the same\ntext' }),
      crate(t, 'two', 'MIT', { 'license-mit': 'the same text\r\n' }),
    ]);
    assert.match(notices, /^one 1\.0\.0\ntwo 1\.0\.0\n-+\n\nthe same\ntext$/m);
  });

  test('leave out other licences where MIT is a choice', (t) => {
    const files = {
      'LICENSE-MIT': 'the text of MIT',
      'LICENSE-APACHE': 'that of Apache',
      COPYRIGHT: 'whose it is',
    };
    const notices = noticesOf([crate(t, 'one', 'Apache-2.0 OR MIT', files)]);
    assert.match(notices, /the text of MIT/);
    assert.match(notices, /whose it is/);
    assert.doesNotMatch(notices, /that of Apache/);
  });

  test('have all licences where all of them hold, those of folders inside too', (t) => {
    const files = {
      LICENSE: 'of the crate',
      'LICENSE-APACHE': 'of a part',
      'third_party/x/LICENSE': 'of another part',
    };
    const notices = noticesOf([crate(t, 'one', 'ISC AND Apache-2.0', files)]);
    for (const text of Object.values(files)) assert.match(notices, new RegExp(`^${text}$`, 'm'));
  });

  test('have the licence of the repository for a crate that comes without', (t) => {
    const repository = 'https://example.org/somebody/something';
    const notices = noticesOf([
      crate(t, 'one', 'MIT', { LICENSE: 'the text' }, `${repository}.git`),
      crate(t, 'two', 'MIT', {}, repository),
    ]);
    assert.match(notices, /^one 1\.0\.0\ntwo 1\.0\.0\n-+\n\nthe text$/m);
  });

  test('are not made where a licence is missing', (t) => {
    assert.throws(() => noticesOf([crate(t, 'one', 'MIT', { 'README.md': 'MIT, of course' })]), {
      message: /^the crate one 1\.0\.0 comes without a licence/,
    });
  });

  test('have what is linked and is no crate', () => {
    const notices = noticesOf([]);
    for (const name of ["Rust's standard library", 'compiler-rt', 'libunwind', 'mingw-w64']) {
      assert.ok(notices.includes(name), name);
    }
  });
});
