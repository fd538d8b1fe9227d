'use strict';

/**
 * Runs worlds, in a process of its own: `node __test__/simulation/run.js`.
 *
 * SEED=n runs one and prints its trace. SEEDS=n runs the first n (or, with FIRST=m, those from m on). SABOTAGE=name takes
 * a rule out (sabotage.js), and stops at the first seed that misses it. LOCKS=own leaves locks as the package gave them,
 * WALL=still has the wall clock not jump. The last line printed is JSON.
 */

const { spawnSync } = require('node:child_process');
const { createHash } = require('node:crypto');

const { sabotages } = require('./sabotage');
const { useEdits } = require('./package-loader');
const { World } = require('./world');

async function main() {
  const { SEED, SEEDS = '200', FIRST = '1', SABOTAGE, LOCKS, WALL } = process.env;
  const how = { isOwnLocksOnly: LOCKS === 'own', isWallStill: WALL === 'still' };
  const sabotage = sabotages.find(({ name }) => name === SABOTAGE);
  if (SABOTAGE && !sabotage) throw new Error(`there is no sabotage ${SABOTAGE}`);
  useEdits(sabotage?.edits ?? []);
  const first = Number(SEED ?? FIRST);
  const last = SEED === undefined ? first + Number(SEEDS) - 1 : first;
  const counts = new Map();
  let hash = '';
  let ran = 0;
  for (let seed = first; seed <= last; seed++) {
    const result = await new World(seed, SEED !== undefined, how).run();
    ran += 1;
    hash = SEED === undefined ? together(hash, result.hash) : result.hash;
    for (const [what, count] of result.counts) counts.set(what, (counts.get(what) ?? 0) + count);
    for (const line of result.lines) console.log(line);
    if (result.violation) {
      console.log(`seed ${seed}: ${result.violation}`);
      finish({ ran, seed, hash, violation: result.violation, counts });
      return;
    }
  }
  finish({ ran, hash, counts });
}

/** One hash for all worlds. */
function together(one, other) {
  return createHash('sha256').update(one).update(other).digest('hex').slice(0, 16);
}

function finish({ counts, ...result }) {
  const sorted = [...counts].sort(([one], [other]) => (one < other ? -1 : 1));
  console.log(JSON.stringify({ ...result, counts: Object.fromEntries(sorted) }));
  // Promises that wait for what never comes are of no interest.
  process.exitCode = result.violation ? 1 : 0;
}

/**
 * What a world raises in the middle of something stays there for its listener, while Node.js itself ends what it interrupts,
 * and would find that not done.
 */
const NO_CHECKS = '--no-force-async-hooks-checks';

if (process.execArgv.includes(NO_CHECKS)) main();
else
  process.exitCode = spawnSync(process.execPath, [NO_CHECKS, __filename], { stdio: 'inherit' }).status ?? 1;
