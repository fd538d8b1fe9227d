'use strict';

/**
 * `node scripts/package/release.js [folder]`: whether the packages in target/packages/, or in a folder, are a release: all
 * of them, of one version, each with what must be in it and with an addon that may be published. Prints them in the order
 * in which they are to be published, the main package last, as it needs the others; or says what is wrong, and fails.
 */

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { readBinary } = require('./binaries');
const { problemsOf } = require('./checks');
const source = require('./source-package');
const { LEGAL, readManifest, unpack } = require('./tarballs');
const { TARGETS, fileOf } = require('./targets');

const MAIN = 'redlock-native';
const { version: VERSION } = require('../../package.json');

/**
 * @param {string} folder
 * @param {string} [version]
 * @returns {string[]} tarballs, in the order in which they are to be published
 */
function releaseIn(folder, version = VERSION) {
  const unpacked = fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-native-release-'));
  try {
    const files = tarballsOf(version);
    const there = fs.readdirSync(folder).filter((name) => name.endsWith('.tgz'));
    const missing = files.filter((file) => !there.includes(file));
    const foreign = there.filter((file) => !files.includes(file));
    const problems = [
      ...missing.map((file) => `${file} is missing`),
      ...foreign.map((file) => `${file} is none of ${version}`),
    ];
    for (const file of files.filter((file) => there.includes(file))) {
      const contents = path.join(unpacked, file);
      unpack(path.join(folder, file), contents);
      problems.push(...problemsIn(contents, version).map((problem) => `${file}: ${problem}`));
    }
    if (problems.length) throw new Error(`this is no release:\n  ${problems.join('\n  ')}`);
    return files.map((file) => path.join(folder, file));
  } finally {
    fs.rmSync(unpacked, { recursive: true });
  }
}

/** @param {string} version */
function tarballsOf(version) {
  const names = [...TARGETS.map(platformOf), source.NAME, MAIN];
  return names.map((name) => `${name}-${version}.tgz`);
}

/** @param {import('./targets').Target} target */
function platformOf({ name }) {
  return `${MAIN}-${name}`;
}

/**
 * @param {string} folder of one package
 * @param {string} version
 */
function problemsIn(folder, version) {
  const manifest = readManifest(folder);
  const problems = ['README.md', ...LEGAL]
    .filter((file) => !fs.existsSync(path.join(folder, file)))
    .map((file) => `it has no ${file}`);
  if (manifest.version !== version) problems.push(`it is of version ${manifest.version}, not ${version}`);
  const target = TARGETS.find((one) => platformOf(one) === manifest.name);
  if (target) problems.push(...problemsOfPlatform(folder, target, version));
  if (manifest.name === MAIN) problems.push(...problemsOfMain(manifest));
  return problems;
}

function problemsOfPlatform(folder, target, version) {
  const addon = path.join(folder, fileOf(target));
  if (!fs.existsSync(addon)) return [`it has no ${fileOf(target)}`];
  try {
    return problemsOf(target, readBinary(addon), version);
  } catch (error) {
    return [error.message];
  }
}

/** Of another version, even a newer one, the JavaScript knows nothing. */
function problemsOfMain({ version, optionalDependencies = {} }) {
  const wanted = Object.fromEntries(TARGETS.map((target) => [platformOf(target), version]));
  return Object.keys({ ...wanted, ...optionalDependencies })
    .filter((name) => optionalDependencies[name] !== wanted[name])
    .map((name) => `it wants ${name} ${optionalDependencies[name]}, and should ${wanted[name]}`);
}

if (require.main === module) {
  try {
    const folder = process.argv[2] ?? path.join(__dirname, '..', '..', 'target', 'packages');
    for (const file of releaseIn(folder)) console.log(path.relative('', file));
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}

module.exports = { releaseIn };
