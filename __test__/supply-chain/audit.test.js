'use strict';

/** Which of the vulnerabilities that npm knows of are ours to mend before anything is published. */

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');

const { graveIn } = require('../../scripts/supply-chain/audit');

const { packages } = JSON.parse(
  fs.readFileSync(path.join(__dirname, '..', '..', 'package-lock.json'), 'utf8'),
);

/** What is found where npm knows something of the package in that folder. */
function found(folder, severity = 'high') {
  const name = folder.replace(/^.*node_modules\//, '');
  return graveIn({ vulnerabilities: { [name]: { severity, nodes: [folder] } } }, packages);
}

describe('the audit', () => {
  test('fails for what writes the files that are published', () => {
    assert.deepEqual(found('node_modules/esbuild'), ['esbuild: high']);
    assert.deepEqual(found('node_modules/@napi-rs/cli', 'critical'), ['@napi-rs/cli: critical']);
  });

  test('fails for what those need, wherever it is', () => {
    const needed = Object.keys(packages['node_modules/@napi-rs/cli'].dependencies);
    assert.ok(needed.length > 0);
    for (const name of needed) {
      const own = `node_modules/@napi-rs/cli/node_modules/${name}`;
      const folder = packages[own] ? own : `node_modules/${name}`;
      assert.deepEqual(found(folder), [`${name}: high`]);
    }
  });

  test('passes over what is less than grave', () => {
    assert.deepEqual(found('node_modules/esbuild', 'moderate'), []);
  });

  test('passes over what only tests and comparisons use', () => {
    assert.deepEqual(found('node_modules/redlock', 'critical'), []);
  });

  test('does not pass where a writer is not in the lockfile', () => {
    assert.throws(
      () => graveIn({ vulnerabilities: {} }, { '': {} }),
      /the lockfile has no node_modules\/esbuild/,
    );
  });
});
