'use strict';

// What `npm test` makes of its arguments, and which files it runs in a way of their own.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const { readTestArguments } = require('../../scripts/test-arguments');
const { ALONE, FIRST } = require('../../scripts/test-javascript');

const LOCK = '__test__/main/lock.test.js';
const LOCKS = '__test__/main/odd-locks.test.js';
const PROXY = '__test__/harness/proxy.test.js';
const ALL = [PROXY, LOCK, LOCKS];

const read = (...argv) => readTestArguments(argv, ALL);

test('npm test takes sides, files by their path or a part of it, and a pattern', () => {
  const rows = [
    [[], { sides: ['rust', 'js'], files: ALL }],
    [['rust'], { sides: ['rust'], files: ALL }],
    [['js'], { sides: ['js'], files: ALL }],
    [['js', 'rust'], { sides: ['rust', 'js'], files: ALL }],
    [[PROXY], { sides: ['js'], files: [PROXY] }],
    [[`./${PROXY}`], { sides: ['js'], files: [PROXY] }],
    [['__test__\\harness\\proxy.test.js'], { sides: ['js'], files: [PROXY] }],
    // The whole of a path is that file, whatever else has it in its own.
    [[LOCK], { sides: ['js'], files: [LOCK] }],
    [['lock'], { sides: ['js'], files: [LOCK, LOCKS] }],
    [['main/', 'proxy'], { sides: ['js'], files: [LOCK, LOCKS, PROXY] }],
    [['lock', 'odd-'], { sides: ['js'], files: [LOCK, LOCKS] }],
    [['rust', 'proxy'], { sides: ['rust', 'js'], files: [PROXY] }],
    [['--grep', 'is held'], { sides: ['js'], files: ALL, grep: 'is held' }],
    [['js', '--grep=/^is/i'], { sides: ['js'], files: ALL, grep: '/^is/i' }],
    [['proxy', '--grep', 'late'], { sides: ['js'], files: [PROXY], grep: 'late' }],
    [['js', '--late', '2'], { sides: ['js'], files: ALL, late: '2' }],
  ];
  for (const [argv, expected] of rows) {
    assert.deepEqual(read(...argv), { grep: undefined, late: undefined, ...expected }, argv.join(' '));
  }
});

test('npm test says what there is where nothing is what was asked for', () => {
  const offers = (error) => {
    assert.match(error.message, /^there are no tests "lokc"/);
    for (const there of ['rust', 'js', ...ALL]) assert.ok(error.message.includes(there), there);
    return true;
  };
  assert.throws(() => read('lokc'), offers);
  assert.throws(() => read('js', 'lock', 'lokc'), offers);
  assert.throws(() => read('rust', '--grep', 'a'), /^Error: --grep is for JavaScript; .* cargo test/);
  assert.throws(() => read('--late', '3'), /^Error: --late is 0, 1 or 2, not 3/);
  assert.throws(() => read('--gerp', 'a'), { code: 'ERR_PARSE_ARGS_UNKNOWN_OPTION' });
  assert.throws(() => read('--grep'), { code: 'ERR_PARSE_ARGS_INVALID_OPTION_VALUE' });
});

test('what npm test runs first or alone is there', () => {
  const root = path.join(__dirname, '..', '..');
  for (const name of [...ALONE, ...FIRST]) assert.ok(fs.existsSync(path.join(root, name)), name);
});

test('a pattern runs the tests that it names, and fails where there are none', () => {
  const root = path.join(__dirname, '..', '..');
  const code = `
    const { runJavaScript } = require('./scripts/test-javascript');
    runJavaScript(['__test__/harness/circles.test.js'], process.env.PATTERN).then((isFine) => console.log({ isFine }));
  `;
  const grep = (pattern) => {
    // The runner must not take itself for a test of this one's.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const options = { cwd: root, env: { ...env, PATTERN: pattern }, encoding: 'utf8', input: code };
    const { stdout, stderr } = spawnSync(process.execPath, ['-'], options);
    return stdout + stderr;
  };
  const one = grep('two scripts');
  assert.match(one, /one of two scripts is found/);
  assert.doesNotMatch(one, /three scripts/);
  assert.match(one, /isFine: true/);
  const none = grep('zzzz');
  assert.match(none, /no test ran whose name matches zzzz/);
  assert.match(none, /isFine: false/);
});
