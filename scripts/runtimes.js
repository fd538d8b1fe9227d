'use strict';

/**
 * The runtimes that the package is tried on: this Node.js, and those that `npm ci --prefix __test__/runtimes` has installed
 * for this machine.
 *
 * @typedef {object} Runtime
 * @property {string} name with its version
 * @property {string} program
 * @property {string[]} args before a script's path
 */

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const MODULES = path.join(__dirname, '..', '__test__', 'runtimes', 'node_modules');

/** What Deno must allow; the network is for callers' own clients alone. */
const DENO = ['run', '--allow-ffi', '--allow-read', '--allow-env', '--allow-net=127.0.0.1'];

/** Where each is in its package, in the order in which they are tried. */
const INSTALLED = [
  { name: 'Node.js', file: 'node-22-linux-x64/bin/node' },
  { name: 'Node.js', file: 'node-24-linux-x64/bin/node' },
  { name: 'Node.js', file: 'node-26-linux-x64/bin/node' },
  { name: 'Bun', file: '@oven/bun-linux-x64/bin/bun' },
  { name: 'Deno', file: '@deno/linux-x64-glibc/deno', args: DENO },
];

/** @returns {Runtime[]} */
function runtimes() {
  const here = { name: `Node.js ${process.version.slice(1)}`, program: process.execPath, args: [] };
  return [here, ...INSTALLED.flatMap(find)];
}

/**
 * @param {{name: string, file: string, args?: string[]}} one
 * @returns {Runtime[]} none, where its package is not for this machine
 */
function find({ name, file, args = [] }) {
  const program = path.join(MODULES, file);
  if (!fs.existsSync(program)) return [];
  const said = execFileSync(program, ['--version'], { encoding: 'utf8' });
  return [{ name: `${name} ${/\d+(\.\d+)+/.exec(said)?.[0]}`, program, args }];
}

module.exports = { runtimes };
