'use strict';

/** The crates that are linked into the addon, on any of the platforms that there are packages for. */

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const ROOT = path.join(__dirname, '..', '..');
const ADDON = 'redlock-native-addon';

/**
 * @typedef {object} Crate
 * @property {string} name
 * @property {string} version
 * @property {string} license an SPDX expression
 * @property {string | null} repository
 * @property {string} folder
 * @property {string | null} sha256 of the file that the registry has; null of what is in this repository
 * @property {string[]} needs the crates that it is linked with, as `name@version`
 */

/**
 * Those that are there at build time only (build scripts) are left out; macros are not, as what they write is linked.
 *
 * @returns {Crate[]} the addon itself first, the others by name
 */
function linkedCrates() {
  const needs = new Map();
  const packages = new Map();
  for (const platform of platforms()) {
    const metadata = metadataFor(platform);
    for (const one of metadata.packages) packages.set(one.id, one);
    for (const [id, others] of reached(metadata)) {
      needs.set(id, new Set([...(needs.get(id) ?? []), ...others]));
    }
  }
  const sums = checksums();
  const label = (id) => `${packages.get(id).name}@${packages.get(id).version}`;
  const crates = [...needs].map(([id, others]) => ({
    ...crateOf(packages.get(id)),
    sha256: sums.get(label(id)) ?? null,
    needs: [...others].map(label).sort(),
  }));
  const order = ({ name, version }) => `${name === ADDON ? 0 : 1} ${name} ${version}`;
  return crates.sort((one, other) => (order(one) < order(other) ? -1 : 1));
}

/** What cargo compiles for; for Windows both with Microsoft's linker and with LLVM's, as either makes the same package. */
function platforms() {
  const { napi } = JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
  return napi.targets.flatMap((target) =>
    target.endsWith('-msvc') ? [target, target.replace(/-msvc$/, '-gnullvm')] : [target],
  );
}

function metadataFor(platform) {
  const args = ['metadata', '--locked', '--format-version', '1', '--filter-platform', platform];
  const options = { cwd: ROOT, maxBuffer: 1 << 30, stdio: ['ignore', 'pipe', 'inherit'] };
  return JSON.parse(execFileSync('cargo', args, options).toString());
}

/** What the addon is linked with, and what each of that is, in turn. */
function reached({ packages, resolve }) {
  const nodes = new Map(resolve.nodes.map((node) => [node.id, node]));
  const found = new Map();
  const open = [packages.find(({ name }) => name === ADDON).id];
  for (const id of open) {
    if (found.has(id)) continue;
    const linked = nodes.get(id).deps.filter(({ dep_kinds }) => dep_kinds.some(({ kind }) => kind === null));
    const ids = linked.map(({ pkg }) => pkg);
    found.set(id, ids);
    open.push(...ids);
  }
  return found;
}

function crateOf({ name, version, license, repository, manifest_path }) {
  if (!license) throw new Error(`the crate ${name} ${version} names no licence`);
  return {
    name,
    version,
    // As it was written before there were expressions.
    license: license.replaceAll('/', ' OR '),
    repository,
    folder: path.dirname(manifest_path),
  };
}

/** Of each crate that is from the registry. */
function checksums() {
  const lock = fs.readFileSync(path.join(ROOT, 'Cargo.lock'), 'utf8');
  const blocks = lock.split('[[package]]').slice(1);
  const value = (block, key) => block.match(new RegExp(`^${key} = "([^"]+)"`, 'm'))?.[1];
  return new Map(
    blocks.map((block) => [`${value(block, 'name')}@${value(block, 'version')}`, value(block, 'checksum')]),
  );
}

module.exports = { ADDON, linkedCrates, platforms };
