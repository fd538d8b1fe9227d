'use strict';

/**
 * `npm run fuzz [-- --seconds 60]`: the fuzz tests of both sides in turn, each of them for that long, again and
 * again until one fails or this is interrupted.
 */

const { spawnSync } = require('node:child_process');
const path = require('node:path');
const { parseArgs } = require('node:util');

const ROOT = path.join(__dirname, '..');

function main() {
  const { values } = parseArgs({ options: { seconds: { type: 'string', default: '60' } } });
  const seconds = Number(values.seconds);
  if (!(seconds > 0)) throw new Error(`--seconds: "${values.seconds}" is not a positive number`);
  const env = {
    ...process.env,
    BOLERO_RANDOM_TEST_TIME_MS: String(Math.ceil(seconds * 1000)),
    FUZZ_SECONDS: String(seconds),
  };
  const isFine = () =>
    run('cargo', ['test', '--all-features', '--lib', 'fuzz::'], env) &&
    run(process.execPath, ['--test', path.join('__test__', 'fuzz.test.js')], env);
  for (let round = 1; isFine(); round += 1) console.log(`\nround ${round} has found nothing`);
  process.exitCode = 1;
}

/**
 * @param {string} program
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} env
 */
function run(program, args, env) {
  console.log(`\n$ ${[path.basename(program), ...args].join(' ')}`);
  return spawnSync(program, args, { cwd: ROOT, stdio: 'inherit', env }).status === 0;
}

main();
