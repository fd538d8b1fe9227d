'use strict';

/**
 * So many rounds of all, not always the same one first: whatever else the machine does meets them all alike. One that
 * fails is left out from then on, and said on stderr. Resolves with the others.
 *
 * @template {{name: string}} T
 * @param {T[]} all
 * @param {number} rounds
 * @param {(one: T) => Promise<void>} run
 * @returns {Promise<T[]>}
 */
async function inRounds(all, rounds, run) {
  const failed = new Set();
  for (let round = 0; round < rounds; round += 1) {
    const first = round % all.length;
    for (const one of [...all.slice(first), ...all.slice(0, first)]) {
      if (failed.has(one)) continue;
      try {
        await run(one);
      } catch (error) {
        process.stderr.write(`${one.name} is left out: ${error.message}\n`);
        failed.add(one);
      }
    }
  }
  return all.filter((one) => !failed.has(one));
}

module.exports = { inRounds };
