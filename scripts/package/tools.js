'use strict';

/**
 * What compiles for other platforms and reads what came of it, from PyPI, where each is there as a program for every
 * machine: zig, a C compiler and linker that brings every platform's libc along; cargo-zigbuild, which makes cargo use
 * it; LIEF, which reads binaries. They are put in target/, each as a list in from-pypi/ names it: its version, as they were
 * tried together, and the hashes of its files. `uv pip compile --universal --no-deps --generate-hashes` makes such a list.
 */

const { execFileSync } = require('node:child_process');
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');

const TOOLS = path.join(__dirname, '..', '..', 'target', 'tools');
const LISTS = path.join(__dirname, 'from-pypi');

const PYTHON = process.platform === 'win32' ? 'python' : 'python3';

/** Compiled by its own project, or not at all. */
const FROM_PYPI = ['--quiet', '--disable-pip-version-check', '--no-deps', '--only-binary', ':all:'];

/** Installs what compiles, if it is missing. */
function installCompilers() {
  install('compilers');
}

/** Installs what reads binaries, if it is missing. */
function installReader() {
  install('reader');
}

/** @param {string} list */
function install(list) {
  make(folderOf(list), (folder) =>
    runPython(['-m', 'pip', 'install', ...FROM_PYPI, ...listed(list), '--target', folder]),
  );
}

/**
 * What pip may take, and nothing else.
 *
 * @param {string} list
 */
function listed(list) {
  return ['--require-hashes', '--requirement', fileOf(list)];
}

/** @param {string} list */
function fileOf(list) {
  return path.join(LISTS, `${list}.txt`);
}

/**
 * Where it is unpacked. What is in the list is in the name, so that something else is installed anew.
 *
 * @param {string} list
 */
function folderOf(list) {
  const digest = createHash('sha256')
    .update(fs.readFileSync(fileOf(list)))
    .digest('hex');
  return path.join(TOOLS, `${list}-${digest.slice(0, 16)}`);
}

/**
 * With them, programs find the tools, and Python its modules.
 *
 * @returns {Record<string, string>} environment variables
 */
function toolsEnvironment() {
  const folders = ['compilers', 'reader'].map(folderOf);
  const programs = [...folders.map((folder) => path.join(folder, 'bin')), process.env.PATH];
  return { PATH: programs.join(path.delimiter), PYTHONPATH: folders.join(path.delimiter) };
}

/**
 * Downloads what PyPI has for another platform, and unpacks it.
 *
 * @param {string} list of one thing
 * @param {string} platform in PyPI's words
 * @returns {string} the folder where it is; what is there already is not fetched again
 */
function fetchWheel(list, platform) {
  const folder = `${folderOf(list)}-${platform}`;
  make(folder, (unpacked) => {
    const wanted = ['--platform', platform, '--dest', unpacked, ...listed(list)];
    runPython(['-m', 'pip', 'download', ...FROM_PYPI, ...wanted]);
    const wheel = path.join(unpacked, fs.readdirSync(unpacked)[0]);
    runPython(['-m', 'zipfile', '-e', wheel, unpacked]);
    fs.rmSync(wheel);
  });
  return folder;
}

/**
 * @param {string} list
 * @param {string} name of what is in it
 */
function versionIn(list, name) {
  const text = fs.readFileSync(fileOf(list), 'utf8');
  const found = text.split('\n').find((line) => line.startsWith(`${name}==`));
  if (!found) throw new Error(`${fileOf(list)} doesn't name ${name}`);
  return found.slice(name.length + '=='.length).split(' ')[0];
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
  installCompilers();
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

module.exports = {
  TOOLS,
  fetchWheel,
  installCompilers,
  installReader,
  make,
  run,
  runPython,
  runZig,
  toolsEnvironment,
  versionIn,
};
