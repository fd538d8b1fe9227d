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

const { build } = require('esbuild');

const { npm } = require('../../scripts/npm');
const { MODULES } = require('../../scripts/runtimes');
const { unpack } = require('../../scripts/package/tarball');
const { pack } = require('../../scripts/package/tarballs');
const { compileAddon } = require('../support/tiny-addons');
const ours = require('../../package.json');

const ROOT = path.join(__dirname, '..', '..');
const execute = promisify(execFile);

/** Where npm has put it, if this is a machine for it. */
const DENO = path.join(MODULES, '@deno', 'linux-x64-glibc', 'deno');
/** Whoever isn't root. */
const NOBODY = 65534;

const folders = [];
after(() => {
  for (const folder of folders) fs.rmSync(folder, { recursive: true });
});

/** What the package for this platform is called, and all of them; its addon, and an app in which it is installed. */
let platform;
let platforms;
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
  platforms = Object.keys(readManifest(path.join(modules, 'redlock-native')).optionalDependencies);
  addon = path.join(modules, platform, readManifest(path.join(modules, platform)).main);
});

test('what can be used is', async () => {
  assert.equal(await requireIn(installed), undefined);
});

describe('an error names the package, the version, the platform, Node.js, and what is to be done', () => {
  test('if optional dependencies were omitted', async () => {
    const error = await requireIn(makeApp());
    says(
      error,
      'OMITTED',
      /optional dependency that was left out.*--omit=optional/,
      /npm install --include=optional/,
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
    const todo = /Delete package-lock\.json.*\(npm install\).*npm install --save-optional redlock-native-/;
    says(await requireIn(app), 'LOCKFILE', /package-lock\.json doesn't have it/, todo);
  });

  test('if it was left out by another package manager than npm, with that one’s commands', async () => {
    const commands = [
      ['pnpm-lock.yaml', 'pnpm install, without --no-optional', 'pnpm add '],
      ['yarn.lock', 'yarn install, without --ignore-optional', 'yarn add '],
      ['bun.lock', 'bun install, without --omit=optional', 'bun add '],
      ['bun.lockb', 'bun install, without --omit=optional', 'bun add '],
      ['deno.lock', 'deno install', 'deno add npm:'],
    ];
    for (const [lockfile, withOptional, add] of commands) {
      const app = makeApp();
      fs.rmSync(path.join(app, 'package-lock.json'));
      fs.writeFileSync(path.join(app, lockfile), `"${platform}@${ours.version}"`);
      const { reason, message } = await requireIn(app);
      assert.equal(reason, 'OMITTED', message);
      assert.ok(message.includes(`: ${withOptional}; or`), message);
      assert.ok(message.endsWith(`: ${add}${platform}@${ours.version}.`), message);
    }
  });

  test('if it could not be installed, which npm passes over', async () => {
    const app = makeFolder();
    fs.writeFileSync(path.join(app, 'package.json'), '{ "private": true }\n');
    await install(app, packages.main);
    const error = await requireIn(app);
    assert.ok(['OMITTED', 'LOCKFILE'].includes(error.reason), error.message);
    assert.equal(error.package, platform);
  });

  test('if Yarn’s Plug’n’Play has left it out, or what it has unpacked is gone', async () => {
    const inOwn = 'Source path: /app/.yarn/cache/redlock-native.zip/node_modules/redlock-native/';
    const unplugged = `/app/.yarn/unplugged/${platform}-npm-0.1.0-f348e6d40e/node_modules/${platform}/`;
    const missing =
      'Required unplugged package missing from disk. This may happen when switching branches without running installs ' +
      '(unplugged packages must be fully materialized on disk to work).\n\n' +
      `Missing package: ${platform}@npm:0.1.0\nExpected package location: ${unplugged}\n`;
    const first =
      "A dependency seems valid but didn't get installed for some reason. This might be caused by a partial install, " +
      `such as dev vs prod.\n\nRequired package: ${platform}@npm:0.1.0\n`;
    for (const text of [missing, first]) {
      says(
        await requireIn(makeApp(), { code: plugAndPlay(inOwn, text) }),
        'NOT_INSTALLED',
        new RegExp(`${platform} .*Plug'n'Play has not installed it`),
        /Run yarn install here.*supportedArchitectures/,
      );
    }
    const empty = `${NOT_QUALIFIED}Source path: ${unplugged}\nNot found: ${unplugged}\n`;
    says(
      await requireIn(makeApp(), { code: plugAndPlay(inOwn, empty) }),
      'BROKEN',
      /the addon in it is missing/,
      /in \.yarn\/unplugged and install again here: yarn install/,
    );
  });

  /**
   * In its words, which were taken down from Yarn 4.18.
   *
   * @param {string} inOwn where it looks for what is asked for by a path
   * @param {string} ofPlatform what it says of the platform's package
   */
  function plugAndPlay(inOwn, ofPlatform) {
    const ofWasi =
      "redlock-native tried to access redlock-native-wasm32-wasi, but it isn't declared in its dependencies; " +
      'this makes the require call ambiguous and unsound.\n\nRequired package: redlock-native-wasm32-wasi\n';
    return `Object.defineProperty(process, 'versions', { value: { ...process.versions, pnp: '3' } });
      const Module = require('node:module');
      const resolve = Module._resolveFilename;
      Module._resolveFilename = function (request, ...rest) {
        if (request === '${platform}') throw new Error(${JSON.stringify(ofPlatform)});
        if (request.startsWith('redlock-native-wasm32-wasi')) throw new Error(${JSON.stringify(ofWasi)});
        if (!/^\\.\\/redlock-native\\./.test(request)) return resolve.call(this, request, ...rest);
        const at = ${JSON.stringify(inOwn)} + request.slice(2);
        throw new Error(${JSON.stringify(NOT_QUALIFIED)} + at + '\\nNot found: ' + at + '.js');
      };`;
  }

  const NOT_QUALIFIED =
    'Qualified path resolution failed: we looked for the following paths, but none could be accessed.\n\n';

  test('if node_modules was made on another platform', async () => {
    const app = makeApp();
    const other = platforms.find((name) => name !== platform);
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
    says(error, 'PLATFORM', /there is none for this platform/, /linux-x64-gnu, linux-x64-musl, /);
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
    says(error, 'PERMISSION', /doesn't allow its file to be read/, /--allow-fs-read for node_modules/);
  });

  test('if Deno forbids something', { skip: noDeno() }, async () => {
    const forbidden = [
      [['--allow-read', '--allow-env'], /Deno allows it no ffi access/, /Start it with --allow-ffi\./],
      [['--allow-read', '--allow-ffi'], /Deno allows it no env access/, /Start it with --allow-env\./],
      [
        ['--allow-env', '--allow-ffi'],
        /not find out which libc/,
        /Start it with --allow-read=\/usr\/bin\/ldd/,
      ],
    ];
    for (const [flags, what, todo] of forbidden) {
      says(await requireInDeno(installed, flags), 'PERMISSION', what, todo);
    }
    const enough = ['--allow-env', '--allow-ffi', '--allow-read=/usr/bin/ldd'];
    assert.equal(await requireInDeno(installed, enough), undefined);
  });

  test('if its file was cut off, wherever it lies, and the process goes on', async () => {
    const whole = fs.readFileSync(addon);
    for (const part of [0.1, 0.5, 0.9]) {
      const bytes = Math.floor(whole.length * part);
      const app = makeApp({ addon: whole.subarray(0, bytes) });
      const cut = process.platform === 'linux' ? new RegExp(`has ${bytes} of ${whole.length} bytes`) : /\(/;
      says(await requireIn(app), 'BROKEN', cut, /install again here: npm install\./);
      const file = path.join(app, 'node_modules', platform, path.basename(addon));
      const given = await requireIn(installed, { env: { NAPI_RS_NATIVE_LIBRARY_PATH: file } });
      says(given, 'ENVIRONMENT', cut, /Unset it/);
      const beside = makeApp();
      fs.copyFileSync(file, path.join(beside, 'node_modules', 'redlock-native', path.basename(addon)));
      says(await requireIn(beside), 'BROKEN', cut, /install again here/);
      if (noDeno()) continue;
      says(await requireInDeno(app, ['--allow-all']), 'BROKEN', cut, /install again here/);
    }
  });

  test('if its file, its folder or its package.json may not be read', { skip: noPermissions() }, async () => {
    const app = makeApp({ addon: fs.readFileSync(addon) });
    const folder = path.join(app, 'node_modules', platform);
    for (const file of [path.join(folder, path.basename(addon)), path.join(folder, 'package.json'), folder]) {
      const { mode } = fs.statSync(file);
      fs.chmodSync(file, 0);
      const error = await requireIn(app, { asNobody: true });
      fs.chmodSync(file, mode);
      says(error, 'NOT_READABLE', /is installed, but may not be read \(.*permission denied/i, /permissions/);
      assert.equal(error.package, platform);
    }
    assert.equal(await requireIn(app, { asNobody: true }), undefined);
  });

  test('if its package.json is broken or missing', async () => {
    const app = makeApp({ addon: fs.readFileSync(addon) });
    const manifest = path.join(app, 'node_modules', platform, 'package.json');
    fs.writeFileSync(manifest, '{');
    says(await requireIn(app), 'BROKEN', /its package\.json is broken or missing/, /install again here/);
    fs.rmSync(manifest);
    says(await requireIn(app), 'BROKEN', /its package\.json is broken or missing/, /install again here/);
  });

  test('if the process can open no more files', { skip: notGlibc() }, async () => {
    const code = `const fs = require('node:fs');
      const { dlopen } = process;
      const exhaust = () => { for (;;) fs.openSync(__filename); };
      process.dlopen = (...args) => { try { exhaust(); } catch { return dlopen.apply(process, args); } };`;
    // Node.js raises the limit to what it may be.
    const limited = { program: '/bin/sh', flags: ['-c', 'ulimit -n 64 && exec "$0" "$@"', process.execPath] };
    const { code: named, message } = await requireIn(installed, { code, ...limited });
    assert.equal(named, 'ERR_REDLOCK_ADDON');
    assert.match(message, /too many open files/i);
  });

  test('if the system refuses it, in the words of each', async () => {
    const file = path.join(installed, 'addon.node');
    const refusals = [
      ['NOT_EXECUTABLE', `${file}: failed to map segment from shared object: Operation not permitted`],
      ['NOT_EXECUTABLE', `Access is denied.\r\n\\\\?\\${file}`],
      ['NOT_READABLE', `${file}: cannot open shared object file: Permission denied`],
      ['NOT_READABLE', `Error loading shared library ${file}: Permission denied`],
      ['RESOURCES', `${file}: failed to map segment from shared object: Cannot allocate memory`],
      ['RESOURCES', `${file}: cannot open shared object file: Too many open files`],
      [
        'SIGNATURE',
        `dlopen(${file}, 0x0001): tried: '${file}' (code signature in <2F> '${file}' not valid for use in process: mapping process and mapped file (non-platform) have different Team IDs)`,
      ],
      ['BROKEN', `${file}: cannot read file data: Input/output error`],
      ['BROKEN', `${file}: cannot open shared object file: No such file or directory`],
      ['BROKEN', `\\\\?\\${file} is not a valid Win32 application.`],
      [
        'LIBC',
        `Error loading shared library ld-linux-x86-64.so.2: No such file or directory (needed by ${file})`,
      ],
      ['NOT_LOADED', `${file}: cannot allocate memory in static TLS block`],
      ['NOT_LOADED', `${file}: something that nobody has seen`],
    ];
    for (const [reason, text] of refusals) {
      const code = `process.dlopen = () => { throw new Error(${JSON.stringify(text)}); };`;
      const error = await requireIn(installed, { code });
      says(error, reason, /can't use its addon/, /\. [A-Z].+\.$/);
      assert.ok(error.message.includes(text.split('\r')[0]), error.message);
      assert.equal(error.package, platform);
    }
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
    says(await requireIn(app), 'BROKEN', /the addon in it is missing/, /Let nothing delete \*\.node files/);
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
    const real = fs.realpathSync(addon);
    assert.ok(error.message.includes(`the addon of ${ours.version}, from ${real};`), error.message);
    assert.deepEqual([error.package, error.file], [platform, real]);
  });

  test('if its package is of another version, and the environment has that checked', async () => {
    const app = makeApp({ addon: fs.readFileSync(addon) });
    const manifest = path.join(app, 'node_modules', platform, 'package.json');
    fs.writeFileSync(manifest, fs.readFileSync(manifest, 'utf8').replace(`"${ours.version}"`, '"0.0.9"'));
    const error = await requireIn(app, { env: { NAPI_RS_ENFORCE_VERSION_CHECK: '1' } });
    says(error, 'OTHER_VERSION', /the addon of 0\.0\.9, from /, /install again/);
    assert.equal(error.package, platform);
  });

  test('if what was loaded is no addon', async () => {
    const app = makeApp({ addon: Buffer.alloc(0) });
    const manifest = path.join(app, 'node_modules', platform, 'package.json');
    const main = path.join(fs.realpathSync(path.dirname(manifest)), 'none.js');
    fs.writeFileSync(main, '');
    fs.writeFileSync(manifest, JSON.stringify({ ...readManifest(path.dirname(manifest)), main: 'none.js' }));
    const error = await requireIn(app);
    says(error, 'NO_ADDON', /in its place is no addon, from .*none\.js/, /install again here/);
    assert.deepEqual([error.package, error.file], [platform, main]);
  });

  test('if the environment leads to one of another version, or to none', async () => {
    const file = path.join(makeFolder(), 'old.js');
    fs.writeFileSync(file, 'exports.Mailbox = class {};');
    const old = await requireIn(installed, { env: { NAPI_RS_NATIVE_LIBRARY_PATH: file } });
    says(
      old,
      'OTHER_VERSION',
      /the addon of an older one, from .*old\.js;/,
      /NAPI_RS_NATIVE_LIBRARY_PATH leads to it/,
    );
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

  test('if it was bundled by esbuild where there is no addon', async () => {
    const app = makeApp();
    const folder = makeFolder();
    await build({
      stdin: { contents: "require('redlock-native')", resolveDir: app },
      outfile: path.join(folder, 'node_modules', 'redlock-native', 'index.js'),
      bundle: true,
      platform: 'node',
      logLevel: 'silent',
    });
    says(await requireIn(folder), 'BUNDLED', /was bundled, and the addon/, /--external:redlock-native/);
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
    fs.writeFileSync(path.join(source, 'redlock-native.node'), fs.readFileSync(addon).subarray(0, 1_000_000));
    const cut = process.platform === 'linux' ? /\(.*redlock-native\.node has 1000000 of \d+ bytes\)/ : /\(/;
    says(await requireIn(app), 'SOURCE', cut, /npm rebuild/);
    fs.writeFileSync(
      path.join(source, 'index.js'),
      "exports.Mailbox = class {}; exports.version = () => '0.0.9';",
    );
    const old = await requireIn(app);
    says(old, 'OTHER_VERSION', /the addon of 0\.0\.9, from /, /npm install redlock-native-source@/);
    assert.equal(old.package, SOURCE);
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
 * @param {{flags?: string[], workerFlags?: string[], env?: Record<string, string>, code?: string, program?: string, asNobody?: boolean}} [options]
 * @returns {Promise<any>} what that throws, if it does
 */
function requireIn(
  app,
  { flags = [], workerFlags, env = {}, code = '', program = process.execPath, asNobody = false } = {},
) {
  const file = path.join(app, 'require.cjs');
  const text = `${code}
try {
  require('redlock-native');
  console.log('{}');
} catch (error) {
  const { code, reason, message, package: name, file, cause } = error;
  console.log(JSON.stringify({ error: { code, reason, message, package: name, file, cause: String(cause) } }));
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
  const user = asNobody && process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  if (asNobody) fs.chmodSync(app, 0o755);
  const options = { cwd: app, env: { ...inherited, ...env }, timeout: 60_000, ...user };
  return new Promise((resolve, reject) => {
    execFile(program, [...flags, fs.realpathSync(main)], options, (error, stdout, stderr) => {
      if (error) reject(new Error(`${error.message}\n${stderr}`));
      else resolve(JSON.parse(stdout).error);
    });
  });
}

/**
 * @param {string} app
 * @param {string[]} flags
 */
function requireInDeno(app, flags) {
  const all = ['run', '--no-prompt', '--node-modules-dir=manual', '--no-config', ...flags];
  return requireIn(app, { program: DENO, flags: all });
}

function noDeno() {
  return !fs.existsSync(DENO) && 'there is no Deno: npm ci --prefix __test__/runtimes';
}

function noPermissions() {
  return process.platform === 'win32' && 'Windows has other permissions';
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
