'use strict';

/**
 * `npm run sbom [-- <file>]`: writes what redlock-native is made of, as CycloneDX: npm's own list of what it needs, the crates
 * that are linked into its addon, and what its compilers link with them. In target/sbom/ if no file is named; prints the path.
 */

const fs = require('node:fs');
const path = require('node:path');

const { npm } = require('../npm');
const { ADDON, linkedCrates } = require('./crates');
const { runtimes } = require('./runtimes');

const ROOT = path.join(__dirname, '..', '..');
const MANIFEST = JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
const FILE = path.join(ROOT, 'target', 'sbom', `redlock-native-${MANIFEST.version}.cdx.json`);

async function sbom() {
  const ofNpm = await npm(ROOT, ['sbom', '--package-lock-only', '--omit=dev', '--sbom-format=cyclonedx']);
  return withLinked(JSON.parse(ofNpm), linkedCrates(), runtimes());
}

/**
 * @param {any} bom npm's
 * @param {import('./crates').Crate[]} crates
 * @param {import('./runtimes').Runtime[]} others
 */
function withLinked(bom, crates, others) {
  const main = bom.metadata.component;
  // npm calls it by the folder that it is in.
  main.name = MANIFEST.name;
  const addon = refOf(crates.find(({ name }) => name === ADDON));
  bom.components.push(...crates.map(componentOf), ...others.map(componentOfRuntime));
  bom.dependencies.find(({ ref }) => ref === main['bom-ref']).dependsOn.push(addon);
  bom.dependencies.push(
    ...crates.map((crate) => ({ ref: refOf(crate), dependsOn: crate.needs.map(purlOf) })),
    ...others.map((other) => ({ ref: refOfRuntime(other), dependsOn: [] })),
  );
  bom.dependencies.find(({ ref }) => ref === addon).dependsOn.push(...others.map(refOfRuntime));
  return bom;
}

/** @param {import('./crates').Crate} crate */
function componentOf(crate) {
  const { name, version, license, repository, sha256 } = crate;
  return {
    type: 'library',
    'bom-ref': refOf(crate),
    name,
    version,
    licenses: [{ expression: license }],
    purl: refOf(crate),
    ...(sha256 && { hashes: [{ alg: 'SHA-256', content: sha256 }] }),
    ...(repository && { externalReferences: [{ type: 'vcs', url: repository }] }),
  };
}

/** @param {import('./runtimes').Runtime} runtime */
function componentOfRuntime(runtime) {
  const { name, version, license, title } = runtime;
  return {
    type: 'library',
    'bom-ref': refOfRuntime(runtime),
    name,
    version,
    description: title,
    licenses: [{ expression: license }],
  };
}

/** @param {import('./runtimes').Runtime} runtime */
function refOfRuntime({ name, version }) {
  return `${name}@${version}`;
}

function refOf({ name, version }) {
  return purlOf(`${name}@${version}`);
}

/** @param {string} label a crate's name, @ and its version */
function purlOf(label) {
  return `pkg:cargo/${label.replace('+', '%2B')}`;
}

async function main(file = FILE) {
  const bom = await sbom();
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, `${JSON.stringify(bom, null, 2)}\n`);
  console.log(path.relative('', file));
}

if (require.main === module) {
  main(process.argv[2]).catch((error) => {
    console.error(error.stderr || error.message);
    process.exitCode = 1;
  });
}

module.exports = { sbom };
