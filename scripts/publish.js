'use strict';

/**
 * `node scripts/publish.js [--dry-run] [--provenance] [--otp CODE] [folder]`: publishes the release that `npm run package` left
 * in target/packages/ (or a folder). Refuses, before anything is published, what is no release (package/release.js), what
 * doesn't say where its sources are, and what is published already as another build. What is there as this build is left as
 * it is, so that a run that was cut short can be repeated. Writes the tag to the file that GITHUB_OUTPUT names, as
 * `tag=latest`. Needs Node.js, npm, tar and Python alone.
 */

const fs = require('node:fs');
const path = require('node:path');
const { parseArgs } = require('node:util');

const { npm, npmInSight } = require('./npm');
const { releaseIn } = require('./package/release');
const { HOW_TO_NAME_ONE } = require('./package/repository');
const { integrityOf, manifestIn } = require('./package/tarball');

const ROOT = path.join(__dirname, '..');
const PACKAGES = path.join(ROOT, 'target', 'packages');

/**
 * @typedef {object} Package
 * @property {string} file
 * @property {string} name
 * @property {string} version
 * @property {object} [repository]
 */

/**
 * @param {string} folder
 * @param {string[]} options npm's
 * @returns {Promise<string>} the tag by which the version can be asked for then
 */
async function publishAll(folder, options) {
  const packages = releaseIn(folder).map((file) => /** @type {Package} */ ({ ...manifestIn(file), file }));
  const nowhere = packages.filter(({ repository }) => !repository);
  if (nowhere.length) throw refusal(`${namesOf(nowhere)}: no repository is named. ${HOW_TO_NAME_ONE}`);
  const missing = await missingOf(packages);
  const { name, version } = packages[packages.length - 1];
  const tag = tagFor(version, await tagsOf(name));
  for (const one of packages) {
    if (!missing.includes(one)) console.log(`${one.name} ${version} is there already`);
    else await npmInSight(ROOT, ['publish', one.file, '--access', 'public', '--tag', tag, ...options]);
  }
  return tag;
}

/**
 * What the registry doesn't have yet. Of a release that is there in part, the rest must be of the same build: its JavaScript and
 * its addons were tried together.
 *
 * @param {Package[]} packages
 * @returns {Promise<Package[]>}
 */
async function missingOf(packages) {
  const missing = [];
  const others = [];
  for (const one of packages) {
    const there = await fromRegistry(`${one.name}@${one.version}`, 'dist.integrity');
    if (there === undefined) missing.push(one);
    else if (there !== integrityOf(one.file)) others.push(one);
  }
  if (!others.length) return missing;
  throw refusal(
    `${namesOf(others)}: published already, as another build than the one here. Publish the packages of the run that ` +
      'was cut short, if they are still there; or raise the version, as none can be published twice',
  );
}

/** @param {string} name */
async function tagsOf(name) {
  return (await fromRegistry(name, 'dist-tags')) ?? {};
}

/**
 * @param {string} spec
 * @param {string} field
 * @returns {Promise<any>} undefined if there is no such package, or not at that version
 */
async function fromRegistry(spec, field) {
  try {
    // Of a field that is not there nothing is said.
    return JSON.parse((await npm(ROOT, ['view', spec, field, '--json'])) || 'null');
  } catch (error) {
    if (/E404/.test(error.stderr)) return undefined;
    throw error;
  }
}

/**
 * Who doesn't ask for a version gets the newest that is final, even if an older line is mended after that.
 *
 * @param {string} version
 * @param {Record<string, string>} tags what each of the package's tags leads to so far
 */
function tagFor(version, tags) {
  const usual = version.includes('-') ? 'next' : 'latest';
  const [major, minor] = numbersOf(version);
  // npm takes no tag that could be a range of versions, as v1.
  return isNewer(tags[usual], version) ? `${usual}-${major || `0.${minor}`}` : usual;
}

/**
 * @param {string | undefined} one
 * @param {string} other
 */
function isNewer(one, other) {
  if (!one) return false;
  const [ours, theirs] = [numbersOf(one), numbersOf(other)];
  const at = ours.findIndex((number, index) => number !== theirs[index]);
  return at >= 0 && ours[at] > theirs[at];
}

/** @param {string} version */
function numbersOf(version) {
  return version.split(/[-+]/)[0].split('.').map(Number);
}

/** @param {Package[]} packages */
function namesOf(packages) {
  return packages.map(({ name, version }) => `${name} ${version}`).join(', ');
}

/** @param {string} why */
function refusal(why) {
  return new Error(`nothing is published. ${why}`);
}

async function main() {
  const { values, positionals } = parseArgs({
    options: { 'dry-run': { type: 'boolean' }, provenance: { type: 'boolean' }, otp: { type: 'string' } },
    allowPositionals: true,
  });
  const options = Object.entries(values).map(([name, value]) =>
    value === true ? `--${name}` : `--${name}=${value}`,
  );
  const tag = await publishAll(path.resolve(positionals[0] ?? PACKAGES), options);
  if (process.env.GITHUB_OUTPUT) fs.appendFileSync(process.env.GITHUB_OUTPUT, `tag=${tag}\n`);
  console.log(`the tag is ${tag}`);
}

if (require.main === module) {
  main().catch((error) => {
    console.error(error.stderr || error.message);
    process.exitCode = 1;
  });
}

module.exports = { publishAll, tagFor };
