'use strict';

const fs = require('node:fs');
const path = require('node:path');

const { npm } = require('../scripts/npm');

/** Installs the peers that are nobody's but the benchmark's, unless they are there. */
async function installPeers() {
  if (fs.existsSync(path.join(__dirname, 'node_modules'))) return;
  process.stderr.write('npm ci in bench/, for the peers that only the benchmark needs …\n');
  await npm(__dirname, ['ci', '--no-audit', '--no-fund']);
}

const NAMES = [
  'ioredis',
  'redis-3',
  'redlock',
  'redlock-5',
  '@sesamecare-oss/redlock',
  'redlock-universal',
  'redis-semaphore',
  'redislock',
];

/**
 * The versions of what is measured, by name.
 *
 * @returns {Record<string, string>}
 */
function peerVersions() {
  return Object.fromEntries(NAMES.map((name) => [name, versionOf(name)]));
}

/** Not by `require`, which a package's exports may forbid. */
function versionOf(name) {
  for (const folder of [__dirname, path.join(__dirname, '..')]) {
    const file = path.join(folder, 'node_modules', name, 'package.json');
    if (fs.existsSync(file)) return JSON.parse(fs.readFileSync(file, 'utf8')).version;
  }
  return 'not installed';
}

module.exports = { installPeers, peerVersions };
