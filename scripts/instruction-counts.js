'use strict';

/** What counted instructions say: a cycle's, apart by stage, and whether they have grown. */

/** By how much they may grow before that is a failure. */
const MOST_GROWTH = 0.05;

/**
 * The stages, and the parts of bench/stages that they are: what a part takes, less what another takes that does the same
 * below it.
 *
 * @type {Record<string, {part: string, less?: string}>}
 */
const STAGES = {
  engine: { part: 'engine' },
  'hand-over': { part: 'rows', less: 'memory' },
  link: { part: 'link' },
};

const PARTS = [...new Set(Object.values(STAGES).flatMap(({ part, less }) => (less ? [part, less] : [part])))];

/**
 * How many instructions a run has taken.
 *
 * @param {string} file what callgrind has written
 * @returns {number}
 */
function readTotal(file) {
  const events = /^events: (.*)$/m.exec(file)?.[1].split(' ') ?? [];
  const totals = /^(?:summary|totals): (.*)$/m.exec(file)?.[1].split(' ') ?? [];
  const total = Number(totals[events.indexOf('Ir')]);
  if (!(total > 0)) throw new Error('callgrind has written no number of instructions (Ir)');
  return total;
}

/**
 * A cycle's instructions, from two runs of which one has more cycles: what starting takes is in both.
 *
 * @param {{cycles: number, total: number}} short
 * @param {{cycles: number, total: number}} long
 * @returns {number}
 */
function perCycle(short, long) {
  return (long.total - short.total) / (long.cycles - short.cycles);
}

/**
 * @param {Record<string, number>} parts a cycle's instructions, by part
 * @returns {Record<string, number>} the same by stage, as whole numbers
 */
function byStage(parts) {
  const stages = Object.entries(STAGES);
  return Object.fromEntries(
    stages.map(([name, { part, less }]) => [name, Math.round(parts[part] - (less ? parts[less] : 0))]),
  );
}

/**
 * Compares with what was recorded. A figure of another compiler, processor architecture or C library is none to judge
 * by: `unlike` says what differs, and nothing has failed then.
 *
 * @typedef {{madeWith: Record<string, string>, perCycle: Record<string, number>}} Figures
 *
 * @param {Figures} recorded
 * @param {Figures} found
 * @returns {{rows: {stage: string, recorded?: number, found: number, growth?: number}[], unlike: string[], grown:
 *   string[], shrunk: string[], unknown: string[]}} by stage; `unknown` were not recorded
 */
function compare(recorded, found) {
  const rows = Object.entries(found.perCycle).map(([stage, now]) => {
    const before = recorded.perCycle[stage];
    return { stage, recorded: before, found: now, growth: before && now / before - 1 };
  });
  const unlike = Object.entries(found.madeWith)
    .filter(([what, now]) => recorded.madeWith[what] !== now)
    .map(([what, now]) => `${what}: ${now} here, ${recorded.madeWith[what] ?? 'unknown'} there`);
  const beyond = (/** @type {1 | -1} */ direction) =>
    rows
      .filter(
        ({ recorded: before, found: now }) =>
          direction * (now - (before ?? now)) > (before ?? 0) * MOST_GROWTH,
      )
      .map(({ stage }) => stage);
  return {
    rows,
    unlike,
    grown: unlike.length ? [] : beyond(1),
    shrunk: unlike.length ? [] : beyond(-1),
    unknown: rows.filter(({ recorded: before }) => before === undefined).map(({ stage }) => stage),
  };
}

module.exports = { MOST_GROWTH, PARTS, STAGES, byStage, compare, perCycle, readTotal };
