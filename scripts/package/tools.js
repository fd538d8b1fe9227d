'use strict';

/**
 * What compiles for other platforms and reads what came of it, from PyPI, where each is there as a program for every
 * machine: zig, a C compiler and linker that brings every platform's libc along; cargo-zigbuild, which makes cargo use
 * it; LIEF, which reads binaries. They are installed in target/, of one version each, as they were tried together.
 */

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const TOOLS = path.join(__dirname, '..', '..', 'target', 'tools');

const VERSIONS = ['ziglang==0.17.1', 'cargo-zigbuild==0.24.1', 'lief==1.0.0'];

/** The versions are in its name, so that others are installed anew. */
const FOLDER = path.join(TOOLS, VERSIONS.join('_').replaceAll('==', '-'));
const isWindows = process.platform === 'win32';
const PROGRAMS = path.join(FOLDER, isWindows ? 'Scripts' : 'bin');

/** Compiled by its own project, or not at all. */
const FROM_PYPI = ['--quiet', '--disable-pip-version-check', '--no-deps', '--only-binary', ':all:'];

/**
 * Installs what is missing.
 *
 * @returns {string} the folder of the programs, for PATH
 */
function installTools() {
  const done = path.join(FOLDER, 'complete');
  if (fs.existsSync(done)) return PROGRAMS;
  fs.rmSync(FOLDER, { recursive: true, force: true });
  run(isWindows ? 'python' : 'python3', ['-m', 'venv', FOLDER]);
  run(program('pip'), ['install', ...FROM_PYPI, ...VERSIONS]);
  fs.writeFileSync(done, '');
  return PROGRAMS;
}

/**
 * Downloads what PyPI has for another platform, and unpacks it.
 *
 * @param {string} requirement with its version
 * @param {string[]} platforms any of them, in PyPI's words
 * @param {string} folder made here; what is there already is not fetched again
 */
function fetchWheel(requirement, platforms, folder) {
  const done = path.join(folder, 'complete');
  if (fs.existsSync(done)) return;
  installTools();
  fs.rmSync(folder, { recursive: true, force: true });
  const wanted = platforms.flatMap((platform) => ['--platform', platform]);
  run(program('pip'), ['download', ...FROM_PYPI, ...wanted, '--dest', folder, requirement]);
  const [wheel] = fs.readdirSync(folder);
  run(program('python'), ['-m', 'zipfile', '-e', path.join(folder, wheel), folder]);
  fs.rmSync(path.join(folder, wheel));
  fs.writeFileSync(done, '');
}

/** @param {string} name one of Python's, or of what was installed */
function program(name) {
  return path.join(PROGRAMS, isWindows ? `${name}.exe` : name);
}

/**
 * Runs it; what it prints goes to stderr, as stdout is for what was made.
 *
 * @param {string} name
 * @param {string[]} args
 * @param {import('node:child_process').ExecFileSyncOptions} [options]
 */
function run(name, args, options = {}) {
  try {
    execFileSync(name, args, { stdio: ['ignore', process.stderr, 'inherit'], ...options });
  } catch (error) {
    throw new Error(`${[name, ...args].join(' ')} failed: ${error.message}`, { cause: error });
  }
}

module.exports = { TOOLS, fetchWheel, installTools, program, run };
