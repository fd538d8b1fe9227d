'use strict';

/**
 * `npm run smoke`: the packed package, installed in a folder, on three real servers and on each runtime that
 * scripts/runtimes.js finds, as CommonJS and as ESM. Prints a line for each; the first that fails ends it.
 */

const { execFile } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { promisify } = require('node:util');

const { freePort, HOST } = require('./free-port');
const { pack } = require('./package');
const { installOffline, linkModules } = require('./package/install');
const { runtimes } = require('./runtimes');
const { startServers } = require('./servers');

const APP = path.join(__dirname, '..', '__test__', 'runtimes', 'app');
const SCRIPTS = ['commonjs.cjs', 'module.mjs'];

/** A process that has passed and does not end is a failure. */
const TIMEOUT = 30_000;

async function main() {
  const folder = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-native-smoke-')));
  try {
    await makeApp(folder);
    for (const runtime of runtimes()) await smokeOn(runtime, folder);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

/** @param {string} app */
async function makeApp(app) {
  const { main: packed, platforms } = await pack(path.join(app, 'packages'));
  await installOffline(app, [packed, ...platforms]);
  linkModules(app, { bluebird: 'bluebird', ioredis: 'ioredis', redis: 'redis-5' });
  fs.cpSync(APP, app, { recursive: true });
}

/**
 * On servers of its own, so that no runtime finds what another has left.
 *
 * @param {import('./runtimes').Runtime} runtime
 * @param {string} app
 */
async function smokeOn({ name, program, args }, app) {
  const servers = await startServers(3);
  try {
    const env = {
      ...process.env,
      SMOKE_UP: servers.map(({ url }) => url).join(' '),
      SMOKE_DOWN: `redis://${HOST}:${await freePort()}`,
    };
    const started = performance.now();
    const said = [];
    for (const script of SCRIPTS) {
      said.push(await run(program, [...args, script], { cwd: app, env, timeout: TIMEOUT }));
    }
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.log(`${name}: ${said.join(', ')}, ${seconds} s`);
  } catch (error) {
    throw new Error(`${name}: ${error.message}\n${error.stdout}${error.stderr}`, { cause: error });
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
}

/**
 * @param {string} program
 * @param {string[]} args
 * @param {import('node:child_process').ExecFileOptions} options
 */
async function run(program, args, options) {
  const { stdout } = await promisify(execFile)(program, args, options);
  return stdout.trim();
}

if (require.main === module) {
  main().catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
}
