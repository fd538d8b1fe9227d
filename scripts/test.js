'use strict';

/**
 * `npm test [-- rust | js]`: builds the addon, makes sure that there is a redis-server, and runs the
 * Rust and the JavaScript tests (or those of one side). Both run even if the first ones fail.
 */

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const { findRedisServer, HOW_TO_GET_ONE } = require('./redis-server');

const ROOT = path.join(__dirname, '..');
const TESTS = '__test__';
// A test that hangs is a failure, and the tests must come to an end.
const TIMEOUT = 120_000;

const SIDES = {
  // What is printed by tests that pass, too: counts, and the seeds that miss a rule.
  rust: () => run('cargo', ['test', '--all-features', '--', '--show-output']),
  js: () => run(process.execPath, ['--test', ...testOptions(), ...testFiles()]),
};

function main() {
  const asked = process.argv.slice(2);
  const unknown = asked.find((side) => !Object.hasOwn(SIDES, side));
  if (unknown) return fail(`unknown tests "${unknown}": there are ${Object.keys(SIDES).join(' and ')}`);

  const redisServer = findRedisServer({ install: true });
  if (!redisServer) return fail(HOW_TO_GET_ONE);
  process.env.REDIS_SERVER = redisServer;
  console.log(`redis-server: ${redisServer}`);

  if (!run('npm', ['run', 'build'])) return fail('the addon does not build');
  const sides = asked.length ? asked : Object.keys(SIDES);
  const failed = sides.filter((side) => !SIDES[side]());
  if (failed.length) return fail(`failed: ${failed.join(' and ')} tests`);
}

function testFiles() {
  const all = fs.readdirSync(path.join(ROOT, TESTS), { recursive: true });
  const files = all.filter((file) => /\.test\.(c|m)?js$/.test(file)).sort();
  // Without a file, node --test would look for some by itself.
  if (!files.length) throw new Error(`no tests in ${TESTS}`);
  return files.map((file) => path.join(TESTS, file));
}

function testOptions() {
  // One file at a time: several of them measure time.
  const options = ['--test-concurrency=1', '--test-reporter=spec'];
  const [major, minor] = process.versions.node.split('.').map(Number);
  // Node.js 20.0 to 20.10 don't know the option.
  if (major > 20 || minor >= 11) options.push(`--test-timeout=${TIMEOUT}`);
  return options;
}

function run(program, args) {
  console.log(`\n$ ${[path.basename(program), ...args].join(' ')}`);
  // npm is a script on Windows, which only a shell can start.
  const shell = process.platform === 'win32' && program === 'npm';
  const { status, error } = spawnSync(program, args, { cwd: ROOT, stdio: 'inherit', shell });
  if (error) console.error(`${program}: ${error.message}`);
  return status === 0;
}

function fail(why) {
  console.error(`\n${why}`);
  process.exitCode = 1;
}

main();
