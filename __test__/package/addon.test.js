'use strict';

// An addon that can't be used: what the error says where exactly that is the case. Each test makes the case, out of
// the packages as they are published.

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const { promisify } = require('node:util');

const { npm } = require('../../scripts/npm');
const { unpack } = require('../../scripts/package/tarball');
const { pack } = require('../../scripts/package/tarballs');
const { TARGETS } = require('../../lib/unloadable');
const { compileAddon } = require('../support/tiny-addons');
const ours = require('../../package.json');

const ROOT = path.join(__dirname, '..', '..');
const execute = promisify(execFile);

const folders = [];
after(() => {
  for (const folder of folders) fs.rmSync(folder, { recursive: true });
});

/** What the package for this platform is called, its addon, and an app in which it is installed. */
let platform;
let addon;
let installed;
let packages;
before(async () => {
  packages = await pack(makeFolder());
  installed = makeFolder();
  fs.writeFileSync(path.join(installed, 'package.json'), '{ "private": true }\n');
  await install(installed, packages.main, ...packages.platforms);
  const modules = path.join(installed, 'node_modules');
  platform = fs.readdirSync(modules).find((name) => name.startsWith('redlock-native-'));
  addon = path.join(modules, platform, readManifest(path.join(modules, platform)).main);
});

test('what can be used is', async () => {
  assert.equal(await requireIn(installed), undefined);
});

test('every platform that there is a package for is known, and no other', () => {
  const { optionalDependencies } = readManifest(path.join(installed, 'node_modules', 'redlock-native'));
  assert.deepEqual(
    Object.keys(optionalDependencies).sort(),
    TARGETS.map((target) => `redlock-native-${target}`).sort(),
  );
});

