'use strict';

/** The list of what redlock-native is made of, as the pipeline attaches it to a release. */

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { before, describe, test } = require('node:test');

const { Spec, Validation } = require('@cyclonedx/cyclonedx-library');

const { RUNTIMES } = require('../../scripts/supply-chain/runtimes');
const { sbom } = require('../../scripts/supply-chain/sbom');

const ROOT = path.join(__dirname, '..', '..');

describe('the SBOM', () => {
  let bom;
  before(async () => {
    bom = await sbom();
  });

  test('is CycloneDX by its schema', async () => {
    const validator = new Validation.JsonStrictValidator(
      Spec.Version[`v${bom.specVersion.replace('.', 'dot')}`],
    );
    assert.equal(await validator.validate(JSON.stringify(bom)), null);
  });

  test('is of the package and its version', () => {
    const { name, version } = JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
    const { component } = bom.metadata;
    assert.deepEqual([component.name, component.version], [name, version]);
    assert.equal(component.purl, `pkg:npm/${name}@${version}`);
  });

  test('has the crates of the notices, each with its sum and where it is from', () => {
    const notices = fs.readFileSync(path.join(ROOT, 'THIRD-PARTY-NOTICES.txt'), 'utf8');
    const listed = notices
      .match(/^\S+ \d\S*: .+$/gm)
      .map((line) => line.replace(/:.*/, '').replace(' ', '@'));
    const foreign = bom.components.filter(({ hashes }) => hashes);
    assert.deepEqual(foreign.map(({ name, version }) => `${name}@${version}`).sort(), listed.sort());
    for (const { hashes } of foreign) assert.match(hashes[0].content, /^[0-9a-f]{64}$/);
  });

  test('has what the compiler and the linker bring, each with its version', () => {
    const versions = new Map(bom.components.map(({ name, version }) => [name, version]));
    for (const { name } of RUNTIMES) assert.match(versions.get(name) ?? '', /^\d+\.\d+\.\d+/, name);
  });

  test('leads from the package to all that is in it', () => {
    const needs = new Map(bom.dependencies.map(({ ref, dependsOn }) => [ref, dependsOn]));
    const reached = new Set([bom.metadata.component['bom-ref']]);
    for (const ref of reached) for (const one of needs.get(ref)) reached.add(one);
    const all = bom.components.map((component) => component['bom-ref']);
    assert.deepEqual(
      all.filter((ref) => !reached.has(ref)),
      [],
    );
  });
});
