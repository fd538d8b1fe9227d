'use strict';

/** `node scripts/package/lint.js`: the main package as it is published, by those who know what every resolver makes of it. */

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { pack } = require('.');

const PROGRAMS = path.join(__dirname, '..', '..', 'node_modules', '.bin');

/** What package.json's `exports` say by patterns, which nobody can enumerate. */
const BY_PATTERN = ['errors', 'lock', 'redislock'].flatMap((name) => [
  `redislock/lib/${name}`,
  `redislock/lib/${name}.js`,
]);

async function main() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-native-lint-'));
  try {
    const packed = (await pack(folder)).main;
    run('attw', [packed, '--format', 'table-flipped', '--include-entrypoints', ...BY_PATTERN]);
    run('publint', ['run', packed, '--strict']);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

/**
 * @param {string} program
 * @param {string[]} args
 */
function run(program, args) {
  const shell = process.platform === 'win32';
  execFileSync(path.join(PROGRAMS, program), args, { stdio: 'inherit', shell });
}

if (require.main === module) {
  main().catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
}