describe('an error names the package, the version, the platform, Node.js, and what is to be done', () => {
  test('if optional dependencies were omitted', async () => {
    const error = await requireIn(makeApp());
    says(
      error,
      'OMITTED',
      /optional dependency that was left out.*--omit=optional/,
      /npm ci --include=optional/,
    );
    assert.ok(error.message.includes(`${platform} ${ours.version}`), error.message);
    assert.ok(
      error.message.includes(`Node.js ${process.versions.node}, ${process.platform} ${process.arch}`),
    );
    if (process.platform === 'linux') assert.match(error.message, /, (glibc \d+\.\d+|musl( [\d.]+)?)\)/);
    assert.equal(error.package, platform);
    assert.ok(error.message.includes(`npm install ${platform}@${ours.version}`), error.message);
  });

  test('if the lockfile doesn’t have it', async () => {
    const app = makeApp();
    const file = path.join(app, 'package-lock.json');
    const lock = JSON.parse(fs.readFileSync(file, 'utf8'));
    delete lock.packages[`node_modules/${platform}`];
    fs.writeFileSync(file, JSON.stringify(lock));
    says(await requireIn(app), 'LOCKFILE', /package-lock\.json doesn't have it/, /Delete package-lock\.json/);
  });

  test('if it could not be installed, which npm passes over', async () => {
    const app = makeFolder();
    fs.writeFileSync(path.join(app, 'package.json'), '{ "private": true }\n');
    await install(app, packages.main);
    const error = await requireIn(app);
    assert.ok(['OMITTED', 'LOCKFILE'].includes(error.reason), error.message);
    assert.equal(error.package, platform);
  });

  test('if Yarn’s Plug’n’Play has left it out', async () => {
    // As its resolution refuses what is not for this platform.
    const code = `Object.defineProperty(process, 'versions', { value: { ...process.versions, pnp: '3' } });
      const Module = require('node:module');
      const resolve = Module._resolveFilename;
      Module._resolveFilename = function (request, ...rest) {
        if (request !== '${platform}') return resolve.call(this, request, ...rest);
        throw new Error("A dependency seems valid but didn't get installed for some reason.\\n\\nRequired package: " + request);
      };`;
    says(
      await requireIn(makeApp(), { code }),
      'NOT_INSTALLED',
      /Plug'n'Play has not installed it/,
      /supportedArchitectures/,
    );
  });

  test('if node_modules was made on another platform', async () => {
    const app = makeApp();
    const other = TARGETS.map((target) => `redlock-native-${target}`).find((name) => name !== platform);
    fs.mkdirSync(path.join(app, 'node_modules', other));
    says(
      await requireIn(app),
      'OTHER_PLATFORM',
      new RegExp(`${other} is: .*another platform`),
      /install again here/,
    );
  });

  test('if there is none for the platform', async () => {
    const code = "Object.defineProperty(process, 'arch', { value: 'riscv64' });";
    const error = await requireIn(installed, { code });
    says(error, 'PLATFORM', /there is none for this platform/, new RegExp(TARGETS.join(', ')));
    assert.equal(error.package, undefined);
  });

  test('if --no-addons forbids it, in a worker too', async () => {
    const flags = ['--no-addons'];
    says(await requireIn(installed, { flags }), 'NO_ADDONS', /started with --no-addons/, /NODE_OPTIONS/);
    says(
      await requireIn(installed, { workerFlags: flags }),
      'NO_ADDONS',
      /--no-addons/,
      /execArgv of a Worker/,
    );
  });

  test('if the permission model forbids it', async () => {
    const flags = [permissionFlag(), '--allow-fs-read=*'];
    const error = await requireIn(installed, { flags });
    says(error, 'PERMISSION', /permission model is on/, /Start it with --allow-addons/);
    assert.equal(await requireIn(installed, { flags: [...flags, '--allow-addons'] }), undefined);
  });

  test('if the permission model lets nobody read it', async () => {
    const modules = path.join(fs.realpathSync(installed), 'node_modules', 'redlock-native');
    const script = path.join(fs.realpathSync(installed), 'require.cjs');
    const reads = [`--allow-fs-read=${modules}${path.sep}*`, `--allow-fs-read=${script}`];
    const error = await requireIn(installed, { flags: [permissionFlag(), '--allow-addons', ...reads] });
    // Node.js 20 loads an addon that it may not read.
    if (error)
      says(error, 'PERMISSION', /doesn't allow its file to be read/, /--allow-fs-read for node_modules/);
  });

  test('if its file is broken, or is gone', async () => {
    const app = makeApp({ addon: Buffer.from('no addon') });
    says(
      await requireIn(app),
      'BROKEN',
      /its file is broken, or for another machine \(/,
      /install again here/,
    );
    fs.rmSync(path.join(app, 'node_modules', platform, path.basename(addon)));
    says(await requireIn(app), 'BROKEN', /the addon in it is missing/, /let nothing delete \*\.node files/);
  });

  test('if its file is for another machine, or for another libc', { skip: notGlibc() }, async () => {
    const machine = process.arch === 'x64' ? 'arm64' : 'x64';
    const foreign = compileAddon(makeFolder(), `linux-${machine}-gnu`, ours.version);
    const app = makeApp({ addon: fs.readFileSync(foreign) });
    says(await requireIn(app), 'BROKEN', /broken, or for another machine/, /install again here/);
    const code = 'extern int atoi(const char *); int use(const char *text) { return atoi(text); }';
    const options = { code, libraries: ['-nostartfiles', '-lc'] };
    const musl = compileAddon(makeFolder(), `linux-${process.arch}-musl`, ours.version, options);
    const other = makeApp({ addon: fs.readFileSync(musl) });
    says(await requireIn(other), 'LIBC', /it is for another libc than this system's/, /install again here/);
  });

  test('if it needs a newer glibc', { skip: notGlibc() }, async () => {
    const bytes = fs.readFileSync(addon);
    const text = bytes.toString('latin1');
    const [needed] = /GLIBC_2\.\d\d(?=\0)/.exec(text);
    for (let at = text.indexOf(`${needed}\0`); at >= 0; at = text.indexOf(`${needed}\0`, at + 1)) {
      bytes.write('GLIBC_9.99', at, 'latin1');
    }
    const error = await requireIn(makeApp({ addon: bytes }));
    says(
      error,
      'GLIBC',
      /it needs GLIBC 9\.99 or newer, and this system's is older/,
      /newer system or image/,
    );
  });

  test('if it is of another version than the JavaScript', async () => {
    const app = makeApp({ link: true });
    const file = path.join(app, 'node_modules', 'redlock-native', 'package.json');
    fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace(`"${ours.version}"`, '"9.9.9"'));
    const error = await requireIn(app);
    says(error, 'OTHER_VERSION', /JavaScript is of version 9\.9\.9 and the addon of /, /install again/);
    assert.ok(error.message.includes(`the addon of ${ours.version};`), error.message);
  });

  test('if the environment leads to one of another version, or to none', async () => {
    const file = path.join(makeFolder(), 'old.js');
    fs.writeFileSync(file, 'exports.Mailbox = class {};');
    const old = await requireIn(installed, { env: { NAPI_RS_NATIVE_LIBRARY_PATH: file } });
    says(old, 'OTHER_VERSION', /the addon of an older one/, /NAPI_RS_NATIVE_LIBRARY_PATH leads to it/);
    const none = await requireIn(installed, { env: { NAPI_RS_NATIVE_LIBRARY_PATH: '/nowhere.node' } });
    says(none, 'ENVIRONMENT', /leads to "\/nowhere\.node", where there is none/, /Unset it/);
    const another = await requireIn(installed, { env: { NAPI_RS_FORCE_WASI: 'error' } });
    says(another, 'ENVIRONMENT', /NAPI_RS_FORCE_WASI asks for what/, /Unset it/);
  });

  test('if it was installed from git or a folder, and not built', async () => {
    const app = makeApp();
    const folder = path.join(app, 'node_modules', 'redlock-native');
    fs.copyFileSync(path.join(ROOT, 'package.json'), path.join(folder, 'package.json'));
    says(await requireIn(app), 'NOT_BUILT', /this is the source/, /npm run build/);
    // Neither is what the build generates in git.
    fs.rmSync(path.join(folder, 'binding.js'));
    says(await requireIn(app), 'NOT_BUILT', /this is the source/, /Install the published package/);
  });

  test('if it was bundled', async () => {
    // As bundlers do it, as far as this matters: the modules run elsewhere, and are not beside their package.json.
    const app = makeFolder();
    const folder = path.join(installed, 'node_modules', 'redlock-native');
    for (const name of ['lib', 'binding.js', 'index.js']) {
      fs.cpSync(path.join(folder, name), path.join(app, 'node_modules', 'redlock-native', name), {
        recursive: true,
      });
    }
    const bundle = path.join(app, 'node_modules', 'redlock-native');
    for (const file of ['addon.js', 'unloadable.js']) {
      const text = fs.readFileSync(path.join(bundle, 'lib', file), 'utf8');
      const inlined = text.replace("require('../package.json')", `(${JSON.stringify(readManifest(folder))})`);
      assert.notEqual(inlined, text);
      fs.writeFileSync(path.join(bundle, 'lib', file), inlined);
    }
    says(
      await requireIn(app),
      'BUNDLED',
      /was bundled, and the addon.* was left behind/,
      /--external:redlock-native/,
    );
    // A loader for files makes a path of it.
    fs.writeFileSync(path.join(bundle, 'binding.js'), "module.exports = './redlock-native-4F2A.node';");
    says(await requireIn(app), 'NO_ADDON', /is the path of a file/, /--external:redlock-native/);
  });
});

describe('where the source package is installed', () => {
  const SOURCE = 'redlock-native-source';

  test('and no platform’s is, what was compiled is loaded', async () => {
    const app = makeApp();
    fs.copyFileSync(addon, path.join(addSource(app), 'redlock-native.node'));
    assert.equal(await requireIn(app), undefined);
  });

  test('what was compiled is loaded in place of what can’t be', async () => {
    const app = makeApp({ addon: Buffer.from('no addon') });
    fs.copyFileSync(addon, path.join(addSource(app), 'redlock-native.node'));
    assert.equal(await requireIn(app), undefined);
  });

  test('but not compiled, the error says so', async () => {
    const app = makeApp();
    addSource(app);
    const error = await requireIn(app);
    says(error, 'SOURCE', /is installed, but has not compiled it/, /npm rebuild redlock-native-source/);
  });

  test('but what was compiled is broken, or of another version, the error says so', async () => {
    const app = makeApp();
    const source = addSource(app);
    fs.writeFileSync(path.join(source, 'redlock-native.node'), 'no addon');
    says(
      await requireIn(app),
      'SOURCE',
      /what redlock-native-source has compiled can't be loaded/,
      /npm rebuild/,
    );
    fs.writeFileSync(
      path.join(source, 'index.js'),
      "exports.Mailbox = class {}; exports.version = () => '0.0.9';",
    );
    const old = await requireIn(app);
    says(old, 'OTHER_VERSION', /the addon of 0\.0\.9;/, /npm install redlock-native-source@/);
  });

  test('the environment still decides', async () => {
    const app = makeApp();
    fs.copyFileSync(addon, path.join(addSource(app), 'redlock-native.node'));
    const error = await requireIn(app, { env: { NAPI_RS_NATIVE_LIBRARY_PATH: '/nowhere.node' } });
    says(error, 'ENVIRONMENT', /leads to "\/nowhere\.node"/, /Unset it/);
  });

  test('an error where there is nothing for the platform says how to come by it', async () => {
    const code = "Object.defineProperty(process, 'arch', { value: 'riscv64' });";
    const error = await requireIn(installed, { code });
    says(
      error,
      'PLATFORM',
      /there is none for this platform/,
      /npm install redlock-native-source@.*needs Rust's cargo/,
    );
  });

  test(
    'its install script has cargo compile it, and leaves the addon alone behind',
    noScripts(),
    async () => {
      const source = addSource(makeFolder());
      const { args } = await runBuild(source, { library: addon });
      assert.ok(args.includes('--release') && args.includes('--locked'), args.join(' '));
      assert.deepEqual(fs.readFileSync(path.join(source, 'redlock-native.node')), fs.readFileSync(addon));
      assert.equal(fs.existsSync(path.join(source, 'target')), false);
    },
  );

  test(
    'its install script says what it needs, if there is no cargo, or cargo fails',
    noScripts(),
    async () => {
      const source = addSource(makeFolder());
      const needs =
        /redlock-native-source could not be built: .*It needs Rust's cargo, 1\.\d+ or newer, a C compiler/;
      await assert.rejects(runBuild(source, {}), ({ stderr }) => {
        assert.match(stderr, /cargo could not be started/);
        assert.match(stderr, needs);
        return true;
      });
      await assert.rejects(runBuild(source, { status: 101 }), ({ stderr }) => {
        assert.match(stderr, /cargo ended with 101/);
        assert.match(stderr, needs);
        return true;
      });
      assert.equal(fs.existsSync(path.join(source, 'redlock-native.node')), false);
    },
  );

  test('its lockfile is what its crates need, and its cargo compiles as ours does', {
    timeout: 120_000,
  }, async () => {
    const source = addSource(makeFolder());
    const args = ['metadata', '--locked', '--offline', '--format-version', '1'];
    const { stdout } = await execute('cargo', args, { cwd: source, maxBuffer: 1 << 28 });
    const { packages: crates } = JSON.parse(stdout);
    assert.ok(
      crates.some(({ name, version }) => name === 'redlock-native-addon' && version === ours.version),
    );
    const [, profile] = /^\[profile\.release\]\n((?:.+\n)*)/m.exec(textOf(ROOT, 'Cargo.toml'));
    assert.ok(textOf(source, 'Cargo.toml').includes(profile));
  });

  /**
   * @param {string} app
   * @returns {string} the package's folder
   */
  function addSource(app) {
    const folder = path.join(app, 'node_modules', SOURCE);
    unpack(packages.source, folder);
    return folder;
  }

  /**
   * Runs the install script with a cargo that compiles nothing, or with none.
   *
   * @param {string} source
   * @param {{library?: string, status?: number}} cargo what it says that it has made, or how it ends
   * @returns {Promise<{args: string[]}>} what it was told
   */
  async function runBuild(source, { library, status = 0 }) {
    const programs = makeFolder();
    const told = path.join(programs, 'told.json');
    if (library || status) {
      // By its extension it says that it has made what this system calls a library.
      const made = library && path.join(programs, 'libredlock_native.so');
      if (made) fs.copyFileSync(library, made);
      const code = `#!${process.execPath}
        require('node:fs').writeFileSync(${JSON.stringify(told)}, JSON.stringify(process.argv.slice(2)));
        console.log(${JSON.stringify(JSON.stringify({ target: { name: 'redlock_native' }, filenames: [made] }))});
        process.exitCode = ${status};`;
      fs.writeFileSync(path.join(programs, 'cargo'), code, { mode: 0o755 });
    }
    await execute(process.execPath, ['build.js'], { cwd: source, env: { ...process.env, PATH: programs } });
    return { args: JSON.parse(fs.readFileSync(told, 'utf8')) };
  }
});

/**
 * @param {any} error
 * @param {string} reason
 * @param {RegExp} what
 * @param {RegExp} todo
 */
function says(error, reason, what, todo) {
  assert.equal(error?.code, 'ERR_REDLOCK_ADDON', JSON.stringify(error));
  assert.equal(error.reason, reason, error.message);
  assert.match(error.message, what);
  assert.match(error.message, todo);
  // Of what there is no package for, nobody wants to read.
  assert.doesNotMatch(`${error.message} ${error.cause}`, /wasi\b|wasm|android|freebsd|universal/);
}

/**
 * An app without the platform's package, though its lockfile has it; or with an addon in it that isn't ours; or with
 * a link to ours.
 *
 * @param {{addon?: Buffer, link?: boolean}} [options]
 */
function makeApp({ addon: bytes, link = false } = {}) {
  const app = makeFolder();
  const from = path.join(installed, 'node_modules');
  const to = path.join(app, 'node_modules');
  fs.cpSync(path.join(from, 'redlock-native'), path.join(to, 'redlock-native'), { recursive: true });
  fs.copyFileSync(path.join(installed, 'package-lock.json'), path.join(app, 'package-lock.json'));
  if (bytes) {
    fs.mkdirSync(path.join(to, platform));
    fs.copyFileSync(path.join(from, platform, 'package.json'), path.join(to, platform, 'package.json'));
    fs.writeFileSync(path.join(to, platform, path.basename(addon)), bytes);
  }
  if (link) fs.symlinkSync(path.join(from, platform), path.join(to, platform), 'junction');
  return app;
}

/**
 * Requires the package in a process of the app.
 *
 * @param {string} app
 * @param {{flags?: string[], workerFlags?: string[], env?: Record<string, string>, code?: string}} [options]
 * @returns {Promise<any>} what that throws, if it does
 */
function requireIn(app, { flags = [], workerFlags, env = {}, code = '' } = {}) {
  const file = path.join(app, 'require.cjs');
  const text = `${code}
try {
  require('redlock-native');
  console.log('{}');
} catch (error) {
  const { code, reason, message, package: name, cause } = error;
  console.log(JSON.stringify({ error: { code, reason, message, package: name, cause: String(cause) } }));
}`;
  fs.writeFileSync(file, text);
  if (workerFlags) {
    const options = JSON.stringify({ execArgv: workerFlags });
    const worker = `new (require('node:worker_threads').Worker)(${JSON.stringify(file)}, ${options});`;
    fs.writeFileSync(path.join(app, 'worker.cjs'), worker);
  }
  const main = workerFlags ? path.join(app, 'worker.cjs') : file;
  // Else it would be that addon which is tried.
  const { NAPI_RS_NATIVE_LIBRARY_PATH: _, ...inherited } = process.env;
  const options = { cwd: app, env: { ...inherited, ...env }, timeout: 60_000 };
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [...flags, fs.realpathSync(main)], options, (error, stdout, stderr) => {
      if (error) reject(new Error(`${error.message}\n${stderr}`));
      else resolve(JSON.parse(stdout).error);
    });
  });
}

/** Installs as far as that goes without a network and a cache. */
async function install(app, ...specs) {
  await npm(app, ['install', '--offline', '--cache', makeFolder(), ...specs]);
}

function permissionFlag() {
  return process.allowedNodeEnvironmentFlags.has('--permission')
    ? '--permission'
    : '--experimental-permission';
}

/** A cargo of ours is a script. */
function noScripts() {
  return { skip: process.platform === 'win32' && 'Windows starts no scripts by their first line' };
}

function notGlibc() {
  const { header } = /** @type {any} */ (process.report.getReport());
  return header.glibcVersionRuntime ? false : 'there is no glibc here';
}

function makeFolder() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-native-addon-'));
  folders.push(folder);
  return folder;
}

function readManifest(folder) {
  return JSON.parse(textOf(folder, 'package.json'));
}

function textOf(folder, file) {
  return fs.readFileSync(path.join(folder, file), 'utf8');
}
