'use strict';

/**
 * `node scripts/publish.js [--dry-run] [--provenance]`: publishes what `npm run package` left in target/packages/, the main
 * package last, as it needs the others. A version that is there already is left as it is, so that a run that was cut short
 * can be repeated. Needs Node.js, npm and tar alone.
 */

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const { npm } = require('./npm');

const ROOT = path.join(__dirname, '..');
const PACKAGES = path.join(ROOT, 'target', 'packages');

/**
 * @typedef {object} Package
 * @property {string} file
 * @property {string} name
 * @property {string} version
 * @property {Record<string, string>} [optionalDependencies]
 */

/**
 * @param {string} folder
 * @param {{name: string, version: string}} main which of the packages is the main one
 * @param {string[]} options npm's
 */
async function publishAll(folder, main, options) {
  const files = fs.readdirSync(folder).filter((file) => file.endsWith('.tgz'));
  const packages = files.sort().map((file) => packageIn(path.join(folder, file)));
  for (const one of inOrder(packages, main)) await publish(one, options);
}

/**
 * @param {string} file
 * @returns {Package}
 */
function packageIn(file) {
  const manifest = execFileSync('tar', ['-xOzf', path.basename(file), 'package/package.json'], {
    // Some take what is before a colon, as in C:\, for a machine's name.
    cwd: path.dirname(file),
    encoding: 'utf8',
  });
  return { file, ...JSON.parse(manifest) };
}

/**
 * @param {Package[]} packages
 * @param {{name: string, version: string}} wanted
 * @returns {Package[]} what to publish, one after the other
 */
function inOrder(packages, wanted) {
  const main = packages.find(({ name }) => name === wanted.name);
  const others = packages.filter((one) => one !== main);
  const old = packages.filter(({ version }) => version !== wanted.version);
  if (old.length) throw incomplete(`${namesOf(old)}: another version than ${wanted.version}`);
  if (!main) throw incomplete(`there is no package ${wanted.name}`);
  const needed = Object.keys(main.optionalDependencies ?? {});
  if (!needed.length) throw incomplete(`${main.name} needs no package with an addon`);
  const missing = needed.filter((name) => !others.some((one) => one.name === name));
  if (missing.length) throw incomplete(`${missing.join(', ')}: not there, and ${main.name} needs it`);
  return [...others, main];
}

function namesOf(packages) {
  return packages.map(({ name, version }) => `${name} ${version}`).join(', ');
}

function incomplete(why) {
  return new Error(`nothing is published. ${why}; npm run package makes all of them`);
}

/**
 * @param {Package} one
 * @param {string[]} options
 */
async function publish({ file, name, version }, options) {
  if (await isPublished(name, version)) {
    console.log(`${name} ${version} is there already`);
    return;
  }
  const tag = version.includes('-') ? 'next' : 'latest';
  await npm(ROOT, ['publish', file, '--access', 'public', '--tag', tag, ...options]);
  console.log(`${name} ${version} is published`);
}

async function isPublished(name, version) {
  try {
    return JSON.parse(await npm(ROOT, ['view', `${name}@${version}`, 'version', '--json'])) === version;
  } catch (error) {
    // Of the package, or of this version of it, the registry knows nothing.
    if (/E404/.test(error.stderr)) return false;
    throw error;
  }
}

if (require.main === module) {
  const main = JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
  publishAll(PACKAGES, main, process.argv.slice(2)).catch((error) => {
    console.error(error.stderr || error.message);
    process.exitCode = 1;
  });
}

module.exports = { publishAll };
