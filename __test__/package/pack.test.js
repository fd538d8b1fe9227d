'use strict';

// What is published, installed into an app that has nothing else, and used from there.

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { before, describe, test } = require('node:test');
const { promisify } = require('node:util');

const { isMusl } = require('../../scripts/package/targets');
const { compile, NODE_14 } = require('../support/compile');
const { appWith } = require('../support/packed-app');

const ROOT = path.join(__dirname, '..', '..');
const MODULES = path.join(ROOT, 'node_modules');

/** Of the files in compat/: what package.json's `exports` lead to. */
const IS_ENTRY = /^compat\/(v\d|redlock-async|v5\/index|redislock\/\w+)\.js$/;

describe('the packages', () => {
  let installed;
  before(async () => {
    installed = path.join(await appWith('redlock-native'), 'node_modules');
  });

  test('hold what is used, and nothing else', () => {
    const [compat, docs] = ['compat', 'docs'].map((folder) =>
      filesIn(path.join(ROOT, folder)).map((file) => `${folder}/${file}`),
    );
    assert.deepEqual(filesIn(path.join(installed, 'redlock-native')), [
      'CHANGELOG.md',
      'CONTRIBUTING.md',
      'LICENSE',
      'README.md',
      'SECURITY.md',
      'binding.js',
      ...compat.filter((file) => !file.endsWith('.js') || IS_ENTRY.test(file)),
      ...docs,
      'index.d.mts',
      'index.d.ts',
      'index.js',
      'index.mjs',
      // What they have in common is one file.
      ...['lib/addon.js', 'lib/bundle.js', 'lib/unloadable.js'],
      ...['d.mts', 'd.ts', 'js', 'mjs'].map((extension) => `otel/index.${extension}`),
      'package.json',
    ]);
    const [platform] = platformsIn(installed);
    const addon = readManifest(path.join(installed, platform)).main;
    assert.match(addon, /^redlock-native\..+\.node$/);
    assert.deepEqual(filesIn(path.join(installed, platform)), [
      'LICENSE',
      'README.md',
      'THIRD-PARTY-NOTICES.txt',
      'package.json',
      addon,
    ]);
  });

  test('name every platform, at their own version, and bring nothing else along', () => {
    const ours = readManifest(ROOT);
    const published = readManifest(path.join(installed, 'redlock-native'));
    assert.equal(published.version, ours.version);
    assert.equal(published.dependencies, undefined);
    assert.equal(published.devDependencies, undefined);
    assert.equal(published.scripts, undefined);
    assert.equal(Object.keys(published.optionalDependencies).length, ours.napi.targets.length);
    assert.deepEqual(new Set(Object.values(published.optionalDependencies)), new Set([ours.version]));
    assert.equal(published.peerDependencies['redlock-native-source'], ours.version);
    assert.equal(published.peerDependenciesMeta['redlock-native-source'].optional, true);
    // What isn't published yet would fail `npm ci` here.
    assert.equal(ours.optionalDependencies, undefined);
  });

  test('say where the addon runs', () => {
    const [platform] = platformsIn(installed);
    const { os: systems, cpu, libc } = readManifest(path.join(installed, platform));
    assert.deepEqual(systems, [process.platform]);
    assert.deepEqual(cpu, [process.arch]);
    assert.deepEqual(libc, process.platform === 'linux' ? [isMusl() ? 'musl' : 'glibc'] : undefined);
  });
});

for (const name of ['redlock-native', 'redlock']) {
  describe(`installed as ${name}, the package`, () => {
    let app;
    before(async () => {
      app = await appWith(name);
    });

    test('works with require', async () => {
      assert.equal(await run(app, 'require.cjs'), 'released\n');
    });

    test('is one, however many of its entries are used', async () => {
      assert.equal(await run(app, 'entries.cjs'), 'released\n');
    });

    test('works with import', async () => {
      assert.equal(await run(app, 'import.mjs'), 'released\n');
    });

    test('works in TypeScript with NodeNext modules, CommonJS and ESM', async () => {
      const files = ['import-equals.cts', 'import-default.cts', 'import-module.mts'];
      compile(app, files, { module: 'nodenext' });
      assert.equal(await run(app, 'import-equals.cjs'), 'released\n');
      assert.equal(await run(app, 'import-default.cjs'), 'released\n');
      assert.equal(await run(app, 'import-module.mjs'), 'released\n');
    });
  });
}

