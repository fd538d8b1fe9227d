'use strict';

/**
 * JavaScript's half of the hand-over, driven by seeds: the shipped lib/ and compat/ between a model of the engine and
 * callers and clients that do what nobody expects. Everything is on virtual time, so that a seed is a run.
 *
 *     SEEDS=10000 node --test __test__/simulation/javascript.test.js
 *     SEED=1234 node __test__/simulation/run.js         one of them, with what happens in it
 */

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');

const { SEEDS, simulate } = require('./simulate');

/** From so many worlds on, everything has happened. */
const ENOUGH = 200;

/** What a simulation without it would not show much. */
const EXPECTED = [
  ...['grants', 'refusals', 'extensions', 'releases', 'inspections', 'inspections that show a holder'],
  ...['locks handed over', 'extensions handed over', 'locks that are over at the drain'],
  ...['locks that are over at their turn', 'extensions that are over at their turn'],
  ...[
    'waits between attempts',
    'engines that unlock everything',
    'locks that are kept',
    'kept locks that are lost',
    'extensions by the engine',
    'votes',
    'events',
  ],
  ...['bursts of more than 1,024 answers', 'drains without room for all', 'batches that native refuses'],
  ...[
    'cancellations',
    'aborted waits',
    'answers in spite of a cancellation',
    'odd answers',
    'hostile objects',
  ],
  ...['errands answered with applied', 'errands answered with failed', 'errands answered with seen'],
  ...['errands answered with unexpected', 'errands that clients never answer', 'changes of a client'],
  ...[
    'changes of the route',
    'messages on channels',
    'servers that can not be used',
    'exceptions of callers',
    'warnings',
  ],
  ...['pollutions of Object.prototype', 'jumps of the wall clock', 'times that callers kept the thread busy'],
  ...['again', 'fails', 'late', 'never', 'odd', 'right', 'thenable', 'throws', 'twice'].map(
    (way) => `clients: ${way}`,
  ),
  ...['async', 'main', 'v0', 'v4', 'v5'].map((kind) => `faces: ${kind}`),
  ...['faces that were dropped', 'worlds that run ticks', 'worlds that wait for ticks'],
];

describe("JavaScript's half in the simulation", () => {
  test('keeps its rules, whatever callers and their clients do', async (t) => {
    const { violation, ran, counts, said } = await simulate({ SEEDS });
    assert.equal(violation, undefined, said);
    t.diagnostic(`${ran} seeds: ${JSON.stringify(counts)}`);
    if (ran < ENOUGH) return;
    const missing = EXPECTED.filter((what) => !counts[what]);
    assert.deepEqual(missing, [], 'this has never happened');
  });

  test('the same seeds give the same runs', async () => {
    const [one, other] = await Promise.all([simulate({ SEEDS: 10 }), simulate({ SEEDS: 10 })]);
    assert.equal(one.hash, other.hash);
    const { hash, said } = await simulate({ SEED: 10 });
    assert.ok(said.split('\n').length > 50, 'its trace is shown');
    assert.equal((await simulate({ SEED: 10 })).hash, hash);
    assert.notEqual((await simulate({ SEED: 9 })).hash, hash);
  });

  // Locks that say by the wall clock until when they are valid are another matter.
  test("the wall clock's jumps change nothing", async () => {
    const [jumping, still] = await Promise.all([
      simulate({ SEEDS: 20, LOCKS: 'own' }),
      simulate({ SEEDS: 20, LOCKS: 'own', WALL: 'still' }),
    ]);
    assert.ok(jumping.counts['jumps of the wall clock'] > 10);
    assert.equal(jumping.hash, still.hash);
  });
});
