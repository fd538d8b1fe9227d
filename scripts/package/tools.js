'use strict';

/**
 * What compiles for other platforms: zig, as a C compiler and linker that brings every platform's libc along, and
 * cargo-zigbuild, which makes cargo use it. Both are on PyPI as programs, so that Python's installer brings them, into
 * target/. rustup brings Rust's own library for each target.
 */

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const ROOT = path.join(__dirname, '..', '..');

/** As they were tried together. */
const VERSIONS = { ziglang: '0.17.1', 'cargo-zigbuild': '0.24.1' };

/** Its name has the versions in it, so that other ones are installed anew. */
const FOLDER = path.join(
  ROOT,
  'target',
  'tools',
  Object.entries(VERSIONS)
    .map((entry) => entry.join('-'))
    .join('_'),
);

/**
 * Installs what is missing.
 *
 * @param {import('./targets').Target[]} targets
 * @returns {string} the folder of the programs, for PATH
 */
function installTools(targets) {
  const programs = path.join(FOLDER, process.platform === 'win32' ? 'Scripts' : 'bin');
  const done = path.join(FOLDER, 'complete');
  if (!fs.existsSync(done)) {
    fs.rmSync(FOLDER, { recursive: true, force: true });
    run(process.platform === 'win32' ? 'python' : 'python3', ['-m', 'venv', FOLDER]);
    const wanted = Object.entries(VERSIONS).map((entry) => entry.join('=='));
    // Nothing is compiled here: a program from its own project, or none.
    const options = ['--quiet', '--disable-pip-version-check', '--no-deps', '--only-binary', ':all:'];
    run(path.join(programs, 'pip'), ['install', ...options, ...wanted]);
    fs.writeFileSync(done, '');
  }
  run('rustup', ['target', 'add', ...targets.map(({ rust }) => rust)]);
  return programs;
}

function run(program, args) {
  try {
    execFileSync(program, args, { stdio: ['ignore', process.stderr, 'inherit'] });
  } catch (error) {
    throw new Error(`${[program, ...args].join(' ')} failed: ${error.message}`, { cause: error });
  }
}

module.exports = { installTools };