describe('an app in TypeScript', () => {
  let app;
  before(async () => {
    app = await appWith('redlock-native');
  });

  test('may be configured as they were for years, without esModuleInterop', async () => {
    const files = ['import-equals.cts', 'import-default.cts', 'v5.cts'];
    const options = { module: 'commonjs', moduleResolution: 'node10', esModuleInterop: false };
    compile(app, files, { ...options, ignoreDeprecations: '6.0' });
    assert.equal(await run(app, 'import-equals.cjs'), 'released\n');
    assert.equal(await run(app, 'import-default.cjs'), 'released\n');
    assert.equal(await run(app, 'v5.cjs'), 'released\n');
  });

  test('may use the entries that stand in for other packages', async () => {
    compile(app, ['v5.mts', 'v5.cts', 'redislock.mts'], { module: 'nodenext' });
    assert.equal(await run(app, 'v5.mjs'), 'released\n');
    assert.equal(await run(app, 'v5.cjs'), 'released\n');
  });

  test('may have types of Node as they were in 2021', async () => {
    const files = ['import-equals.cts', 'import-default.cts', 'import-module.mts'];
    const options = { module: 'node16', target: 'es2022', lib: ['es2022'] };
    compile(app, files, options, { node: NODE_14 });
    assert.equal(await run(app, 'import-module.mjs'), 'released\n');
  });
});

describe('the classic entries', () => {
  let app;
  before(async () => {
    app = await appWith('redlock');
    for (const name of ['bluebird', '@types/bluebird']) {
      fs.cpSync(path.join(MODULES, name), path.join(app, 'node_modules', name), { recursive: true });
    }
  });

  test('work with require and with import', async () => {
    assert.equal(await run(app, 'classic.cjs'), 'released\n');
    assert.equal(await run(app, 'classic.mjs'), 'released\n');
  });

  test('have types, in CommonJS and ESM, as of now and as they were for years', async () => {
    const files = ['classic-equals.cts', 'classic-module.mts'];
    compile(app, files, { module: 'nodenext' });
    assert.equal(await run(app, 'classic-equals.cjs'), 'released\n');
    assert.equal(await run(app, 'classic-module.mjs'), 'released\n');
    const options = { module: 'commonjs', moduleResolution: 'node10', esModuleInterop: false };
    compile(app, ['classic-equals.cts'], { ...options, ignoreDeprecations: '6.0' });
    assert.equal(await run(app, 'classic-equals.cjs'), 'released\n');
  });

  test('that return bluebird’s promises say that it is missing, where it is', async () => {
    const bare = await appWith('redlock-native');
    fs.writeFileSync(path.join(bare, 'v4.cjs'), "require('redlock-native/v4');\n");
    await assert.rejects(run(bare, 'v4.cjs'), ({ stderr }) => stderr.includes('npm install bluebird'));
    fs.writeFileSync(path.join(bare, 'async.cjs'), "require('redlock-native/redlock-async');\n");
    assert.equal(await run(bare, 'async.cjs'), '');
  });
});

/** Runs a file of the app; resolves with its stdout. */
async function run(app, file) {
  // Else it would be that addon which is tried.
  const { NAPI_RS_NATIVE_LIBRARY_PATH: _, ...env } = process.env;
  const options = { cwd: app, env, timeout: 30_000 };
  const { stdout } = await promisify(execFile)(process.execPath, [file], options);
  return stdout;
}

function filesIn(folder) {
  const all = fs.readdirSync(folder, { recursive: true, withFileTypes: true });
  const files = all.filter((entry) => entry.isFile());
  return files
    .map(({ parentPath, path: older, name }) => inPosix(folder, path.join(parentPath ?? older, name)))
    .sort();
}

function inPosix(folder, file) {
  return path.relative(folder, file).split(path.sep).join('/');
}

function platformsIn(modules) {
  return fs.readdirSync(modules).filter((name) => name.startsWith('redlock-native-'));
}

function readManifest(folder) {
  return JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
}
