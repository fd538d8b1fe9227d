'use strict';

/** All packages of a release, with addons that have nothing but what packaging looks for. */

const fs = require('node:fs');
const path = require('node:path');

const { pack } = require('../../scripts/package/tarballs');
const { TARGETS, fileOf } = require('../../scripts/package/targets');
const { setEnvironment } = require('./environment');
const { compileAddon } = require('./tiny-addons');
const { version } = require('../../package.json');

/** Where the packages say that they are from. */
const PIPELINE = { GITHUB_SERVER_URL: 'https://git.example', GITHUB_REPOSITORY: 'somebody/something' };

/** @param {string} folder where an addon for every platform goes */
function makeAddons(folder) {
  for (const target of TARGETS) {
    fs.renameSync(compileAddon(folder, target.name, version), path.join(folder, fileOf(target)));
  }
}

/**
 * @param {string} folder where the packages go
 * @param {string} addons
 * @param {Record<string, string | undefined>} [env] as a pipeline has it, or not
 */
async function packRelease(folder, addons, env = PIPELINE) {
  const before = Object.fromEntries(Object.keys(PIPELINE).map((name) => [name, process.env[name]]));
  setEnvironment({ GITHUB_SERVER_URL: undefined, GITHUB_REPOSITORY: undefined, ...env });
  try {
    return await pack(folder, { addons });
  } finally {
    setEnvironment(before);
  }
}

module.exports = { makeAddons, packRelease };
