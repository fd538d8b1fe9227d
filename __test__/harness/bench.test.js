'use strict';

// The benchmark in small, and its judges by themselves. Nothing here depends on how fast anything is.

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, describe, test } = require('node:test');

const { describeForeign } = require('../../bench/foreign');
const { judgeGoals } = require('../../bench/goals');
const { outcomeOf } = require('../../bench/outcome');
const { table } = require('../../bench/report');
const { findWins } = require('../../bench/wins');

const ROOT = path.join(__dirname, '..', '..');
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-native-bench-'));
after(() => fs.rmSync(folder, { recursive: true }));

/** Killed after a minute, so that it comes to an end in any case. */
function bench(...args) {
  return new Promise((resolve) => {
    const file = path.join(ROOT, 'bench', 'index.js');
    const child = execFile(
      process.execPath,
      [file, ...args],
      { timeout: 60_000 },
      (_error, stdout, stderr) => {
        resolve({ code: child.exitCode, stdout, said: `${stdout}\n${stderr}` });
      },
    );
  });
}

test('a run measures ours and a peer, and is shown again from what was kept of it', async () => {
  const [json, markdown] = [path.join(folder, 'run.json'), path.join(folder, 'run.md')];
  const small = ['--n', '1', '--c', '2', '--rounds', '1', '--seconds', '0.1', '--cases', 'cycles'];
  const first = await bench(...small, '--only', 'redlock-4-ioredis,url', '--json', json);
  assert.equal(first.code, 0, first.said);

  const { machine, outcomes, goals } = JSON.parse(fs.readFileSync(json, 'utf8'));
  assert.ok(machine.cpu && machine.node === process.version && machine.peers.includes('redlock 4.2.0'));
  assert.equal(outcomes.length, 1);
  const [{ kind, case: one, results, ratios }] = outcomes;
  assert.deepEqual([kind, one], ['cycles', { n: 1, c: 2 }]);
  assert.deepEqual(
    results.map(({ id }) => id),
    ['url', 'redlock-4-ioredis'],
  );
  for (const { median, rounds } of results) {
    assert.equal(rounds.length, 1);
    assert.equal(rounds[0].failed, 0);
    for (const key of ['cyclesPerSecond', 'p50', 'p99', 'processCpu', 'serverCpu', 'memory']) {
      assert.ok(median[key] > 0, `${key}: ${median[key]}`);
    }
  }
  const [ours, theirs] = results.map(({ median }) => median);
  assert.deepEqual(
    ratios.map(({ id }) => id),
    ['redlock-4-ioredis'],
  );
  assert.equal(ratios[0].times.cyclesPerSecond, ours.cyclesPerSecond / theirs.cyclesPerSecond);
  assert.equal(ratios[0].times.p50, theirs.p50 / ours.p50);
  assert.ok(goals.every(({ verdict }) => verdict === 'not run'));

  const again = await bench('--from', json, '--markdown', markdown);
  assert.equal(again.code, 0, again.said);
  assert.equal(again.stdout.trim(), first.stdout.trim());
  assert.match(fs.readFileSync(markdown, 'utf8'), /^\| redlock 4 \+ ioredis 5 \| .*×\)/m);
});

test('an option that can not be used is refused, with those there are', async () => {
  const { code, said } = await bench('--only', 'url,carrier-pigeon');
  assert.equal(code, 1);
  assert.match(said, /--only: no "carrier-pigeon"; there are url, promoted/);
});

