'use strict';

/**
 * `npm run instructions [-- --record]`: how many instructions a lock and its unlock take, by stage (bench/stages),
 * counted by valgrind's callgrind. Fails if one takes over 5 % more than bench/instructions.json has; `--record` writes
 * that file anew.
 */

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { parseArgs } = require('node:util');

const { MOST_GROWTH, PARTS, STAGES, byStage, compare, perCycle, readTotal } = require('./instruction-counts');
const { ownGlibc } = require('./package/targets');
const { installPackage, onPath } = require('./system-packages');

const ROOT = path.join(__dirname, '..');
const RECORDED = path.join(ROOT, 'bench', 'instructions.json');
/** Where callgrind's files stay, to be looked at. */
const OUT = path.join(ROOT, 'target', 'instructions');

/** What starting takes is in both, and in their difference no more. */
const CYCLES = [2000, 6000];

const VALGRIND = { 'apt-get': ['valgrind'], apk: ['valgrind'], dnf: ['valgrind'] };
const HOW_TO_GET_VALGRIND =
  'NOT CHECKED: instructions are counted by valgrind, which was not found and could not be installed. Install it with ' +
  'your package manager ("apt-get install valgrind", as root), and run this again.';

function main() {
  const { values } = parseArgs({ options: { record: { type: 'boolean', default: false } } });
  if (process.platform !== 'linux') {
    console.log('Instructions are counted on Linux only (valgrind): nothing was checked.');
    return;
  }
  const valgrind = onPath('valgrind') ?? installPackage('valgrind', VALGRIND, () => onPath('valgrind'));
  if (!valgrind) throw new Error(HOW_TO_GET_VALGRIND);
  const { rustc, target } = compiler();
  const program = build(target);
  const parts = Object.fromEntries(PARTS.map((part) => [part, count(valgrind, program, part)]));
  const found = { madeWith: { rustc, target, libc: libc() }, perCycle: byStage(parts) };
  if (values.record) record(found);
  else report(found);
}

/** What the figures depend on beside the code. */
function compiler() {
  const { stdout } = spawnSync('rustc', ['-vV'], { encoding: 'utf8' });
  const read = (/** @type {string} */ what) =>
    new RegExp(`^${what}: (.*)$`, 'm').exec(stdout)?.[1] ?? 'unknown';
  return { rustc: read('release'), target: read('host') };
}

/** Its malloc and memcpy are counted too. */
function libc() {
  const version = ownGlibc();
  return version ? `glibc ${version}` : 'another';
}

/**
 * @param {string} target with which the addon is built too, so that its dependencies need no second build
 * @returns {string} the program's path
 */
function build(target) {
  const args = ['build', '--release', '--locked', '--package', 'redlock-stages', '--target', target];
  const format = ['--message-format', 'json-render-diagnostics'];
  const { status, stdout, error } = spawnSync('cargo', [...args, ...format], {
    cwd: ROOT,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (error || status !== 0) throw error ?? new Error(`cargo ended with ${status}`);
  const messages = stdout.split('\n').filter(Boolean);
  const programs = messages.map((line) => JSON.parse(line).executable).filter(Boolean);
  return programs[0];
}

/**
 * A cycle's instructions of one part.
 *
 * @param {string} valgrind
 * @param {string} program
 * @param {string} part
 */
function count(valgrind, program, part) {
  const [short, long] = CYCLES.map((cycles) => ({ cycles, total: run(valgrind, program, part, cycles) }));
  return perCycle(short, long);
}

function run(valgrind, program, part, cycles) {
  fs.mkdirSync(OUT, { recursive: true });
  const file = fileOf(part, cycles);
  const args = ['--tool=callgrind', `--callgrind-out-file=${file}`, program, part, String(cycles)];
  const { status, stderr, error } = spawnSync(valgrind, args, { encoding: 'utf8' });
  if (error || status !== 0) throw error ?? new Error(`${part}: ended with ${status}\n${stderr}`);
  return readTotal(fs.readFileSync(file, 'utf8'));
}

const fileOf = (part, cycles) => path.join(OUT, `${part}.${cycles}.callgrind`);

function record(found) {
  fs.writeFileSync(RECORDED, `${JSON.stringify(found, null, 2)}\n`);
  print(compare(found, found).rows);
  console.log(`recorded in ${path.relative(ROOT, RECORDED)}`);
}

function report(found) {
  const { rows, unlike, grown, shrunk, unknown } = compare(
    JSON.parse(fs.readFileSync(RECORDED, 'utf8')),
    found,
  );
  print(rows);
  if (unlike.length) {
    console.log(`
NOT CHECKED: these figures and the recorded ones can't be compared, since the code is compiled to other
instructions, or malloc and memcpy are others (${unlike.join('; ')}).
If this is what is built with from now on: npm run instructions -- --record`);
    return;
  }
  if (shrunk.length) {
    console.log(`\n${shrunk.join(', ')}: less than recorded. Keep it so: npm run instructions -- --record`);
  }
  if (unknown.length)
    console.log(`\n${unknown.join(', ')}: not recorded yet: npm run instructions -- --record`);
  if (!grown.length) return;
  const files = grown.map((stage) => path.relative(ROOT, fileOf(STAGES[stage].part, CYCLES[1])));
  console.error(`
FAILED: ${grown.join(', ')}: over ${MOST_GROWTH * 100} % more instructions than recorded. Where they go:
${files.map((file) => `  callgrind_annotate --inclusive=yes ${file}`).join('\n')}
If they are worth it: npm run instructions -- --record, and say in the commit what they buy.`);
  process.exitCode = 1;
}

/** @param {ReturnType<typeof compare>['rows']} rows */
function print(rows) {
  console.log('instructions a cycle (a lock and its unlock; one in ten is refused)');
  for (const { stage, recorded, found, growth } of rows) {
    const change =
      growth === undefined ? '' : `${growth < 0 ? '−' : '+'}${(Math.abs(growth) * 100).toFixed(1)} %`;
    const cells = [stage.padEnd(10), String(found).padStart(7), `recorded ${recorded ?? 'never'}`, change];
    console.log(`  ${cells.join('  ')}`);
  }
}

try {
  main();
} catch (error) {
  console.error(`\n${error.message}`);
  process.exitCode = 1;
}
