'use strict';

/**
 * Where a redis-server is on this machine. Used by the tests, the demo and the benchmark, and as a
 * command that prints the path: `node scripts/redis-server.js`.
 */

const { installPackage, onPath } = require('./system-packages');

const NAMES = ['redis-server', 'valkey-server'];

/** What brings one is called differently from release to release: in the order they are tried. */
const PACKAGES = {
  'apt-get': ['redis-server', 'valkey-server'],
  apk: ['redis', 'valkey'],
  dnf: ['valkey', 'redis'],
  brew: ['redis', 'valkey'],
};

const HOW_TO_GET_ONE =
  'No redis-server was found. Install redis or valkey with your package manager, or set REDIS_SERVER to the path of one.';

/**
 * The path of a redis-server (or valkey-server): `REDIS_SERVER`, else one on PATH, else, with
 * `install`, one that the system's package manager brings. Null where there is none.
 *
 * @param {{install?: boolean}} [options]
 * @returns {string | null}
 */
function findRedisServer({ install = false } = {}) {
  const asked = process.env.REDIS_SERVER;
  if (asked) {
    const found = onPath(asked);
    if (!found) throw new Error(`REDIS_SERVER is "${asked}", which is not a program that can be run`);
    return found;
  }
  return firstOnPath() ?? (install ? installPackage('redis-server', PACKAGES, firstOnPath) : null);
}

function firstOnPath() {
  for (const name of NAMES) {
    const found = onPath(name);
    if (found) return found;
  }
  return null;
}

if (require.main === module) {
  const found = findRedisServer({ install: true });
  if (found) {
    process.stdout.write(`${found}\n`);
  } else {
    process.stderr.write(`${HOW_TO_GET_ONE}\n`);
    process.exitCode = 1;
  }
}

module.exports = { findRedisServer, HOW_TO_GET_ONE };
