'use strict';

/**
 * `npm run package [-- [--try] <target>…]`: builds the addon for every platform, or for those, on this machine; refuses what may not
 * be published; packs everything as it is published, in target/packages/; and takes a lock with each of the packages,
 * as far as there is a way to run it here. Prints what came of it as a table. Without targets it makes a release, which
 * must be whole. With --try a new user's way is tried then: see install-as-user.js.
 */

const fs = require('node:fs');
const path = require('node:path');

const { npmCommand } = require('../npm');
const { findRedisServer, HOW_TO_GET_ONE } = require('../redis-server');
const { glibcOf, readBinaries } = require('./binaries');
const { problemsOf } = require('./checks');
const { crossBuild } = require('./cross-build');
const { installAsUser } = require('./install-as-user');
const { releaseIn } = require('./release');
const { HOW_TO_NAME_ONE } = require('./repository');
const { manifestIn } = require('./tarball');
const { pack } = require('./tarballs');
const { targetsNamed } = require('./targets');
const { installCompilers, installReader, run } = require('./tools');
const { useOnTarget } = require('./use-on-target');
const { version } = require('../../package.json');

/** @typedef {import('./targets').Target} Target */
/** @typedef {import('./binaries').Binary} Binary */

const ROOT = path.join(__dirname, '..', '..');
const ADDONS = path.join(ROOT, 'target', 'addons');
const PACKAGES = path.join(ROOT, 'target', 'packages');
const TRY = '--try';

/** @param {string[]} names */
async function main(names) {
  const targets = targetsNamed(names);
  const redisServer = findRedisServer({ install: true });
  if (!redisServer) throw new Error(HOW_TO_GET_ONE);
  process.env.REDIS_SERVER = redisServer;
  // It generates what loads the addon, on whatever machine that then is.
  const [node, ...npm] = npmCommand();
  run(node, [...npm, 'run', 'build'], { cwd: ROOT });
  installCompilers();
  installReader();
  run('rustup', ['target', 'add', ...targets.map(({ rust }) => rust)]);
  for (const folder of [ADDONS, PACKAGES]) fs.rmSync(folder, { recursive: true, force: true });

  const binaries = targets.map((target) => buildChecked(target));
  const { main: tarball, platforms } = await pack(PACKAGES, { addons: ADDONS });
  console.log('| package | size | needs | used by |\n|---|---|---|---|');
  for (const [index, target] of targets.entries()) {
    const platform = platforms.find((file) => path.basename(file).includes(`-${target.name}-`));
    const { isDone, by } = await useOnTarget(target, { main: tarball, platform });
    console.log(rowOf(target, binaries[index], isDone ? by : `not used: ${by}`));
  }
  if (names.length) return;
  releaseIn(PACKAGES);
  if (!manifestIn(tarball).repository)
    console.log(`These can be used, but not published: no repository is named. ${HOW_TO_NAME_ONE}.`);
}

/**
 * @param {Target} target
 * @returns {Binary}
 */
function buildChecked(target) {
  const [binary] = readBinaries([crossBuild(target, ADDONS)]);
  const problems = problemsOf(target, binary, version);
  if (problems.length)
    throw new Error(`the addon for ${target.name} can't be published: ${problems.join('; ')}`);
  return binary;
}

/**
 * @param {Target} target
 * @param {Binary} binary
 * @param {string} use
 */
function rowOf(target, binary, use) {
  const size = `${(binary.bytes / 1e6).toFixed(2)} MB`;
  const glibc = glibcOf(binary);
  const needs = {
    elf: glibc ? `glibc ${glibc}` : 'musl',
    'mach-o': `macOS ${binary.macos}`,
    pe: 'Windows 10',
  };
  return `| redlock-native-${target.name} | ${size} | ${needs[target.format]} | ${use} |`;
}

if (require.main === module) {
  const given = process.argv.slice(2);
  const packed = main(given.filter((one) => one !== TRY));
  packed
    .then(() => given.includes(TRY) && installAsUser(PACKAGES))
    .catch((error) => {
      console.error(error.stderr || error.message);
      process.exitCode = 1;
    });
}
