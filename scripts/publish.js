'use strict';

/**
 * `node scripts/publish.js [--dry-run] [--provenance]`: publishes what `npm run package` left in target/packages/, the main
 * package last, as it needs the others. A version that is there already is left as it is, so that a run that was cut short
 * can be repeated.
 */

const fs = require('node:fs');
const path = require('node:path');

const { npm } = require('./npm');

const ROOT = path.join(__dirname, '..');
const PACKAGES = path.join(ROOT, 'target', 'packages');
const EXTENSION = '.tgz';

/**
 * @typedef {object} Manifest
 * @property {string} name
 * @property {string} version
 */

async function main(options) {
  const manifest = JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
  for (const file of inOrder(fs.readdirSync(PACKAGES), manifest)) await publish(file, manifest, options);
}

/**
 * @param {string[]} files
 * @param {Manifest & {napi: {targets: string[]}}} manifest the main package's
 * @returns {string[]} what to publish, one after the other
 */
function inOrder(files, { name, version, napi }) {
  const packages = files.filter((file) => file.endsWith(EXTENSION)).sort();
  const main = `${name}-${version}${EXTENSION}`;
  const others = packages.filter((file) => file !== main);
  const old = others.filter((file) => !file.endsWith(`-${version}${EXTENSION}`));
  if (old.length) throw new Error(`${old.join(', ')}: of another version than ${version}: npm run package`);
  if (!packages.includes(main)) throw new Error(`there is no ${main} in target/packages: npm run package`);
  if (others.length < napi.targets.length) {
    throw new Error(
      `there are ${others.length} packages beside ${main}, for ${napi.targets.length} platforms: npm run package`,
    );
  }
  return [...others, main];
}

async function publish(file, { version }, options) {
  const name = file.slice(0, -`-${version}${EXTENSION}`.length);
  if (await isPublished(name, version)) {
    console.log(`${name} ${version} is there already`);
    return;
  }
  const tag = version.includes('-') ? 'next' : 'latest';
  const args = ['publish', path.join(PACKAGES, file), '--access', 'public', '--tag', tag, ...options];
  await npm(ROOT, args);
  console.log(`${name} ${version} is published`);
}

async function isPublished(name, version) {
  try {
    return JSON.parse(await npm(ROOT, ['view', `${name}@${version}`, 'version', '--json'])) === version;
  } catch (error) {
    // Of a package, or of this version of it, npm knows nothing; of anything else publishing will tell.
    if (/E404/.test(error.stderr)) return false;
    throw error;
  }
}

if (require.main === module) {
  main(process.argv.slice(2)).catch((error) => {
    console.error(error.stderr || error.message);
    process.exitCode = 1;
  });
}

module.exports = { inOrder };
