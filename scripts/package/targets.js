'use strict';

/**
 * What there are packages for: the `napi.targets` of package.json, as npm names them, and how each of them is built on
 * whatever machine this is.
 *
 * @typedef {object} Target
 * @property {string} name as in the package's name
 * @property {string} rust rustup's name of what it is compiled for
 * @property {'elf' | 'mach-o' | 'pe'} format of its file
 * @property {string} machine in the words of Node.js' `process.arch`
 * @property {string} [glibc] the oldest one that it runs with
 * @property {string} [macos] the oldest one that it runs on
 * @property {string[]} [flags] for rustc
 * @property {number} megabytes how large its file may be, in 10⁶ bytes
 */

/** CentOS 7's, of 2012: the oldest that Node.js itself runs with. */
const GLIBC = '2.17';
/** What Rust's own library for Apple silicon was made for. */
const MACOS = '11.0';

/** Else it would be the file's path on the machine where it was linked. Nobody links with it, so that any will do. */
const OWN_NAME = ['-Clink-arg=-Wl,-install_name,@rpath/redlock-native.node'];

/** @type {Target[]} */
const TARGETS = [
  {
    name: 'linux-x64-gnu',
    rust: 'x86_64-unknown-linux-gnu',
    format: 'elf',
    machine: 'x64',
    glibc: GLIBC,
    megabytes: 4,
  },
  {
    name: 'linux-x64-musl',
    rust: 'x86_64-unknown-linux-musl',
    format: 'elf',
    machine: 'x64',
    flags: ['-Ctarget-feature=-crt-static'],
    megabytes: 4,
  },
  {
    name: 'linux-arm64-gnu',
    rust: 'aarch64-unknown-linux-gnu',
    format: 'elf',
    machine: 'arm64',
    glibc: GLIBC,
    megabytes: 4,
  },
  {
    name: 'linux-arm64-musl',
    rust: 'aarch64-unknown-linux-musl',
    format: 'elf',
    machine: 'arm64',
    flags: ['-Ctarget-feature=-crt-static'],
    megabytes: 4,
  },
  {
    name: 'darwin-x64',
    rust: 'x86_64-apple-darwin',
    format: 'mach-o',
    machine: 'x64',
    macos: MACOS,
    flags: OWN_NAME,
    megabytes: 6,
  },
  {
    name: 'darwin-arm64',
    rust: 'aarch64-apple-darwin',
    format: 'mach-o',
    machine: 'arm64',
    macos: MACOS,
    flags: OWN_NAME,
    megabytes: 6,
  },
  // Node.js for Windows is made by Microsoft's compiler; an addon that imports nothing of it may be made by another.
  {
    name: 'win32-x64-msvc',
    rust: 'x86_64-pc-windows-gnullvm',
    format: 'pe',
    machine: 'x64',
    megabytes: 4,
  },
  {
    name: 'win32-arm64-msvc',
    rust: 'aarch64-pc-windows-gnullvm',
    format: 'pe',
    machine: 'arm64',
    megabytes: 4,
  },
];

/** @param {Target} target */
function fileOf({ name }) {
  return `redlock-native.${name}.node`;
}

/**
 * @param {string[]} names all of them if it is empty
 * @returns {Target[]}
 */
function targetsNamed(names) {
  const all = TARGETS.map(({ name }) => name);
  const unknown = names.filter((name) => !all.includes(name));
  if (unknown.length) throw new Error(`no such target: ${unknown.join(', ')}; there are ${all.join(', ')}`);
  return names.length ? TARGETS.filter(({ name }) => names.includes(name)) : TARGETS;
}

/** This machine's own name as a target; it may be none of ours. */
function ownTarget() {
  const rest = { linux: [isMusl() ? 'musl' : 'gnu'], win32: ['msvc'] }[process.platform] ?? [];
  return [process.platform, process.arch, ...rest].join('-');
}

/** Whether this is a Linux whose libc is musl. */
function isMusl() {
  return process.platform === 'linux' && !ownGlibc();
}

/** @returns {string | undefined} the version of this machine's glibc; none where there is another libc */
function ownGlibc() {
  const { header } = /** @type {any} */ (process.report.getReport());
  return header.glibcVersionRuntime;
}

module.exports = { TARGETS, fileOf, isMusl, ownGlibc, ownTarget, targetsNamed };
