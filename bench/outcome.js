'use strict';

const { cases } = require('./cases');
const { median } = require('./statistics');

/**
 * What came of one case.
 *
 * @typedef {object} Result
 * @property {string} id
 * @property {string} name
 * @property {'ours' | 'peer' | 'ceiling'} kind
 * @property {boolean} isTuned
 * @property {Record<string, number | null>} median of each figure over the rounds, or the most
 * @property {Record<string, any>[]} rounds
 *
 * @typedef {object} Outcome
 * @property {string} kind one of cases/index.js
 * @property {import('./cases').Case} case
 * @property {Result[]} results
 * @property {{id: string, name: string, times: Record<string, number | null>}[]} ratios how many times better ours by URL
 *   is than each other one (below 1: worse); none if that didn't run
 */

/**
 * @param {string} kind
 * @param {import('./cases').Case} one
 * @param {import('./contenders').Description[]} contenders
 * @param {import('./cases').Rounds} measured
 * @returns {Outcome}
 */
function outcomeOf(kind, one, contenders, measured) {
  const results = contenders
    .filter(({ id }) => measured.get(id)?.length)
    .map(({ id, name, kind: of, isTuned = false }) => {
      const rounds = measured.get(id);
      return { id, name, kind: of, isTuned, median: summarise(kind, rounds), rounds };
    });
  return { kind, case: one, results, ratios: ratiosOf(kind, results) };
}

function summarise(kind, rounds) {
  return Object.fromEntries(
    cases[kind].figures.map(({ key, isMost }) => {
      const values = rounds.map((round) => round[key]);
      return [key, isMost && values.every(Number.isFinite) ? Math.max(...values) : median(values)];
    }),
  );
}

function ratiosOf(kind, results) {
  const ours = results.find(({ id }) => id === 'url');
  if (!ours) return [];
  return results
    .filter((other) => other !== ours)
    .map(({ id, name, median: theirs }) => ({ id, name, times: compare(kind, ours.median, theirs) }));
}

/** Figure by figure; `null` where one is not known or there is no better. */
function compare(kind, ours, theirs) {
  return Object.fromEntries(
    cases[kind].figures.map(({ key, better }) => {
      if (!better || ours[key] === null || theirs[key] === null) return [key, null];
      const [above, below] = better === 'higher' ? [ours[key], theirs[key]] : [theirs[key], ours[key]];
      return [key, below === 0 ? null : above / below];
    }),
  );
}

module.exports = { outcomeOf };
