'use strict';

/** What a run has seen, whether that is as it must be, and how it is told. */

const { findOverlaps, findLost } = require('./judge');

/**
 * @typedef {import('./judge').Hold} Hold
 * @typedef {object} Verdict
 * @property {number} acquisitions
 * @property {Record<string, number>} faults by kind
 * @property {[Hold, Hold][]} overlaps
 * @property {{resource: string, lost: import('./judge').Update, found: string}[]} lost
 * @property {number} astray updates that were under way when their lock ended, and count for nothing
 * @property {string[]} left keys
 * @property {string[]} failures what must not be, a sentence each; none if all is well
 */

/** What there must be at least in a run of a minute or more, by second. */
const FLOOR = { acquisitions: 2000 / 300, faults: 100 / 300 };

class Record {
  /** @type {Hold[]} */
  holds = [];
  /** How many locks each process had, and why it had none. @type {Map<string, {acquired: number, refused: Map<string, number>}>} */
  processes = new Map();
  /** @type {Map<string, number>} */
  faults = new Map();
  /** What else went wrong. @type {string[]} */
  troubles = [];
  /** Keys at the end. @type {string[]} */
  left = [];

  /**
   * @param {string} process
   * @param {Hold[]} holds the resources of one lock
   */
  hold(process, holds) {
    this.#of(process).acquired += 1;
    this.holds.push(...holds);
  }

  /**
   * @param {string} process
   * @param {string} code
   */
  refused(process, code) {
    addOne(this.#of(process).refused, code);
  }

  /** @param {string} kind */
  fault(kind) {
    addOne(this.faults, kind);
  }

  get acquisitions() {
    return sum([...this.processes.values()].map(({ acquired }) => acquired));
  }

  get faultCount() {
    return sum([...this.faults.values()]);
  }

  /** @param {string} process */
  #of(process) {
    let counts = this.processes.get(process);
    if (!counts) {
      counts = { acquired: 0, refused: new Map() };
      this.processes.set(process, counts);
    }
    return counts;
  }
}

/**
 * @param {Record} record
 * @param {{seconds: number, share: number}} terms `share` of the usual processes that ran
 * @param {(resource: string) => {id: string}} readLast what stands in a resource's file
 * @returns {Verdict}
 */
function judge(record, { seconds, share }, readLast) {
  const overlaps = findOverlaps(record.holds);
  const lost = findLost(record.holds, readLast);
  const astray = record.holds.filter(({ update }) => update?.isInside === false).length;
  const { acquisitions, faultCount, left } = record;
  const failures = [...record.troubles];
  if (overlaps.length) failures.push(`${overlaps.length} times two held one lock`);
  if (lost.length) failures.push(`${lost.length} updates were lost`);
  if (left.length) failures.push(`${left.length} keys were left: ${left.slice(0, 5).join(', ')}`);
  const least = (/** @type {number} */ rate) => (seconds < 60 ? 1 : Math.floor(rate * seconds));
  const fewest = Math.max(1, Math.floor(least(FLOOR.acquisitions) * share));
  if (acquisitions < fewest) failures.push(`only ${acquisitions} acquisitions, not ${fewest}`);
  if (faultCount < least(FLOOR.faults))
    failures.push(`only ${faultCount} faults, not ${least(FLOOR.faults)}`);
  return {
    acquisitions,
    faults: Object.fromEntries(record.faults),
    overlaps,
    lost,
    astray,
    left,
    failures,
  };
}

/** How many of what went wrong are shown. */
const SHOWN = 5;

/**
 * @param {Record} record
 * @param {Verdict} verdict
 */
function describe(record, { acquisitions, overlaps, lost, astray, left, failures }) {
  const lines = [`acquisitions: ${acquisitions}`];
  for (const [process, { acquired, refused }] of [...record.processes].sort()) {
    lines.push(`  ${process}: ${acquired}${listed(refused, '; refused: ')}`);
  }
  lines.push(`faults: ${record.faultCount}`);
  for (const [kind, count] of [...record.faults].sort()) lines.push(`  ${kind}: ${count}`);
  lines.push(`overlaps: ${overlaps.length}`);
  for (const [one, other] of overlaps.slice(0, SHOWN)) {
    lines.push(`  ${one.resource}: ${interval(one)} and ${interval(other)}`);
  }
  lines.push(`lost updates: ${lost.length}`);
  for (const { resource, lost: update, found } of lost.slice(0, SHOWN)) {
    lines.push(
      `  ${resource}: ${update.id}, written at ${update.end.toFixed(3)} ms; then ${found} was found`,
    );
  }
  lines.push(`updates that their lock's end overtook: ${astray} (they count for nothing)`);
  lines.push(`keys left: ${left.length}`);
  lines.push(failures.length ? `FAILED: ${failures.join('; ')}` : 'all is well');
  return lines.join('\n');
}

/** @param {Hold} hold */
function interval({ holder, from, to }) {
  return `${holder} from ${from.toFixed(3)} to ${to.toFixed(3)} ms`;
}

/**
 * @param {Map<string, number>} counts
 * @param {string} intro
 */
function listed(counts, intro) {
  if (counts.size === 0) return '';
  return intro + [...counts].map(([what, count]) => `${what} ${count}`).join(', ');
}

/**
 * @param {Map<string, number>} counts
 * @param {string} what
 */
function addOne(counts, what) {
  counts.set(what, (counts.get(what) ?? 0) + 1);
}

/** @param {number[]} numbers */
function sum(numbers) {
  return numbers.reduce((total, one) => total + one, 0);
}

module.exports = { Record, judge, describe };
