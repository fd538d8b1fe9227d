'use strict';

/**
 * The packages as they are published: the main one, one for each platform whose addon is there, and the source.
 *
 * @typedef {object} Tarballs paths
 * @property {string} main
 * @property {string[]} platforms
 * @property {string} source
 */

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { NapiCli } = require('@napi-rs/cli');

const { npm } = require('../npm');
const { bundle } = require('./bundle');
const { withRepository } = require('./repository');
const source = require('./source-package');
const { LICENSE, NOTICES, readManifest } = require('./tarball');

const ROOT = path.join(__dirname, '..', '..');

/** What only this repository needs: a user's npm would look at it in vain. */
const OURS = ['napi', 'scripts', 'devDependencies', 'overrides'];

/**
 * @param {string} folder where the packages go; made if it isn't there
 * @param {{addons?: string}} [options] where the addons are; what `npm run build` left, which is this machine's, if left out
 * @returns {Promise<Tarballs>}
 */
async function pack(folder, { addons = ROOT } = {}) {
  fs.mkdirSync(folder, { recursive: true });
  // What publishing needs in manifests has no place in the repository's own: see docs/platforms.md.
  const staging = fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-native-pack-'));
  try {
    const manifest = withRepository(readManifest(ROOT), process.env);
    writeManifest(staging, manifest);
    const platforms = await stagePlatforms(staging, addons);
    const built = platforms.filter((platform) => platform.isBuilt);
    if (!built.length)
      throw new Error(`no addon was built for any of the platforms in ${addons}: npm run build`);
    const sourceFolder = path.join(staging, 'source');
    source.stageSource(sourceFolder, manifest);
    copyHere(LICENSE, sourceFolder);
    stageMain(staging, platforms);
    return {
      main: await packOne(staging, folder),
      platforms: await Promise.all(built.map((platform) => packOne(platform.folder, folder))),
      source: await packOne(sourceFolder, folder),
    };
  } finally {
    fs.rmSync(staging, { recursive: true });
  }
}

/**
 * Every platform's package, with its addon if that was built.
 *
 * @param {string} staging where package.json is
 * @param {string} addons
 */
async function stagePlatforms(staging, addons) {
  await new NapiCli().createNpmDirs({ cwd: staging });
  const folders = fs.readdirSync(path.join(staging, 'npm')).map((name) => path.join(staging, 'npm', name));
  return folders.map((folder) => {
    const manifest = readManifest(folder);
    const { name, version, main } = manifest;
    const addon = path.join(addons, main);
    const isBuilt = fs.existsSync(addon);
    if (isBuilt) {
      fs.copyFileSync(addon, path.join(folder, main));
      fs.writeFileSync(path.join(folder, 'README.md'), readmeOf(manifest));
      copyHere(LICENSE, folder);
      copyHere(NOTICES, folder);
      manifest.files = [main, NOTICES];
      writeManifest(folder, manifest);
    }
    return { folder, name, version, isBuilt };
  });
}

/** @param {{name: string, os: string[], cpu: string[], libc?: string[]}} manifest */
function readmeOf({ name, os: [system], cpu: [machine], libc = [] }) {
  const where = [system, machine, ...libc].join(', ');
  return `# ${name}

The addon of the package redlock-native for one platform: ${where}. It comes with that package, as an optional dependency, and is of no use without it.
`;
}

/**
 * @param {string} staging
 * @param {{name: string, version: string}[]} platforms
 */
function stageMain(staging, platforms) {
  const manifest = readManifest(staging);
  for (const file of [...manifest.files, 'README.md', LICENSE]) copyHere(file, staging);
  bundle(staging);
  for (const key of OURS) delete manifest[key];
  manifest.optionalDependencies = Object.fromEntries(platforms.map(({ name, version }) => [name, version]));
  // Found by whoever installs it, and at no other version.
  manifest.peerDependencies = { ...manifest.peerDependencies, [source.NAME]: manifest.version };
  manifest.peerDependenciesMeta = { ...manifest.peerDependenciesMeta, [source.NAME]: { optional: true } };
  writeManifest(staging, manifest);
}

/**
 * @param {string} name of a file or folder of the repository
 * @param {string} folder
 */
function copyHere(name, folder) {
  const ours = path.join(ROOT, name);
  if (!fs.existsSync(ours)) {
    throw new Error(
      `there is no ${name}, which belongs into a package: npm run build makes binding.js, npm run notices ${NOTICES}`,
    );
  }
  fs.cpSync(ours, path.join(folder, name), { recursive: true });
}

/**
 * @param {string} from
 * @param {string} to
 */
async function packOne(from, to) {
  const said = await npm(from, [
    'pack',
    '--json',
    '--ignore-scripts',
    '--pack-destination',
    path.resolve(to),
  ]);
  return path.resolve(to, JSON.parse(said)[0].filename);
}

function writeManifest(folder, manifest) {
  fs.writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
}

module.exports = { pack };
