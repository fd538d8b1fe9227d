'use strict';

// The endurance run in small, and its judge and its plans by themselves.

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const path = require('node:path');
const { describe, test } = require('node:test');

const { findLost, findOverlaps } = require('../../endurance/judge');
const { KINDS, makePlan, MOST_OUT_FOR } = require('../../endurance/plan');

const ROOT = path.join(__dirname, '..', '..');

/** Killed after a minute, so that it comes to an end in any case. */
function endure(...args) {
  return new Promise((resolve) => {
    const file = path.join(ROOT, 'endurance/index.js');
    const child = execFile(
      process.execPath,
      [file, ...args],
      { timeout: 60_000 },
      (_error, stdout, stderr) => {
        const figures = Object.fromEntries(
          [...stdout.matchAll(/^([a-z ]+): (\d+)/gm)].map(([, name, count]) => [name, Number(count)]),
        );
        resolve({ code: child.exitCode, stdout: `${stdout}\n${stderr}`, figures });
      },
    );
  });
}

test('processes of three kinds endure faults for some seconds', async () => {
  const { code, stdout, figures } = await endure(
    '--seconds',
    '4',
    '--seed',
    '1',
    '--only',
    'urls,ioredis,v5',
  );
  assert.equal(code, 0, stdout);
  assert.ok(figures.acquisitions > 0 && figures.faults > 0, stdout);
  assert.equal(figures.overlaps, 0, stdout);
  assert.equal(figures['lost updates'], 0, stdout);
  assert.equal(figures['keys left'], 0, stdout);
});

test('a run of processes that lock nothing is found out', async () => {
  const { code, stdout, figures } = await endure('--seconds', '2', '--seed', '1', '--only', 'nobody,nobody');
  assert.equal(code, 1, stdout);
  assert.ok(figures.overlaps > 0, stdout);
  assert.ok(figures['lost updates'] > 0, stdout);
  assert.match(stdout, /^FAILED: /m);
});

test('an option that can not be used is refused, with those there are', async () => {
  const { code, stdout } = await endure('--only', 'urls,carrier-pigeon');
  assert.equal(code, 1);
  assert.match(stdout, /there is no "carrier-pigeon"; there are urls, ioredis/);
});

describe('the judge', () => {
  const hold = (from, to, update, resource = 'r') => ({ holder: `${from}`, resource, from, to, update });
  const update = (read, id, start, isInside = true) => ({ read, id, start, end: start + 1, isInside });
  const last = (id) => () => ({ id });

  test('holds that follow each other, in whatever order they are told, do not overlap', () => {
    assert.deepEqual(
      findOverlaps([hold(20, 30), hold(0, 10), hold(10, 20), hold(5, 15, undefined, 's')]),
      [],
    );
  });

  test('each hold that began before another had ended is an overlap', () => {
    const [long, inside, later] = [hold(0, 100), hold(10, 20), hold(30, 40)];
    assert.deepEqual(findOverlaps([later, inside, long]), [
      [long, inside],
      [long, later],
    ]);
  });

  test('updates of which each has found the one before are all there', () => {
    const holds = [hold(0, 9, update('-', 'a', 1)), hold(10, 19, update('a', 'b', 11)), hold(20, 29)];
    assert.deepEqual(findLost(holds, last('b')), []);
  });

  test('an update that the next one has not found is lost', () => {
    const holds = [hold(0, 9, update('-', 'a', 1)), hold(10, 19, update('-', 'b', 11))];
    assert.deepEqual(
      findLost(holds, last('b')).map(({ lost, found }) => [lost.id, found]),
      [['a', '-']],
    );
  });

  test('the last update must be there at the end', () => {
    const [{ lost }] = findLost([hold(0, 9, update('-', 'a', 1))], last('-'));
    assert.equal(lost.id, 'a');
  });

  test('one that was written past its end may have covered what came before it, and nothing else', () => {
    const astray = hold(0, 5, { ...update('-', 'x', 4, false), end: 30 });
    const before = hold(10, 19, update('-', 'a', 11));
    assert.deepEqual(findLost([astray, before, hold(31, 39, update('x', 'b', 32))], last('b')), []);
    const early = hold(0, 5, update('-', 'x', 4, false));
    assert.equal(findLost([early, before, hold(31, 39, update('x', 'b', 32))], last('b')).length, 1);
  });
});

describe('a plan', () => {
  const terms = { seconds: 300, servers: 5, processes: 8, ttl: 1000 };
  const plans = Array.from({ length: 30 }, (_, seed) => makePlan({ ...terms, seed }));

  test('is the same for the same seed, and another for another', () => {
    assert.deepEqual(makePlan({ ...terms, seed: 7 }), plans[7]);
    assert.notDeepEqual(plans[8], plans[7]);
  });

  test('has at least 100 faults in five minutes, of every kind, and all are over by then', () => {
    for (const plan of plans) {
      assert.ok(plan.length >= 100, `${plan.length} faults`);
      assert.deepEqual([...new Set(plan.map(({ kind }) => kind))].sort(), Object.keys(KINDS).sort());
      assert.ok(plan.every(({ at, span }) => at + span <= 300_000));
    }
  });

  test('brings a server back empty only after the longest ttl', () => {
    const kills = plans.flat().filter(({ kind }) => kind === 'kill -9 of a server');
    assert.ok(kills.length > 0);
    assert.ok(kills.every(({ span }) => span >= terms.ttl + 500));
  });

  test('has a majority out for no longer than a moment, and never because of a crash', () => {
    let moments = 0;
    for (const plan of plans) {
      const outs = plan.filter(({ kind }) => KINDS[kind].isOut);
      for (const { at } of outs) {
        const together = outs.filter((out) => out.at <= at && at < out.at + out.span);
        assert.equal(new Set(together.map(({ target }) => target)).size, together.length);
        if (together.length < 3) continue;
        moments += 1;
        assert.equal(together.length, 3);
        assert.ok(together.every(({ kind, span }) => KINDS[kind].mayBeMost && span <= MOST_OUT_FOR));
      }
    }
    assert.ok(moments > 0);
  });
});
