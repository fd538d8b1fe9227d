'use strict';

/** What is linked into the addon and is no crate of the registry's: what its compiler and its linker bring. */

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

/** Zig links for all platforms; its version is that of the tools. */
const TOOLS = path.join(__dirname, '..', 'package', 'from-pypi', 'compilers.txt');

/**
 * @typedef {object} Runtime
 * @property {string} name
 * @property {string} version that of what brings it
 * @property {string} license an SPDX expression
 * @property {string} title its name in the notices, with what it is linked into
 */

/** `file` is that of the licence. */
const RUNTIMES = [
  {
    name: 'rust-std',
    from: 'rustc',
    license: 'MIT OR Apache-2.0',
    title: "Rust's standard library, and what is in it",
    file: 'rust-library.txt',
  },
  {
    name: 'zig-compiler-rt',
    from: 'zig',
    license: 'MIT',
    title: "Zig's compiler-rt (parts of the binaries that are made with zig)",
    file: 'zig.txt',
  },
  {
    name: 'llvm-libunwind',
    from: 'zig',
    license: 'Apache-2.0 WITH LLVM-exception',
    title: "LLVM's libunwind (the same)",
    file: 'llvm.txt',
  },
  {
    name: 'mingw-w64-runtime',
    from: 'zig',
    license: 'ZPL-2.1',
    title: 'The mingw-w64 runtime (the binaries for Windows)',
    file: 'mingw-w64.txt',
  },
];

/** @returns {Runtime[]} with the versions of the tools that are used here */
function runtimes() {
  const versions = { rustc: rustVersion(), zig: zigVersion() };
  return RUNTIMES.map(({ name, from, license, title }) => ({
    name,
    version: versions[from],
    license,
    title,
  }));
}

function rustVersion() {
  return execFileSync('rustc', ['--version'], { encoding: 'utf8' }).split(' ')[1];
}

function zigVersion() {
  return /^ziglang==([\d.]+)/m.exec(fs.readFileSync(TOOLS, 'utf8'))[1];
}

module.exports = { RUNTIMES, runtimes };
