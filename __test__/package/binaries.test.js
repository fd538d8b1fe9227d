'use strict';

// What is found in an addon's file, and what keeps it from being published. The files are of a few bytes each, made here for
// every platform.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');

const { glibcOf, readBinaries } = require('../../scripts/package/binaries');
const { problemsOf } = require('../../scripts/package/checks');
const { TARGETS } = require('../../scripts/package/targets');
const { BARE, compileAddon } = require('../support/tiny-addons');

const VERSION = '1.2.3';
/** Of each format. */
const ONE_OF_EACH = ['linux-x64-gnu', 'darwin-arm64', 'win32-arm64-msvc'];
const PACKAGES = ['linux-x64-gnu', 'linux-arm64-musl', 'darwin-x64', 'darwin-arm64', 'win32-arm64-msvc'];

let folder;
before(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-native-binaries-'));
});
after(() => fs.rmSync(folder, { recursive: true, force: true }));

for (const name of PACKAGES) {
  test(`what is right for ${name} may be published`, () => {
    const binary = read(compile(name));
    assert.deepEqual(problems(name, binary), []);
    assert.equal(binary.version, VERSION);
    assert.ok(binary.exports.includes('napi_register_module_v1'));
  });
}

describe('what keeps an addon from being published', () => {
  test('that it is for another machine or system', () => {
    assert.match(
      refusal('linux-arm64-musl', compile('linux-x64-gnu')),
      /it is elf for x64, not elf for arm64/,
    );
    assert.match(refusal('linux-x64-gnu', compile('darwin-x64')), /it is mach-o for x64, not elf for x64/);
  });

  test('that it is of another version, or of none', () => {
    const file = compile('linux-x64-gnu');
    const binary = read(file);
    assert.match(problemsOf(target('linux-x64-gnu'), binary, '1.2.4').join(), /it is of version 1\.2\.3/);
    const none = compile('linux-x64-gnu', { text: '' });
    assert.match(refusal('linux-x64-gnu', none), /it is of version unknown/);
  });

  test('that it is too large', () => {
    const file = compile('linux-x64-gnu');
    fs.truncateSync(file, 4_000_001);
    assert.match(refusal('linux-x64-gnu', file), /it has 4000001 bytes, and may have 4 MB/);
  });

  test('that it has no entry', () => {
    for (const name of ONE_OF_EACH) {
      assert.match(
        refusal(name, compile(name, { entry: 'other' })),
        /it doesn't export napi_register_module_v1/,
      );
    }
  });

  test('that it tells where it was built', () => {
    const folders = ['root/.cargo', 'home/ci', 'Users/me'];
    const secrets = [...folders.map((folder) => `/${folder}/x.rs`), String.raw`C:\Users\me\x.rs`];
    const file = compile('linux-x64-gnu', { text: `redlock-native@${VERSION}; ${secrets.join(' ')}` });
    assert.deepEqual(read(file).paths.sort(), secrets.sort());
    assert.match(refusal('linux-x64-gnu', file), /it tells where it was built: \//);
    const here = path.join(__dirname, 'x.rs');
    const own = compile('win32-arm64-msvc', { text: `redlock-native@${VERSION}; ${here}` });
    assert.ok(refusal('win32-arm64-msvc', own).includes(here));
    const harmless = compile('linux-x64-gnu', { text: `redlock-native@${VERSION}; /rootless /homestead` });
    assert.equal(refusal('linux-x64-gnu', harmless), '');
  });

  test('that it needs a newer glibc, or one where there is none', () => {
    const code =
      'extern long __isoc23_strtol(const char *, char **, int); long use(const char *text) { return __isoc23_strtol(text, 0, 10); }';
    const file = compile('linux-x64-gnu', {
      code,
      triple: 'x86_64-linux-gnu.2.38',
      libraries: ['-nostartfiles'],
    });
    assert.equal(glibcOf(read(file)), '2.38');
    assert.match(refusal('linux-x64-gnu', file), /it needs glibc 2\.38, and may need 2\.17/);
    assert.match(refusal('linux-x64-musl', file), /it needs what not every system has: libc\.so\.6/);
  });

  test('that it is linked with Node.js', () => {
    const code = 'extern void napi_create_object(void); void use(void) { napi_create_object(); }';
    const linked = /it is linked with Node\.js: napi_create_object/;
    assert.match(refusal('linux-x64-gnu', compile('linux-x64-gnu', { code })), linked);
    const libraries = [...BARE, '-Wl,-undefined,dynamic_lookup'];
    assert.match(refusal('darwin-arm64', compile('darwin-arm64', { code, libraries })), linked);
  });

  test('that it needs a newer macOS', () => {
    const file = compile('darwin-arm64', { triple: 'aarch64-macos.13.0' });
    assert.match(refusal('darwin-arm64', file), /it needs macOS 13\.0, and may need 11\.0/);
  });

  test('that macOS would find no signature in it that is right, which Apple silicon wants', () => {
    const file = compile('darwin-arm64');
    const bytes = fs.readFileSync(file);
    bytes[bytes.indexOf('redlock-native@') - 1] ^= 1;
    fs.writeFileSync(file, bytes);
    assert.equal(refusal('darwin-arm64', file), 'it has no code signature, or a wrong one');
    assert.deepEqual(problems('darwin-x64', { ...read(file), machine: 'x64' }), []);
  });

  test('that it is no binary at all', () => {
    const file = path.join(folder, 'text.node');
    fs.writeFileSync(file, 'no addon');
    assert.equal(refusal('linux-x64-gnu', file), 'it is no binary');
  });
});

/**
 * @param {string} name
 * @param {Parameters<typeof compileAddon>[3]} [options]
 */
function compile(name, options) {
  return compileAddon(folder, name, VERSION, options);
}

/** @param {string} file */
function read(file) {
  return readBinaries([file])[0];
}

/** @param {string} name */
function target(name) {
  return TARGETS.find((one) => one.name === name);
}

/**
 * @param {string} name
 * @param {import('../../scripts/package/binaries').Binary} binary
 */
function problems(name, binary) {
  return problemsOf(target(name), binary, VERSION);
}

/**
 * @param {string} name
 * @param {string} file
 */
function refusal(name, file) {
  return problems(name, read(file)).join('; ');
}
