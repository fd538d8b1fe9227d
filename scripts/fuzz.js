'use strict';

/**
 * `npm run fuzz [-- --seconds 60]`: the fuzz tests of both sides in turn, each of them for that long, again and
 * again until one fails or this is interrupted.
 *
 * `npm run fuzz -- --guided frame [--seconds 60]`: one parser, by an engine that looks for inputs that reach new
 * branches (libFuzzer, which bolero brings), until it fails, is interrupted, or the time is over.
 */

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { parseArgs } = require('node:util');

const ROOT = path.join(__dirname, '..');

/** The parsers that can be met by bytes as they are: their tests, and where their inputs are. */
const GUIDED = {
  frame: ['instances::redis::fuzz::frames::frame', 'src/instances/redis/fuzz/__fuzz__/frame'],
  message: ['instances::redis::fuzz::messages::message', 'src/instances/redis/fuzz/__fuzz__/message'],
  slots: ['instances::redis::fuzz::slots::slots', 'src/instances/redis/fuzz/__fuzz__/slots'],
  redirect: ['instances::redis::fuzz::redirects::redirect', 'src/instances/redis/fuzz/__fuzz__/redirect'],
  sentinel: [
    'instances::redis::fuzz::sentinels::sentinel_answer',
    'src/instances/redis/fuzz/__fuzz__/sentinel',
  ],
  info: ['instances::redis::fuzz::info::info', 'src/instances/redis/fuzz/__fuzz__/info'],
  rows: ['binding::fuzz::rows', 'src/binding/__fuzz__/rows'],
  config: ['binding::fuzz::config', 'src/binding/__fuzz__/config'],
};

function main() {
  const { values } = parseArgs({ options: { seconds: { type: 'string' }, guided: { type: 'string' } } });
  const seconds = Number(values.seconds ?? 60);
  if (!(seconds > 0)) throw new Error(`--seconds: "${values.seconds}" is not a positive number`);
  const { guided } = values;
  if (guided !== undefined && !Object.hasOwn(GUIDED, guided)) {
    throw new Error(`--guided: there is no "${guided}"; there are ${Object.keys(GUIDED).join(', ')}`);
  }
  const isFine = guided ? look(GUIDED[guided], values.seconds && seconds) : roll(seconds);
  if (!isFine) process.exitCode = 1;
}

/**
 * By chance, both sides.
 *
 * @param {number} seconds
 */
function roll(seconds) {
  const env = {
    BOLERO_RANDOM_TEST_TIME_MS: String(Math.ceil(seconds * 1000)),
    FUZZ_SECONDS: String(seconds),
  };
  const isFine = () =>
    run('cargo', ['test', '--all-features', '--lib', 'fuzz::'], env) &&
    run(process.execPath, ['--test', path.join('__test__', 'main', 'fuzz.test.js')], env);
  for (let round = 1; isFine(); round += 1) console.log(`\nround ${round} has found nothing`);
  return false;
}

/** What counts the branches, as libFuzzer needs it; all of it is there on stable Rust. */
const COUNTED = [
  ...['--cfg fuzzing', '--cfg fuzzing_libfuzzer', '-Cpasses=sancov-module'],
  ...['level=4', 'inline-8bit-counters', 'pc-table', 'trace-compares', 'stack-depth'].map(
    (what) => `-Cllvm-args=-sanitizer-coverage-${what}`,
  ),
];

/**
 * By what reaches new branches.
 *
 * @param {string[]} target
 * @param {number | undefined} seconds
 */
function look([test, folder], seconds) {
  // The first of the folders is where it keeps what it finds.
  const found = path.join(ROOT, 'target/fuzz/found', path.basename(folder));
  const crashes = path.join(ROOT, folder, 'crashes');
  for (const one of [found, crashes]) fs.mkdirSync(one, { recursive: true });
  const engine = [found, path.join(ROOT, folder, 'corpus'), `-artifact_prefix=${crashes}/`, '-timeout=10'];
  if (seconds) engine.push(`-max_total_time=${Math.ceil(seconds)}`);
  const env = {
    RUSTFLAGS: COUNTED.join(' '),
    BOLERO_FUZZER: 'libfuzzer',
    BOLERO_TEST_NAME: test,
    BOLERO_LIBTEST_HARNESS: '1',
    BOLERO_LIBFUZZER_ARGS: engine.join(' '),
  };
  // With a target of its own, so that build scripts and macros are built as ever.
  const build = ['--profile', 'fuzz', '--lib', '--target', hostTriple(), '--target-dir', 'target/fuzz'];
  const harness = ['--exact', '--nocapture', '--quiet', '--test-threads', '1'];
  return run('cargo', ['test', ...build, '--', test, ...harness], env);
}

function hostTriple() {
  const { stdout } = spawnSync('rustc', ['-vV'], { encoding: 'utf8' });
  return /^host: (.*)$/m.exec(stdout)?.[1] ?? '';
}

/**
 * @param {string} program
 * @param {string[]} args
 * @param {Record<string, string>} env
 */
function run(program, args, env) {
  console.log(`\n$ ${[path.basename(program), ...args].join(' ')}`);
  const { status } = spawnSync(program, args, {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  });
  return status === 0;
}

main();
