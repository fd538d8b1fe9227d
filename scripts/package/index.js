'use strict';

/**
 * `npm run package [-- <target>…]`: builds the addon for every platform, or for those, on this machine, looks it over,
 * and packs everything as it is published, in target/packages/. Prints the packages' files.
 */

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const { crossBuild } = require('./cross-build');
const { pack } = require('./tarballs');
const { targetsNamed } = require('./targets');
const { installTools } = require('./tools');

const ROOT = path.join(__dirname, '..', '..');
const ADDONS = path.join(ROOT, 'target', 'addons');
const PACKAGES = path.join(ROOT, 'target', 'packages');

/** @param {string[]} names */
async function main(names) {
  const targets = targetsNamed(names);
  // What loads the addon is generated with it; on this machine, as elsewhere nothing says what is exported.
  execFileSync('npm', ['run', 'build'], { cwd: ROOT, stdio: ['ignore', process.stderr, 'inherit'] });
  const programs = installTools(targets);
  for (const folder of [ADDONS, PACKAGES]) fs.rmSync(folder, { recursive: true, force: true });
  for (const target of targets) await crossBuild(target, programs, ADDONS);
  return pack(PACKAGES, { addons: ADDONS });
}

if (require.main === module) {
  main(process.argv.slice(2)).then(
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
