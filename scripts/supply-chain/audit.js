'use strict';

/**
 * `npm run audit`: fails if something grave is known of what writes the files that are published, or of what they need. What
 * else the repository installs are peers and clients of many years, old on purpose, to compare and to test with.
 */

const fs = require('node:fs');
const path = require('node:path');

const { npm } = require('../npm');

const ROOT = path.join(__dirname, '..', '..');

/** What writes them: the JavaScript's bundle, and the addon's loader. */
const WRITERS = ['esbuild', '@napi-rs/cli'];
const GRAVE = ['high', 'critical'];

/**
 * @param {{vulnerabilities: Record<string, {severity: string, nodes: string[]}>}} report npm's
 * @param {Record<string, any>} packages the lockfile's, by their folders
 * @returns {string[]} what is grave, a line for each package
 */
function graveIn({ vulnerabilities }, packages) {
  const folders = foldersOf(packages);
  return Object.entries(vulnerabilities)
    .filter(([, { severity, nodes }]) => GRAVE.includes(severity) && nodes.some((node) => folders.has(node)))
    .map(([name, { severity }]) => `${name}: ${severity}`);
}

/**
 * @param {Record<string, any>} packages
 * @returns {Set<string>} where the packages are that write what is published or that it needs, with all that they need
 */
function foldersOf(packages) {
  const { dependencies } = packages[''];
  const named = [...WRITERS, ...Object.keys(dependencies ?? {})];
  const folders = new Set(named.map((name) => `node_modules/${name}`));
  for (const folder of folders) {
    const { dependencies, optionalDependencies } = packages[folder] ?? missing(folder);
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      const found = folderOf(name, folder, packages);
      if (found) folders.add(found);
    }
  }
  return folders;
}

/** Where Node.js finds a package that is needed in a folder; an optional one may be nowhere. */
function folderOf(name, folder, packages) {
  for (let at = folder; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
    const found = `${at ? `${at}/` : ''}node_modules/${name}`;
    if (packages[found]) return found;
    if (!at) return undefined;
  }
}

function missing(folder) {
  throw new Error(`the lockfile has no ${folder}`);
}

/** npm fails where anything is known of anything, and prints its report all the same. */
async function report() {
  try {
    return JSON.parse(await npm(ROOT, ['audit', '--json']));
  } catch (error) {
    const said = JSON.parse(error.stdout);
    if (said.vulnerabilities) return said;
    throw new Error(`npm can't tell what is known: ${said.message}`, { cause: error });
  }
}

async function main() {
  const { packages } = JSON.parse(fs.readFileSync(path.join(ROOT, 'package-lock.json'), 'utf8'));
  const grave = graveIn(await report(), packages);
  for (const line of grave) console.error(line);
  if (grave.length) process.exitCode = 1;
  else
    console.log(
      `nothing grave is known of the ${foldersOf(packages).size} packages that what is published depends on`,
    );
}

if (require.main === module) {
  main().catch((error) => {
    console.error(error.stderr || error.message);
    process.exitCode = 1;
  });
}

module.exports = { graveIn };
