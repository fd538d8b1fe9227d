'use strict';

// What may be published: all packages of a release, each with what must be in it; and never the repository itself.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');

const { npm } = require('../../scripts/npm');
const { releaseIn } = require('../../scripts/package/release');
const { pack } = require('../../scripts/package/tarballs');
const { TARGETS, fileOf } = require('../../scripts/package/targets');
const { compileAddon } = require('../support/tiny-addons');
const { makeAddons, packRelease } = require('../support/tiny-release');
const { version } = require('../../package.json');

const ROOT = path.join(__dirname, '..', '..');

const folders = [];
after(() => {
  for (const folder of folders) fs.rmSync(folder, { recursive: true });
});

/** With an addon for every platform, as far as can be seen from outside. */
let addons;
/** All of their packages. */
let whole;
before(async () => {
  addons = makeFolder();
  makeAddons(addons);
  whole = makeFolder();
  await packRelease(whole, addons);
});

test('the packages of every platform, of the source, and the main one at last are a release', () => {
  const names = releaseIn(whole).map((file) => path.basename(file));
  assert.deepEqual(names, [
    ...TARGETS.map(({ name }) => `redlock-native-${name}-${version}.tgz`),
    `redlock-native-source-${version}.tgz`,
    `redlock-native-${version}.tgz`,
  ]);
});

describe('a release is refused', () => {
  test('if a package is missing', () => {
    const folder = copyOf(whole);
    fs.rmSync(path.join(folder, `redlock-native-darwin-arm64-${version}.tgz`));
    fs.rmSync(path.join(folder, `redlock-native-source-${version}.tgz`));
    refused(
      folder,
      /redlock-native-darwin-arm64-.*\.tgz is missing/,
      /redlock-native-source-.*\.tgz is missing/,
    );
  });

  test('if a package is of another version', () => {
    const folder = copyOf(whole);
    const [one] = fs.readdirSync(folder).filter((file) => file.includes('win32-x64'));
    fs.renameSync(path.join(folder, one), path.join(folder, one.replace(version, '0.0.9')));
    refused(folder, /win32-x64-msvc-.*\.tgz is missing/, /win32-x64-msvc-0\.0\.9\.tgz is none of/);
  });

  test('if an addon is of another version, for another platform, or broken', async () => {
    const others = copyOf(addons);
    const compiled = makeFolder();
    fs.renameSync(
      compileAddon(compiled, 'linux-x64-gnu', '0.0.9'),
      path.join(others, named('linux-x64-gnu')),
    );
    fs.copyFileSync(path.join(others, named('darwin-x64')), path.join(others, named('darwin-arm64')));
    fs.writeFileSync(path.join(others, named('linux-arm64-musl')), 'no addon');
    const folder = makeFolder();
    await pack(folder, { addons: others });
    refused(
      folder,
      /linux-x64-gnu-.*: it is of version 0\.0\.9/,
      /darwin-arm64-.*: it is mach-o for x64, not mach-o for arm64/,
      /linux-arm64-musl-.*: it is no binary/,
    );
  });

  test('if its addon was built by npm run build, which names folders of the machine', async () => {
    const folder = makeFolder();
    const { platforms } = await pack(folder);
    assert.equal(platforms.length, 1);
    refused(folder, /it tells where it was built: /, /is missing/);
  });
});

describe('npm itself refuses to', () => {
  for (const command of ['pack', 'publish']) {
    test(`${command} the repository, and says what is published instead`, async () => {
      await assert.rejects(npm(ROOT, [command, '--dry-run']), ({ stderr }) => {
        assert.match(stderr, /This is the source, which is not published/);
        assert.match(stderr, /npm run package makes the packages, in target\/packages/);
        return true;
      });
    });
  }
});

/**
 * @param {string} folder
 * @param {...RegExp} reasons
 */
function refused(folder, ...reasons) {
  assert.throws(
    () => releaseIn(folder),
    ({ message }) => {
      for (const reason of reasons) assert.match(message, reason);
      return true;
    },
  );
}

/** @param {string} name of a target */
function named(name) {
  return fileOf(TARGETS.find((target) => target.name === name));
}

/** @param {string} folder */
function copyOf(folder) {
  const copy = makeFolder();
  fs.cpSync(folder, copy, { recursive: true });
  return copy;
}

function makeFolder() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-native-release-test-'));
  folders.push(folder);
  return folder;
}
