'use strict';

// What is published, installed into an app that has nothing else, and used from there.

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const { promisify } = require('node:util');
const ts = require('typescript');

const { npm } = require('../../scripts/npm');
const { pack } = require('../../scripts/package');

const ROOT = path.join(__dirname, '..', '..');
const CONSUMERS = path.join(__dirname, 'consumers');
const MODULES = path.join(ROOT, 'node_modules');
/** Where Node's types are in `node_modules`: of now, and of 2021. */
const NODE = '@types/node';
const NODE_14 = 'types-node-14';

/** Of the files in compat/: what package.json's `exports` lead to. */
const IS_ENTRY = /^compat\/(v\d|redlock-async|v5\/index|redislock\/\w+)\.js$/;

const folders = [];
after(() => {
  for (const folder of folders) fs.rmSync(folder, { recursive: true });
});

/** @type {{main: string, platforms: string[]}} */
let packages;
before(async () => {
  packages = await pack(makeFolder());
});

describe('the packages', () => {
  let installed;
  before(async () => {
    installed = path.join(await appWith('redlock-native'), 'node_modules');
  });

  test('hold what is used, and nothing else', () => {
    const compat = filesIn(path.join(ROOT, 'compat')).map((file) => `compat/${file}`);
    assert.deepEqual(filesIn(path.join(installed, 'redlock-native')), [
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'binding.js',
      ...compat.filter((file) => !file.endsWith('.js') || IS_ENTRY.test(file)),
      'index.d.mts',
      'index.d.ts',
      'index.js',
      'index.mjs',
      // What they have in common is one file.
      ...['lib/addon.js', 'lib/bundle.js', 'lib/unloadable.js'],
      'package.json',
    ]);
    const [platform] = platformsIn(installed);
    const addon = readManifest(path.join(installed, platform)).main;
    assert.match(addon, /^redlock-native\..+\.node$/);
    assert.deepEqual(filesIn(path.join(installed, platform)), [
      'LICENSE',
      'README.md',
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
    // What isn't published yet would fail `npm ci` here.
    assert.equal(ours.optionalDependencies, undefined);
  });

  test('say where the addon runs', () => {
    const [platform] = platformsIn(installed);
    const { os: systems, cpu, libc } = readManifest(path.join(installed, platform));
    assert.deepEqual(systems, [process.platform]);
    assert.deepEqual(cpu, [process.arch]);
    assert.deepEqual(libc, process.platform === 'linux' ? [libcHere()] : undefined);
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
    compile(app, files, options, NODE_14);
    assert.equal(await run(app, 'import-module.mjs'), 'released\n');
  });

  test('may be meant for a bundler', async () => {
    const options = { module: 'esnext', moduleResolution: 'bundler', noEmit: true };
    compile(app, ['import-module.mts'], options);
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
    compile(app, ['classic-module.mts'], {
      module: 'esnext',
      moduleResolution: 'bundler',
      noEmit: true,
    });
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

/** @type {Map<string, Promise<string>>} */
const apps = new Map();

/**
 * A new app that has the package under that name, and the consumers of it. npm is asked once for each name.
 *
 * @param {string} name
 */
async function appWith(name) {
  if (!apps.has(name)) {
    const spec = name === 'redlock-native' ? packages.main : `${name}@file:${packages.main}`;
    apps.set(name, install(spec, ...packages.platforms));
  }
  const app = makeFolder();
  fs.cpSync(await apps.get(name), app, { recursive: true, verbatimSymlinks: true });
  addConsumers(app, name);
  return app;
}

/**
 * A new app in which these are installed, as far as that goes without a network and a cache.
 *
 * @param {...string} specs
 */
async function install(...specs) {
  const app = makeFolder();
  // Without one, npm would look for an app in the folders above.
  fs.writeFileSync(path.join(app, 'package.json'), '{ "private": true }\n');
  await npm(app, ['install', '--offline', '--cache', makeFolder(), ...specs]);
  return app;
}

function addConsumers(app, name) {
  for (const file of fs.readdirSync(CONSUMERS)) {
    const text = fs.readFileSync(path.join(CONSUMERS, file), 'utf8');
    fs.writeFileSync(path.join(app, file), text.replaceAll("'redlock-native", `'${name}`));
  }
}

/**
 * Compiles TypeScript in the app, as tsc does it by such a tsconfig.json; fails with what is wrong with it. Types of
 * TypeScript and Node.js themselves are not looked over: that takes most of tsc's time.
 *
 * @param {string} app
 * @param {string[]} files
 * @param {Record<string, unknown>} options
 * @param {string} [node] the folder of its types in `node_modules`
 */
function compile(app, files, options, node = NODE) {
  const types = path.join(app, 'types');
  fs.rmSync(types, { recursive: true, force: true });
  fs.mkdirSync(types);
  fs.symlinkSync(path.join(MODULES, node), path.join(types, 'node'), 'junction');
  const config = {
    compilerOptions: {
      target: 'es2023',
      lib: ['es2023'],
      strict: true,
      types: ['node'],
      typeRoots: [types],
      ...options,
    },
    files,
  };
  const parsed = ts.parseJsonConfigFileContent(config, ts.sys, app);
  const program = ts.createProgram(parsed.fileNames, parsed.options, hostFor(parsed.options));
  const inApp = program
    .getSourceFiles()
    .filter(({ fileName }) => !path.relative(app, fileName).startsWith('..'));
  // The package's own types are among them.
  assert.ok(inApp.some(({ fileName }) => /\/node_modules\/redlock(-native)?\/.*\.d\.m?ts$/.test(fileName)));
  // One by one: together, all types would be looked over.
  const emitted = inApp.filter((file) => !file.isDeclarationFile).map((file) => program.emit(file));
  const wrong = [
    ...parsed.errors,
    ...program.getOptionsDiagnostics(),
    ...program.getGlobalDiagnostics(),
    ...inApp.flatMap((file) => [
      ...program.getSyntacticDiagnostics(file),
      ...program.getSemanticDiagnostics(file),
    ]),
    ...emitted.flatMap(({ diagnostics }) => diagnostics),
  ];
  const host = {
    getCanonicalFileName: (name) => name,
    getCurrentDirectory: () => app,
    getNewLine: () => '\n',
  };
  assert.equal(ts.formatDiagnostics(wrong, host), '');
}

/** The types of TypeScript and Node.js, read once for all programs of the same options. @type {Map<string, any>} */
const readOnce = new Map();

/** @param {import('typescript').CompilerOptions} options */
function hostFor(options) {
  const host = ts.createCompilerHost(options);
  const { getSourceFile } = host;
  host.getSourceFile = (file, ...rest) => {
    if (path.relative(MODULES, file).startsWith('..')) return getSourceFile(file, ...rest);
    const key = JSON.stringify([file, options]);
    if (!readOnce.has(key)) readOnce.set(key, getSourceFile(file, ...rest));
    return readOnce.get(key);
  };
  return host;
}

/** Runs a file of the app; resolves with its stdout. */
async function run(app, file) {
  // Else it would be that addon which is tried.
  const { NAPI_RS_NATIVE_LIBRARY_PATH: _, ...env } = process.env;
  const options = { cwd: app, env, timeout: 30_000 };
  const { stdout } = await promisify(execFile)(process.execPath, [file], options);
  return stdout;
}

function makeFolder() {
  const folder = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-native-pack-')));
  folders.push(folder);
  return folder;
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

function libcHere() {
  const { header } = /** @type {any} */ (process.report.getReport());
  return header.glibcVersionRuntime ? 'glibc' : 'musl';
}
