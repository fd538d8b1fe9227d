'use strict';

/** Who is told of new versions is told of all that is locked here. */

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const ROOT = path.join(__dirname, '..', '..');
const LOCKS = { npm: 'package-lock.json', cargo: 'Cargo.lock', pip: 'compilers.txt' };

const config = fs.readFileSync(path.join(ROOT, '.github', 'dependabot.yml'), 'utf8');

/** The folders that are looked at for an ecosystem. */
function watched(ecosystem) {
  const [, own] = new RegExp(`package-ecosystem: ${ecosystem}\\n([^]*?)(?=package-ecosystem|$)`).exec(config);
  const [, folders] = /director(?:y|ies): (.*)/.exec(own);
  return folders.replace(/[[\]]/g, '').split(', ').sort();
}

for (const [ecosystem, lock] of Object.entries(LOCKS)) {
  test(`each ${lock} is looked at`, () => {
    const files = execFileSync('git', ['ls-files', lock, `**/${lock}`], { cwd: ROOT, encoding: 'utf8' });
    const folders = files
      .trim()
      .split('\n')
      .map((file) => `/${path.dirname(file)}`.replace(/\/\.$/, '/'));
    assert.deepEqual(watched(ecosystem), folders.sort());
  });
}
