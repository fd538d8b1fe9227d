'use strict';

/**
 * Whether a folder's packages are a release: all of them, of one version, each with what must be in it and with an addon that
 * may be published. Needs Node.js, tar and Python alone.
 */

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { readBinaries } = require('./binaries');
const { problemsOf } = require('./checks');
const source = require('./source-package');
const { LICENSE, NOTICES, readManifest, unpack } = require('./tarball');
const { TARGETS, fileOf } = require('./targets');

const MAIN = 'redlock-native';
const { version: VERSION } = require('../../package.json');

/**
 * @param {string} folder
 * @param {string} [version]
 * @returns {string[]} tarballs, in the order in which they are to be published: the main package last, as it needs the others
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
    const folders = files.filter((file) => there.includes(file)).map((file) => path.join(unpacked, file));
    for (const contents of folders) unpack(path.join(folder, path.basename(contents)), contents);
    problems.push(...problemsInPackages(folders, version), ...problemsOfAddons(folders, version));
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
 * @param {string[]} folders of packages, called as the tarballs
 * @param {string} version
 */
function problemsInPackages(folders, version) {
  return folders.flatMap((folder) => {
    const manifest = readManifest(folder);
    const target = targetOf(manifest);
    const wanted = ['README.md', LICENSE, ...(target ? [NOTICES, fileOf(target)] : [])];
    const missing = wanted.filter((file) => !fs.existsSync(path.join(folder, file)));
    const problems = missing.map((file) => `it has no ${file}`);
    if (manifest.version !== version) problems.push(`it is of version ${manifest.version}, not ${version}`);
    if (manifest.name === MAIN) problems.push(...problemsOfMain(manifest));
    return problems.map((problem) => `${path.basename(folder)}: ${problem}`);
  });
}

/**
 * @param {string[]} folders
 * @param {string} version
 */
function problemsOfAddons(folders, version) {
  const there = folders
    .map((folder) => ({ folder, target: targetOf(readManifest(folder)) }))
    .filter(({ folder, target }) => target && fs.existsSync(path.join(folder, fileOf(target))));
  const binaries = readBinaries(there.map(({ folder, target }) => path.join(folder, fileOf(target))));
  return there.flatMap(({ folder, target }, index) =>
    problemsOf(target, binaries[index], version).map((problem) => `${path.basename(folder)}: ${problem}`),
  );
}

/** @param {{name: string}} manifest */
function targetOf({ name }) {
  return TARGETS.find((target) => platformOf(target) === name);
}

/** Of another version, even a newer one, the JavaScript knows nothing. */
function problemsOfMain({ version, optionalDependencies = {} }) {
  const wanted = Object.fromEntries(TARGETS.map((target) => [platformOf(target), version]));
  return Object.keys({ ...wanted, ...optionalDependencies })
    .filter((name) => optionalDependencies[name] !== wanted[name])
    .map((name) => `it wants ${name} ${optionalDependencies[name]}, and should ${wanted[name]}`);
}

module.exports = { releaseIn };
