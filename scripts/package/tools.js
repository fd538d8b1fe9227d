'use strict';

/**
 * What compiles for other platforms and reads what came of it, from PyPI, where each is there as a program for every
 * machine: zig, a C compiler and linker that brings every platform's libc along; cargo-zigbuild, which makes cargo use
 * it; LIEF, which reads binaries. They are put in target/, of one version each, as they were tried together.
 */

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const TOOLS = path.join(__dirname, '..', '..', 'target', 'tools');

const VERSIONS = ['ziglang==0.17.1', 'cargo-zigbuild==0.24.1', 'lief==1.0.0'];

/** The versions are in its name, so that others are installed anew. */
const FOLDER = path.join(TOOLS, VERSIONS.join('+').replaceAll('==', '-'));

const PYTHON = process.platform === 'win32' ? 'python' : 'python3';

/** Compiled by its own project, or not at all. */
const FROM_PYPI = ['--quiet', '--disable-pip-version-check', '--no-deps', '--only-binary', ':all:'];

/** Installs what is missing. */
function installTools() {
  make(FOLDER, (folder) =>
    runPython(['-m', 'pip', 'install', ...FROM_PYPI, '--target', folder, ...VERSIONS]),
  );
}

/**
 * With them, programs find the tools, and Python its modules.
 *
 * @returns {Record<string, string>} environment variables
 */
function toolsEnvironment() {
  const programs = [path.join(FOLDER, 'bin'), process.env.PATH].join(path.delimiter);
  return { PATH: programs, PYTHONPATH: FOLDER };
}

/**
 * Downloads what PyPI has for another platform, and unpacks it.
 *
 * @param {string} requirement with its version
 * @param {string} platform in PyPI's words
 * @param {string} folder where it is then; what is there already is not fetched again
 */
function fetchWheel(requirement, platform, folder) {
  make(folder, (unpacked) => {
    const wanted = ['--platform', platform, '--dest', unpacked, requirement];
    runPython(['-m', 'pip', 'download', ...FROM_PYPI, ...wanted]);
    const wheel = path.join(unpacked, fs.readdirSync(unpacked)[0]);
    runPython(['-m', 'zipfile', '-e', wheel, unpacked]);
    fs.rmSync(wheel);
  });
}

/**
 * A folder that is there as a whole or not at all, as several tests may make it at the same time.
 *
 * @param {string} folder
 * @param {(folder: string) => void} fill is given another one, which then gets that name
 */
function make(folder, fill) {
  if (fs.existsSync(folder)) return;
  fs.mkdirSync(TOOLS, { recursive: true });
  const half = fs.mkdtempSync(path.join(TOOLS, 'half-'));
  try {
    fill(half);
    // Another may have been faster.
    if (!fs.existsSync(folder)) fs.renameSync(half, folder);
  } finally {
    fs.rmSync(half, { recursive: true, force: true });
  }
}

/**
 * @param {string[]} args
 * @param {import('node:child_process').ExecFileSyncOptions} [options]
 */
function runPython(args, options) {
  return run(PYTHON, args, { env: { ...process.env, ...toolsEnvironment() }, ...options });
}

/** @param {string[]} args */
function runZig(args) {
  installTools();
  runPython(['-m', 'ziglang', ...args]);
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
    return execFileSync(name, args, { stdio: ['ignore', process.stderr, 'inherit'], ...options });
  } catch (error) {
    throw new Error(`${[name, ...args].join(' ')} failed: ${error.message}`, { cause: error });
  }
}

module.exports = { TOOLS, fetchWheel, installTools, make, run, runPython, runZig, toolsEnvironment };
