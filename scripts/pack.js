'use strict';

/**
 * `npm run pack [-- <folder>]`: makes the packages as they are published, from what was built, and
 * prints their files. The main package names all platform packages; of those, the ones are made whose
 * addon is there, which after `npm run build` is this machine's.
 */

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { NapiCli } = require('@napi-rs/cli');

const { npm } = require('./npm');

const ROOT = path.join(__dirname, '..');
const FOLDER = path.join(ROOT, 'target', 'pack');

/** What only this repository needs: a user's npm would look at it in vain. */
const OURS = ['napi', 'scripts', 'devDependencies', 'overrides'];

/**
 * @param {string} [folder] where the packages go; made if it isn't there
 * @returns {Promise<{main: string, platforms: string[]}>} the paths of the tarballs
 */
async function pack(folder = FOLDER) {
  fs.mkdirSync(folder, { recursive: true });
  // What publishing needs in manifests has no place in the repository's own: see npm/README.md.
  const staging = fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-native-pack-'));
  try {
    const platforms = await stagePlatforms(staging);
    const built = platforms.filter((platform) => platform.addon);
    if (!built.length) throw new Error('no addon was built for any of the platforms: npm run build');
    stageMain(staging, platforms);
    return {
      main: await packOne(staging, folder),
      platforms: await Promise.all(built.map((platform) => packOne(platform.folder, folder))),
    };
  } finally {
    fs.rmSync(staging, { recursive: true });
  }
}

/**
 * Every platform's package, with its addon if that was built.
 *
 * @param {string} staging
 */
async function stagePlatforms(staging) {
  fs.copyFileSync(path.join(ROOT, 'package.json'), path.join(staging, 'package.json'));
  await new NapiCli().createNpmDirs({ cwd: staging });
  const folders = fs.readdirSync(path.join(staging, 'npm')).map((name) => path.join(staging, 'npm', name));
  return folders.map((folder) => {
    const { name, version, main } = readManifest(folder);
    const addon = path.join(ROOT, main);
    const isBuilt = fs.existsSync(addon);
    if (isBuilt) {
      fs.copyFileSync(addon, path.join(folder, main));
      fs.copyFileSync(path.join(ROOT, 'LICENSE'), path.join(folder, 'LICENSE'));
    }
    return { folder, name, version, addon: isBuilt ? addon : null };
  });
}

/**
 * @param {string} staging
 * @param {{name: string, version: string}[]} platforms
 */
function stageMain(staging, platforms) {
  const manifest = readManifest(staging);
  // npm takes these along by itself.
  for (const file of [...manifest.files, 'README.md', 'LICENSE']) {
    fs.cpSync(path.join(ROOT, file), path.join(staging, file), { recursive: true });
  }
  for (const key of OURS) delete manifest[key];
  manifest.optionalDependencies = Object.fromEntries(platforms.map(({ name, version }) => [name, version]));
  fs.writeFileSync(path.join(staging, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
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

function readManifest(folder) {
  return JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
}

if (require.main === module) {
  pack(process.argv[2]).then(
    ({ main, platforms }) => {
      for (const file of [main, ...platforms]) console.log(path.relative('', file));
    },
    (error) => {
      console.error(error.stderr || error.message);
      process.exitCode = 1;
    },
  );
}

module.exports = { pack };