describe('the judges', () => {
  const contender = (id, kind, more = {}) => ({ id, name: `<${id}>`, kind, ...more });
  const [ours, bridged] = [contender('url', 'ours'), contender('bridged', 'ours')];
  const [slow, fast] = [contender('redlock-4-redis', 'peer'), contender('redlock-5', 'peer')];
  const pipelining = contender('redlock-5-pipelining', 'peer', { isTuned: true });
  const figures = (cyclesPerSecond, more = {}) => [
    {
      cyclesPerSecond,
      p50: 10,
      p99: 10,
      jsCpu: 10,
      processCpu: 10,
      serverCpu: 10,
      memory: 10,
      failed: 0,
      ...more,
    },
  ];
  const outcome = (n, c, measured) =>
    outcomeOf(
      'cycles',
      { n, c },
      [...measured.keys()],
      new Map([...measured].map(([{ id }, all]) => [id, all])),
    );
  const goal = (outcomes, start) => judgeGoals(outcomes).find(({ title }) => title.startsWith(start));

  test('a goal is met where the worst of its cases is within it', () => {
    const good = outcome(
      3,
      100,
      new Map([
        [ours, figures(1200)],
        [slow, figures(50)],
        [fast, figures(100)],
      ]),
    );
    const bad = outcome(
      5,
      100,
      new Map([
        [ours, figures(700)],
        [fast, figures(100)],
      ]),
    );
    const title = 'N = 3 and 5, C = 100:';
    assert.equal(goal([good], title).verdict, 'met, the aim too, of what was run');
    assert.equal(goal([good, bad], title).verdict, 'NOT met');
    assert.equal(
      goal([good, bad], title).measured,
      '12.0× (N = 3, C = 100, <redlock-5>); 7.00× (N = 5, C = 100, <redlock-5>)',
    );
  });

  test('a peer that had to be set up for it is not the fastest default peer', () => {
    const measured = new Map([
      [ours, figures(1200)],
      [fast, figures(100)],
      [pipelining, figures(600)],
    ]);
    const outcomes = [outcome(3, 100, measured)];
    assert.match(goal(outcomes, 'N = 3 and 5, C = 100:').measured, /^12\.0×/);
    assert.match(goal(outcomes, 'N = 3, C = 100: cycles/s against redlock 5').measured, /^2\.00×/);
  });

  test('what was not run is no goal that is met', () => {
    assert.ok(judgeGoals([]).every(({ measured, verdict }) => measured === '–' && verdict === 'not run'));
  });

  test('a peer that is ahead in something is named with it', () => {
    const measured = new Map([
      [ours, figures(500, { p99: 9 })],
      [bridged, figures(99)],
      [fast, figures(100, { p50: 8 })],
    ]);
    assert.deepEqual(findWins([outcome(1, 10, measured)]), [
      'N = 1, C = 10: <redlock-5> is ahead of <url>: p50 µs 8.00 to 10.0.',
      'N = 1, C = 10, cycles/s: ahead of <bridged> (99.0): <redlock-5> (100).',
    ]);
    const behind = new Map([
      [ours, figures(500)],
      [fast, figures(100)],
    ]);
    assert.deepEqual(findWins([outcome(1, 10, behind)]), [
      'No peer is ahead of redlock-native in any figure that was measured.',
    ]);
  });

  test('where ours and a peer did not both take part, nobody is said to be behind', () => {
    for (const alone of [ours, fast]) {
      assert.deepEqual(findWins([outcome(1, 10, new Map([[alone, figures(100)]]))]), [
        'Nothing was compared: no case was run by ours and by a peer.',
      ]);
    }
  });

  test('who has completed no cycle has no figure of one', () => {
    const none = figures(0, { p50: Number.NaN, jsCpu: Number.POSITIVE_INFINITY, serverCpu: Number.NaN });
    const measured = new Map([
      [ours, figures(500)],
      [fast, none],
    ]);
    const stuck = outcome(1, 10, measured);
    const row = table(stuck)
      .split('\n')
      .find((line) => line.startsWith('<redlock-5>'));
    assert.deepEqual(row.split(/ {2,}/), ['<redlock-5>', '0', '–', '10.0', '–', '10.0', '–', '0.00']);
    assert.match(findWins([stuck])[0], /^No peer is ahead/);
  });

  test('a machine that others have used meanwhile is told from a quiet one', () => {
    const ran = (foreign) => [outcome(1, 10, new Map([[ours, figures(500, { foreign })]]))];
    assert.match(describeForeign(ran(os.availableParallelism() / 2)), /NOT a quiet machine/);
    assert.match(describeForeign(ran(0)), /^others used 0\.00 of \d+ cores meanwhile \(median\)$/);
    assert.equal(describeForeign([]), null);
  });

  test('cycles that failed are told', () => {
    const failing = figures(100, { failed: 3, firstError: 'no quorum' });
    const [, told] = findWins([
      outcome(
        1,
        10,
        new Map([
          [ours, figures(500)],
          [fast, failing],
        ]),
      ),
    ]);
    assert.equal(told, 'N = 1, C = 10: 3 cycles of <redlock-5> failed: no quorum');
  });
});
