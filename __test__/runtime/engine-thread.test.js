'use strict';

/** The engine's thread, where the system has nothing left for it. */

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const path = require('node:path');
const { test } = require('node:test');
const { promisify } = require('node:util');

const ROOT = path.join(__dirname, '..', '..');

const skip = process.platform === 'win32' && 'it has no such limit';

test('where no file can be opened the error says what to do, and once one can it works', {
  skip,
}, async () => {
  const code = `
    const fs = require('node:fs');
    const Redlock = require('redlock-native');
    const open = [];
    try {
      for (;;) open.push(fs.openSync('/dev/null'));
    } catch {}
    const make = () => new Redlock(['memory://thread']);
    let failure;
    try {
      make();
    } catch ({ name, code, reason, message }) {
      failure = { name, code, reason, message };
    }
    for (const file of open) fs.closeSync(file);
    make().using('a', 1000, () => console.log(JSON.stringify(failure)));
  `;
  // Node.js raises the limit to what it may be.
  const flags = ['-c', 'ulimit -n 64 && exec "$0" "$@"', process.execPath, '-e', code];
  const { stdout } = await promisify(execFile)('/bin/sh', flags, { cwd: ROOT, timeout: 15_000 });
  const { message, ...failure } = JSON.parse(stdout);
  assert.deepEqual(failure, { name: 'Error', code: 'ERR_REDLOCK_ADDON', reason: 'RESOURCES' });
  assert.match(message, /thread could not be started: .*open files.*; close files and threads .*\(ulimit -n/);
});
