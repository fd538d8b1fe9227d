'use strict';

/**
 * `npm run sbom [-- <file>]`: writes what redlock-native is made of, as CycloneDX: npm's own list of what it needs, and the
 * crates that are linked into its addon. In target/sbom/ if no file is named; prints the path.
 */

const fs = require('node:fs');
const path = require('node:path');

const { npm } = require('../npm');
const { ADDON, linkedCrates } = require('./crates');

const ROOT = path.join(__dirname, '..', '..');
const MANIFEST = JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
const FILE = path.join(ROOT, 'target', 'sbom', `redlock-native-${MANIFEST.version}.cdx.json`);

async function sbom() {
  const ofNpm = await npm(ROOT, ['sbom', '--package-lock-only', '--omit=dev', '--sbom-format=cyclonedx']);
  return withCrates(JSON.parse(ofNpm), linkedCrates());
}

/**
 * @param {any} bom npm's
 * @param {import('./crates').Crate[]} crates
 */
function withCrates(bom, crates) {
  const main = bom.metadata.component;
  // npm calls it by the folder that it is in.
  main.name = MANIFEST.name;
  const addon = refOf(crates.find(({ name }) => name === ADDON));
  bom.components.push(...crates.map(componentOf));
  bom.dependencies.find(({ ref }) => ref === main['bom-ref']).dependsOn.push(addon);
  bom.dependencies.push(
    ...crates.map((crate) => ({ ref: refOf(crate), dependsOn: crate.needs.map(purlOf) })),
  );
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
