'use strict';

/** The judge of counted instructions. */

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');

const { byStage, compare, perCycle, readTotal } = require('../../scripts/instruction-counts');

/** What callgrind writes, in short. */
const written = (lines) =>
  `# callgrind format
version: 1
creator: callgrind-3.19.0
cmd:  program engine 2000
${lines.join('\n')}

ob=(1) /program
fl=(1) ???
fn=(1) main
0 1000
`;

const madeWith = { rustc: '1.95.0', target: 'x86_64-unknown-linux-gnu' };
const figures = (perCycle) => ({ madeWith, perCycle });

describe('what callgrind has written', () => {
  test('has the instructions of the whole run', () => {
    assert.equal(readTotal(written(['events: Ir', 'summary: 25000707'])), 25_000_707);
    assert.equal(readTotal(written(['events: Ir', 'totals: 7'])), 7);
  });

  test('has them where the events say', () => {
    assert.equal(readTotal(written(['events: Bc Ir Bi', 'summary: 1 22 3'])), 22);
  });

  test('is nothing to go by if it has none', () => {
    for (const lines of [[], ['events: Ir'], ['events: Bc', 'summary: 5'], ['events: Ir', 'summary: 0']]) {
      assert.throws(() => readTotal(written(lines)), /no number of instructions/);
    }
  });
});

describe("a cycle's instructions", () => {
  test('are without those of the start', () => {
    assert.equal(perCycle({ cycles: 10, total: 1_000_100 }, { cycles: 30, total: 1_000_300 }), 10);
  });

  test("of the hand-over are without those of what is below it, the engine's and the tables'", () => {
    const stages = byStage({ engine: 100.4, rows: 350, memory: 150, link: 70.5 });
    assert.deepEqual(stages, { engine: 100, 'hand-over': 200, link: 71 });
  });
});

describe('the judge of instructions', () => {
  const judge = (recorded, found) => compare(figures(recorded), figures(found));

  test('lets pass what is within 5 % of the record', () => {
    const { grown, shrunk, unlike, unknown } = judge(
      { engine: 1000, link: 1000 },
      { engine: 1050, link: 950 },
    );
    assert.deepEqual([grown, shrunk, unlike, unknown], [[], [], [], []]);
  });

  test('finds each stage that takes more, whatever the others save', () => {
    const { grown, shrunk } = judge({ engine: 1000, link: 1000, x: 10 }, { engine: 1051, link: 500, x: 10 });
    assert.deepEqual([grown, shrunk], [['engine'], ['link']]);
  });

  test('says by how much', () => {
    const [row] = judge({ engine: 1000 }, { engine: 1100 }).rows;
    assert.deepEqual([row.recorded, row.found, Math.round(row.growth * 100)], [1000, 1100, 10]);
  });

  test('knows a stage that was never recorded', () => {
    assert.deepEqual(judge({}, { engine: 5 }).unknown, ['engine']);
  });

  test('does not judge by the figures of another compiler or target, and says which', () => {
    const other = { madeWith: { ...madeWith, rustc: '1.96.0' }, perCycle: { engine: 5000 } };
    const { grown, unlike } = compare(figures({ engine: 1000 }), other);
    assert.deepEqual(grown, []);
    assert.deepEqual(unlike, ['rustc: 1.96.0 here, 1.95.0 there']);
  });
});
