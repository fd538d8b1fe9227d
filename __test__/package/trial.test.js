'use strict';

// A platform's package is tried where there is a Node.js for that platform; here, for this machine's own.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, test } = require('node:test');

const { pack } = require('../../scripts/package');
const { ownTarget } = require('../../scripts/package/emulation');
const { TARGETS, targetsNamed } = require('../../scripts/package/targets');
const { tryTarget } = require('../../scripts/package/trial');

let folder;
let packages;
before(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-native-trial-test-'));
  packages = await pack(folder);
});
after(() => fs.rmSync(folder, { recursive: true }));

test('the package takes a lock on real servers', async () => {
  const [platform] = packages.platforms;
  const done = await tryTarget(own(), { main: packages.main, platform });
  assert.deepEqual(done, { isDone: true, by: `this machine's Node.js ${process.versions.node}` });
});

test('a package that can’t be used is a failure, which says why', async () => {
  // The source has no addon for the platform.
  await assert.rejects(
    tryTarget(own(), { main: packages.main, platform: packages.source }),
    ({ message }) => {
      assert.match(message, new RegExp(`the package for ${own().name} failed in this machine's Node.js`));
      assert.match(message, /redlock-native can't use its addon/);
      return true;
    },
  );
});

test('of a platform that nothing here runs it is said that its package was not used', async () => {
  const foreign =
    TARGETS.find(({ name }) => name === 'win32-arm64-msvc' && name !== own().name) ?? TARGETS[0];
  const done = await tryTarget(foreign, { main: packages.main, platform: packages.platforms[0] });
  assert.deepEqual(done, { isDone: false, by: 'nothing here runs programs for it' });
});

test('a target that there is not is refused, with those that there are', () => {
  assert.throws(
    () => targetsNamed(['linux-x64-gnu', 'amiga']),
    /no such target: amiga; there are linux-x64-gnu, /,
  );
});

function own() {
  return targetsNamed([ownTarget()])[0];
}
