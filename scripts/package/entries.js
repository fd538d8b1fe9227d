'use strict';

/**
 * Whether every entry of the package can be resolved, with its types, by whatever resolves modules: attw and publint on the
 * package as it is published.
 */

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { pack } = require('./tarballs');

/** What package.json's `exports` say by patterns, which nobody can enumerate. */
const BY_PATTERN = ['errors', 'lock', 'redislock'].flatMap((name) => [
  `redislock/lib/${name}`,
  `redislock/lib/${name}.js`,
]);

async function main() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-native-entries-'));
  try {
    const { main: tarball } = await pack(folder);
    run('attw', tarball, '--format', 'table-flipped', '--include-entrypoints', ...BY_PATTERN);
    run('publint', tarball, '--strict');
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

function run(program, ...args) {
  // npm's scripts have it on PATH; it is a script itself on Windows, which only a shell can start.
  execFileSync(program, args, { stdio: 'inherit', shell: process.platform === 'win32' });
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
