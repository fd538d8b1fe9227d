'use strict';

/** Bundlers make of `import` what they think `require` gives: whatever they think, it is the class. */

const assert = require('node:assert/strict');
const { test } = require('node:test');

const esbuild = require('esbuild');

const { runScript } = require('../support/script');

const CLASSES = {
  'redlock-native': ['Lock', 'LockError', 'InstanceError', 'ConnectionError'],
  'redlock-native/v4': ['Lock', 'LockError'],
  'redlock-native/v5': ['Lock', 'ExecutionError', 'ResourceLockedError'],
};

/** The same import, in a module for Node.js and in one that only a bundler takes for one. */
const LOADERS = { 'a .mjs file': 'entry.mjs', 'a .js file': 'entry.js', 'a .ts file': 'entry.ts' };

/** @param {string} contents @param {string} sourcefile */
function bundled(contents, sourcefile) {
  const loader = sourcefile.endsWith('.ts') ? 'ts' : 'js';
  const options = { bundle: true, platform: 'node', format: 'cjs', packages: 'external', write: false };
  const { outputFiles } = esbuild.buildSync({
    ...options,
    stdin: { contents, sourcefile, loader, resolveDir: __dirname },
  });
  return outputFiles[0].text;
}

for (const [what, sourcefile] of Object.entries(LOADERS)) {
  for (const [entry, names] of Object.entries(CLASSES)) {
    test(`${entry} is the class in what esbuild makes of ${what} for CommonJS`, async () => {
      const code = bundled(
        `import Redlock, { ${names.join(', ')} } from '${entry}';
        const redlock = new Redlock(['memory://bundled']);
        console.log([Redlock, ${names.join(', ')}].map(({ name }) => name).join());
        redlock.quit();`,
        sourcefile,
      );
      const { stdout, stderr } = await runScript(code);
      assert.equal(stdout, `${['Redlock', ...names].join()}\n`, stderr);
    });
  }

  test(`redlock-native/otel has its function in what esbuild makes of ${what} for CommonJS`, async () => {
    const code = bundled(
      "import { instrument } from 'redlock-native/otel'; console.log(typeof instrument);",
      sourcefile,
    );
    const { stdout, stderr } = await runScript(code);
    assert.equal(stdout, 'function\n', stderr);
  });
}
