'use strict';

/**
 * `npm run test:upstream [-- name …]`: the test suites of the packages that this one stands in for,
 * fetched from the registry and run unmodified against our entries, with the real clients on a server
 * of our own.
 */

const { execFile, spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { promisify } = require('node:util');

const { npm } = require('./npm');
const { findRedisServer, HOW_TO_GET_ONE } = require('./redis-server');
const { startServers } = require('./servers');
const { upstreamRedislock } = require('./upstream-redislock');

const ROOT = path.join(__dirname, '..');
const MOCHA = path.join(ROOT, 'node_modules', 'mocha', 'bin', 'mocha.js');
const TIMEOUT = 120_000;

/**
 * @typedef {object} Suite
 * @property {string} name
 * @property {string} spec of the package, for npm
 * @property {number} tests how many it has; another number is a failure
 * @property {boolean} leavesOpen whether it ends without closing its clients, as mocha then let it
 * @property {string[]} take which of the package's files are its tests
 * @property {string[]} run which of them mocha is given
 * @property {(port: number) => Record<string, string>} put the files beside them that lead to our entry, to the real
 *   clients, and them to our server
 */

/**
 * The suites of redlock's own releases are alike: one file, beside what it tests.
 *
 * @param {string} spec
 * @param {number} tests
 * @param {string} entry
 * @param {string} redis which node_redis it was written for
 * @param {{leavesOpen?: boolean}} [more]
 * @returns {Suite}
 */
function redlockSuite(spec, tests, entry, redis, { leavesOpen = false } = {}) {
  return {
    name: spec,
    leavesOpen,
    spec,
    tests,
    take: ['test.js'],
    run: ['test.js'],
    put: (port) => ({
      'redlock.js': reexport(path.join(ROOT, 'compat', entry)),
      'node_modules/bluebird.js': reexport(installed('bluebird')),
      'node_modules/chai.js': reexport(installed('chai')),
      'node_modules/redis.js': `
        const redis = require(${quote(installed(redis))});
        exports.createClient = (options) => redis.createClient({ port: ${port}, ...options });`,
      'node_modules/ioredis.js': `
        const Redis = require(${quote(installed('ioredis'))});
        module.exports = function (options) { return new Redis({ port: ${port}, ...options }); };`,
    }),
  };
}

/** @type {Suite[]} */
const SUITES = [
  redlockSuite('redlock@4.2.0', 224, 'v4', 'redis-3'),
  redlockSuite('redlock@3.1.2', 116, 'v3', 'redis-2'),
  redlockSuite('redlock@2.1.0', 56, 'v2', 'redis-2', { leavesOpen: true }),
  redlockSuite('redlock@1.0.0', 48, 'v1', 'redis-2', { leavesOpen: true }),
  redlockSuite('redlock@0.2.0', 10, 'v0', 'redis-2', { leavesOpen: true }),
  redlockSuite('redlock-async@3.1.2-fix.2', 56, 'redlock-async', 'redis-2'),
];

/** Its specs need a place of their own: scripts/upstream-redislock.js. */
const REDISLOCK = 'redislock@1.3.0';

async function main() {
  const asked = process.argv.slice(2);
  const names = [...SUITES.map(({ name }) => name), REDISLOCK];
  const unknown = asked.find((name) => !names.includes(name));
  if (unknown) throw new Error(`unknown suite "${unknown}": there are ${names.join(', ')}`);
  const redisServer = findRedisServer({ install: true });
  if (!redisServer) throw new Error(HOW_TO_GET_ONE);
  process.env.REDIS_SERVER = redisServer;

  const suites = asked.length ? SUITES.filter(({ name }) => asked.includes(name)) : SUITES;
  for (const suite of suites) await report(suite.name, runSuite(suite));
  if (!asked.length || asked.includes(REDISLOCK)) {
    await report(
      REDISLOCK,
      upstreamRedislock().then(
        () => [],
        (error) => [error.stderr || error.message],
      ),
    );
  }
}

/**
 * @param {string} name
 * @param {Promise<string[]>} running resolves to what is wrong
 */
async function report(name, running) {
  const start = performance.now();
  const complaints = await running;
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${name}: ${complaints.length ? 'FAILED' : 'passed'} in ${seconds} s`);
  for (const complaint of complaints) console.error(complaint);
  if (complaints.length) process.exitCode = 1;
}

/**
 * @param {Suite} suite
 * @returns {Promise<string[]>} what is wrong
 */
async function runSuite({ name, spec, tests, leavesOpen, take, run, put }) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), `redlock-native-${name}-`));
  const [server] = await startServers(1);
  try {
    const unpacked = await unpack(spec, path.join(folder, 'fetched'));
    const place = path.join(folder, 'suite');
    for (const file of take)
      fs.cpSync(path.join(unpacked, file), path.join(place, file), { recursive: true });
    for (const [file, text] of Object.entries(put(server.port))) write(path.join(place, file), text);
    return complaintsOf(await mocha(place, leavesOpen ? ['--exit', ...run] : run), tests);
  } finally {
    await server.stop();
    fs.rmSync(folder, { recursive: true });
  }
}

/**
 * A package as it is published.
 *
 * @param {string} spec
 * @param {string} folder
 */
async function unpack(spec, folder) {
  fs.mkdirSync(folder);
  const said = await npm(folder, ['pack', '--json', '--ignore-scripts', spec]);
  const [{ filename }] = JSON.parse(said);
  await promisify(execFile)('tar', ['-xzf', filename], { cwd: folder });
  return path.join(folder, 'package');
}

/**
 * @param {string} folder
 * @param {string[]} args
 * @returns {Promise<{stats: {tests: number, passes: number, failures: number, pending: number}, failures: any[]}>}
 */
async function mocha(folder, args) {
  const report = path.join(folder, 'report.json');
  const reporting = ['--reporter', 'json', '--reporter-option', `output=${report}`];
  // What keeps the process alive after the last test is a failure too, unless it is the suite itself.
  const child = spawn(process.execPath, [MOCHA, ...reporting, ...args], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
    timeout: TIMEOUT,
    killSignal: 'SIGKILL',
  });
  const [, signal] = await once(child, 'exit');
  if (signal) throw new Error(`mocha was ended with ${signal}: it didn't come to an end in ${TIMEOUT} ms`);
  return JSON.parse(fs.readFileSync(report, 'utf8'));
}

/**
 * @param {Awaited<ReturnType<typeof mocha>>} report
 * @param {number} expected
 */
function complaintsOf({ stats, failures }, expected) {
  const complaints = failures.map(({ fullTitle, err }) => `${fullTitle}\n${err.stack ?? err.message}\n`);
  console.log(`${stats.passes} of ${stats.tests} tests passed`);
  if (stats.passes !== expected || stats.tests !== expected) {
    complaints.push(`expected ${expected} tests, all passing: ${JSON.stringify(stats)}`);
  }
  return complaints;
}

/** @param {string} module */
function installed(module) {
  return require.resolve(module, { paths: [ROOT] });
}

/** @param {string} file */
function reexport(file) {
  return `module.exports = require(${quote(file)});`;
}

/** @param {string} text */
function quote(text) {
  return JSON.stringify(text);
}

/**
 * @param {string} file
 * @param {string} text
 */
function write(file, text) {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, `${text}\n`);
}

main().catch((error) => {
  console.error(error.stderr || error);
  process.exitCode = 1;
});
