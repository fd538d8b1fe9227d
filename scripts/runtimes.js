'use strict';

/**
 * The runtimes that the package is tried on: this Node.js, and those that `npm ci --prefix __test__/runtimes` has installed
 * for this machine.
 *
 * @typedef {object} Runtime
 * @property {string} name
 * @property {string} version
 * @property {string} program
 * @property {string[]} args before a script's path
 */

const { execFile, execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { promisify } = require('node:util');

const { freePort, HOST } = require('./free-port');
const { startServers } = require('./servers');

const FOLDER = path.join(__dirname, '..', '__test__', 'runtimes');
const MODULES = path.join(FOLDER, 'node_modules');

/** What is run on them. */
const APP = path.join(FOLDER, 'app');

/** What Deno must allow; the network is for callers' own clients alone. */
const DENO = ['run', '--allow-ffi', '--allow-read', '--allow-env', `--allow-net=${HOST}`];

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
  const here = { name: 'Node.js', version: process.version.slice(1), program: process.execPath, args: [] };
  // On other machines npm leaves them out.
  const isTheirs = process.platform === 'linux' && process.arch === 'x64';
  return isTheirs ? [here, ...INSTALLED.map(find)] : [here];
}

/**
 * @param {{name: string, file: string, args?: string[]}} one
 * @returns {Runtime}
 */
function find({ name, file, args = [] }) {
  const program = path.join(MODULES, file);
  if (!fs.existsSync(program)) {
    throw new Error(`${name} is missing in ${program}: run npm ci --prefix __test__/runtimes`);
  }
  const said = execFileSync(program, ['--version'], { encoding: 'utf8' });
  return { name, version: /\d+(\.\d+)+/.exec(said)?.[0] ?? said, program, args };
}

/** In ms. A process that has passed and does not end is a failure. */
const TIMEOUT = 30_000;

/**
 * Runs an app's scripts one after another, with servers of their own, so that nobody finds what another has left.
 *
 * @param {Runtime} runtime
 * @param {string[]} scripts
 * @param {object} options
 * @param {string} options.cwd the app's folder
 * @param {NodeJS.ProcessEnv} [options.env]
 * @returns {Promise<string>} what they have said, and how long it took
 */
async function runApp({ name, version, program, args }, scripts, { cwd, env = process.env }) {
  const servers = await startServers(3);
  try {
    const addresses = {
      SMOKE_UP: servers.map(({ url }) => url).join(' '),
      SMOKE_DOWN: `redis://${HOST}:${await freePort()}`,
    };
    const options = { cwd, env: { ...env, ...addresses }, timeout: TIMEOUT };
    const started = performance.now();
    const said = [];
    for (const script of scripts) {
      const { stdout } = await promisify(execFile)(program, [...args, script], options);
      said.push(stdout.trim());
    }
    return `${said.join(', ')}, ${((performance.now() - started) / 1000).toFixed(1)} s`;
  } catch (error) {
    const { message, stdout = '', stderr = '' } = error;
    throw new Error(`${name} ${version}: ${message}\n${stdout}${stderr}`, { cause: error });
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
}

module.exports = { APP, MODULES, runtimes, runApp };
