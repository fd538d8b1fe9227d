'use strict';

/**
 * `npm test [-- [rust | js | FILE] … [--grep PATTERN] [--late 0 | 1 | 2]]`: builds the addon, makes sure that there is a redis-server, and
 * runs the Rust and the JavaScript tests, or those that are asked for (test-arguments.js). Both sides run even if the
 * first one fails.
 */

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const { findRedisServer, HOW_TO_GET_ONE } = require('./redis-server');
const { isTest, readTestArguments } = require('./test-arguments');
const { runJavaScript } = require('./test-javascript');

const ROOT = path.join(__dirname, '..');
const TESTS = '__test__';

async function main() {
  let asked;
  try {
    asked = readTestArguments(process.argv.slice(2), testFiles());
  } catch (error) {
    return fail(error.message);
  }

  const redisServer = findRedisServer({ install: true });
  if (!redisServer) return fail(HOW_TO_GET_ONE);
  process.env.REDIS_SERVER = redisServer;
  if (asked.late) process.env.LATE = asked.late;
  console.log(`redis-server: ${redisServer}`);

  if (!run('npm', ['run', 'build'])) return fail('the addon does not build');
  const failed = [];
  for (const side of asked.sides) {
    // What is printed by tests in Rust that pass, too: counts, and the seeds that miss a rule.
    const isFine =
      side === 'rust'
        ? run('cargo', ['test', '--all-features', '--', '--show-output'])
        : await runJavaScript(asked.files, asked.grep);
    if (!isFine) failed.push(side);
  }
  if (failed.length) return fail(`failed: ${failed.join(' and ')} tests`);
}

function testFiles() {
  const all = fs.readdirSync(path.join(ROOT, TESTS), { recursive: true, encoding: 'utf8' });
  return all
    .filter((file) => isTest(file) && !file.includes('node_modules'))
    .map((file) => `${TESTS}/${file.replaceAll('\\', '/')}`)
    .sort();
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

main().catch((error) => fail(error.stack));
