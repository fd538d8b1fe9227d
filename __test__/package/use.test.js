'use strict';

// A platform's package is used where there is a Node.js for that platform; here, for this machine's own.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, test } = require('node:test');

const { pack } = require('../../scripts/package/tarballs');
const { TARGETS, ownTarget, targetsNamed } = require('../../scripts/package/targets');
const { useHere } = require('../../scripts/package/use-here');
const { useOnTarget } = require('../../scripts/package/use-on-target');

let folder;
let packages;
before(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-native-use-test-'));
  packages = await pack(folder);
});
after(() => fs.rmSync(folder, { recursive: true }));

test('the package takes a lock on real servers', async () => {
  const [platform] = packages.platforms;
  const done = await useOnTarget(own(), { main: packages.main, platform });
  assert.deepEqual(done, { isDone: true, by: `this machine's Node.js ${process.versions.node}` });
});

test('where there is Node.js and npm alone, the package takes a lock in memory', async () => {
  const done = 'held, refused, extended, released';
  assert.equal(await useHere(folder), `${process.platform} ${process.arch}: ${done}`);
});

test('where the package of this machine is missing, it says which', async () => {
  const others = path.join(folder, 'others');
  fs.mkdirSync(others);
  fs.copyFileSync(packages.main, path.join(others, path.basename(packages.main)));
  await assert.rejects(useHere(others), {
    message: new RegExp(`there is no .*-${own().name}-.*npm run package`),
  });
});

test('a package that can’t be used is a failure, which says why', async () => {
  // The source has no addon for the platform.
  await assert.rejects(
    useOnTarget(own(), { main: packages.main, platform: packages.source }),
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
  const done = await useOnTarget(foreign, { main: packages.main, platform: packages.platforms[0] });
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
