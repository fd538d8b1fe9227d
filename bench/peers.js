'use strict';

const fs = require('node:fs');
const path = require('node:path');

const { npm } = require('../scripts/npm');

const { dependencies } = require('./package.json');

/** Installs the peers that are nobody's but the benchmark's, unless they are there. */
async function installPeers() {
  if (Object.entries(dependencies).every(([name, version]) => versionOf(name) === version)) return;
  process.stderr.write('npm ci in bench/, for the peers that only the benchmark needs …\n');
  await npm(__dirname, ['ci', '--no-audit', '--no-fund']);
}

/** What is measured, as it is named where it is installed and where it is told. */
const NAMES = {
  ioredis: 'ioredis',
  'redis-3': 'node-redis',
  redlock: 'redlock',
  'redlock-5': 'redlock',
  ...Object.fromEntries(Object.keys(dependencies).map((name) => [name, name])),
};

/**
 * Names and versions of what is measured, as far as it is installed.
 *
 * @returns {string[]}
 */
function peerVersions() {
  return Object.entries(NAMES).flatMap(([folder, name]) => {
    const version = versionOf(folder);
    return version ? [`${name} ${version.replace(/^v/, '')}`] : [];
  });
}

/** Not by `require`, which a package's exports may forbid. */
function versionOf(name) {
  for (const folder of [__dirname, path.join(__dirname, '..')]) {
    const file = path.join(folder, 'node_modules', name, 'package.json');
    if (fs.existsSync(file)) return JSON.parse(fs.readFileSync(file, 'utf8')).version;
  }
  return null;
}

module.exports = { installPeers, peerVersions };
