'use strict';

/** Uses a platform's package as it was packed, in a Node.js for that platform, on three real servers. */

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { startServers } = require('../servers');
const { emulate } = require('./emulation');
const { unpack } = require('./tarball');

const SCRIPT = 'lock-there.js';
/** Seconds. Where instructions are translated, Node.js alone takes several to start. */
const PATIENCE = 180;

/**
 * @param {import('./targets').Target} target
 * @param {{main: string, platform: string}} tarballs
 * @returns {Promise<{isDone: boolean, by: string}>} by what it was used, or why it was not
 */
async function useOnTarget(target, { main, platform }) {
  const emulated = emulate(target);
  if ('impossible' in emulated) return { isDone: false, by: emulated.impossible };
  const app = fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-native-use-'));
  const servers = await startServers(3);
  try {
    const modules = path.join(app, 'node_modules');
    unpack(main, path.join(modules, 'redlock-native'));
    unpack(platform, path.join(modules, `redlock-native-${target.name}`));
    fs.copyFileSync(path.join(__dirname, SCRIPT), path.join(app, SCRIPT));
    await runIn(app, target, emulated, servers.map(({ url }) => url).join(','));
    const left = (await Promise.all(servers.map((server) => server.keys()))).flat();
    if (left.length) throw new Error(`it left keys behind: ${left.join(', ')}`);
  } catch (error) {
    throw new Error(`the package for ${target.name} failed in ${emulated.by}: ${error.message}`, {
      cause: error,
    });
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
    fs.rmSync(app, { recursive: true });
  }
  return { isDone: true, by: emulated.by };
}

/**
 * @param {string} app
 * @param {import('./targets').Target} target
 * @param {import('./emulation').Emulated} emulated
 * @param {string} urls
 */
async function runIn(app, target, { command: [program, ...args], env = {} }, urls) {
  // Node.js in wine writes to files, not to pipes.
  const said = path.join(app, 'said');
  const out = fs.openSync(said, 'w');
  const child = spawn(program, [...args, SCRIPT, urls], {
    cwd: app,
    env: { ...process.env, ...whichAddon(app, target), ...env },
    stdio: ['ignore', out, out],
    timeout: PATIENCE * 1000,
    killSignal: 'SIGKILL',
  });
  fs.closeSync(out);
  const [status, signal] = await once(child, 'exit');
  const text = fs.readFileSync(said, 'utf8');
  if (status !== 0 || !text.includes('released')) {
    throw new Error(`it ended with ${status ?? signal}: ${text.trim()}`);
  }
}

/** The loader asks this system's own ldd which libc there is, not the one that Node.js runs over. */
function whichAddon(app, { name, glibc }) {
  const isMusl = name.startsWith('linux-') && !glibc;
  const own = path.join(app, 'node_modules', `redlock-native-${name}`, `redlock-native.${name}.node`);
  return { NAPI_RS_NATIVE_LIBRARY_PATH: isMusl ? own : undefined };
}

module.exports = { useOnTarget };
