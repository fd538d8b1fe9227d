'use strict';

const { NONE, number } = require('./report');

/**
 * What the package wants to reach, and what of it a run has shown. Of a goal with several cases the worst one counts.
 *
 * @typedef {object} Goal
 * @property {string} title
 * @property {number} must
 * @property {number} [aim] beyond that
 * @property {'atLeast' | 'atMost'} bound
 * @property {string} [unit] behind the numbers; × if left out
 * @property {(find: Find) => ({label: string, value: number} | null)[]} measure `null` for what was not run
 *
 * @typedef {(kind: string, n: number, which: number | string) => Found} Find by its C, or its scene
 * @typedef {{title: string, must: string, aim: string, measured: string, verdict: string}} Judged
 */

/** MB that resident memory may grow by and still be called flat: a few pages of a heap come and go. */
const FLAT = 2;

/** How far apart the medians of a hundred waits each may be, which end between two polls by chance. */
const CHANCE = 1.3;

/** @type {Goal[]} */
const goals = [
  {
    title: 'N = 3 and 5, C = 100: cycles/s against the fastest default peer',
    ...{ must: 8, aim: 11, bound: 'atLeast' },
    measure: (find) => [3, 5].map((n) => find('cycles', n, 100).against('cyclesPerSecond', 'fastest')),
  },
  {
    title: 'N = 3 and 5, C = 1000: the same',
    ...{ must: 12, aim: 17, bound: 'atLeast' },
    measure: (find) => [3, 5].map((n) => find('cycles', n, 1000).against('cyclesPerSecond', 'fastest')),
  },
  {
    title: 'N = 3, C = 100: cycles/s against redlock 5 with autopipelining',
    ...{ must: 5, aim: 7.5, bound: 'atLeast' },
    measure: (find) => [find('cycles', 3, 100).against('cyclesPerSecond', 'redlock-5-pipelining')],
  },
  {
    title: 'N = 1, C = 100: cycles/s against redlock 4 on node-redis 3',
    ...{ must: 2.5, aim: 3, bound: 'atLeast' },
    measure: (find) => [find('cycles', 1, 100).against('cyclesPerSecond', 'redlock-4-redis')],
  },
  {
    title: 'N = 3, C = 100: process CPU a cycle, how many times less than the fastest default peer',
    ...{ must: 13, aim: 17, bound: 'atLeast' },
    measure: (find) => [inverse(find('cycles', 3, 100).against('processCpu', 'fastest'))],
  },
  {
    title: 'N = 3, C = 100: JavaScript thread a cycle, the same',
    ...{ must: 28, aim: 37, bound: 'atLeast' },
    measure: (find) => [inverse(find('cycles', 3, 100).against('jsCpu', 'fastest'))],
  },
  {
    title: 'C = 1, N = 1, 3, 5: p50 against the best peer',
    ...{ must: 0.75, aim: 0.6, bound: 'atMost' },
    measure: (find) => [1, 3, 5].map((n) => find('cycles', n, 1).against('p50', 'lowest')),
  },
  {
    title: 'C = 1: process CPU a cycle against the best peer',
    ...{ must: 1, aim: 0.7, bound: 'atMost' },
    measure: (find) => [1, 3, 5].map((n) => find('cycles', n, 1).against('processCpu', 'lowest')),
  },
  {
    title: 'One of five hung, C = 1 and 100: throughput against all five up',
    ...{ must: 0.9, aim: 1, bound: 'atLeast' },
    measure: (find) => [1, 100].map((c) => find('hung', 5, c).of('kept')),
  },
  {
    title: `The same: resident memory flat after 5 s (at most ${FLAT} MB more in the time after)`,
    ...{ must: FLAT, aim: FLAT, bound: 'atMost', unit: ' MB' },
    measure: (find) => [1, 100].map((c) => scaled(find('hung', 5, c).of('growthAfter'), 1e-6)),
  },
  {
    title: 'N = 3, C = 100 and 1000: cycles/s against the native client (ceiling)',
    ...{ must: 0.6, aim: 0.8, bound: 'atLeast' },
    measure: (find) => [100, 1000].map((c) => find('cycles', 3, c).against('cyclesPerSecond', 'ceiling')),
  },
  {
    title: 'Bridged ioredis 5, N = 1, 3, 5, C = 100: cycles/s against redlock 4 on it',
    ...{ must: 1, aim: 1.3, bound: 'atLeast' },
    measure: (find) =>
      [1, 3, 5].map((n) => find('cycles', n, 100).against('cyclesPerSecond', 'redlock-4-ioredis', 'bridged')),
  },
  {
    title: '50 contenders, one process, 5 ms each: time against the least there can be',
    ...{ must: 1.2, bound: 'atMost' },
    measure: (find) => [find('contention', 3, 50).of('timesIdeal')],
  },
  {
    title: 'The same: commands (the least: 300)',
    ...{ must: 320, bound: 'atMost', unit: '' },
    measure: (find) => [find('contention', 3, 50).of('commands')],
  },
  {
    title: '4 processes × 12 contenders, 5 ms each: time against the least there can be',
    ...{ must: 1.35, bound: 'atMost' },
    measure: (find) => [find('contention', 3, 12).of('timesIdeal')],
  },
  {
    title: "The same: commands against redlock 4's",
    ...{ must: 0.25, bound: 'atMost' },
    measure: (find) => [find('contention', 3, 12).against('commands', 'redlock-4-ioredis')],
  },
  {
    title: '4 processes that contend for 10 s: the least share of the grants',
    ...{ must: 15, bound: 'atLeast', unit: ' %' },
    measure: (find) => [find('fairness', 3, 12).of('leastShare')],
  },
  {
    title: '20 processes behind 20 ms of lag, released after 5 s: the next holder after (median)',
    ...{ must: 60, bound: 'atMost', unit: ' ms' },
    measure: (find) => [find('wakeups', 3, 'lag').of('median')],
  },
  {
    title: 'The same: commands a waiter meanwhile',
    ...{ must: 15, bound: 'atMost', unit: '' },
    measure: (find) => [find('wakeups', 3, 'lag').of('commands')],
  },
  {
    title: 'Released by redlock 4, one of ours waits: granted after, at most',
    ...{ must: 5, bound: 'atMost', unit: ' ms' },
    measure: (find) => [find('wakeups', 3, 'released').of('most')],
  },
  {
    title: 'All messages dropped, the connections alive: granted after, at most',
    ...{ must: 2000, bound: 'atMost', unit: ' ms' },
    measure: (find) => [find('wakeups', 3, 'dropped').of('most')],
  },
  {
    title: 'The connections for messages cut: granted after, against `wakeups: false` (medians)',
    ...{ must: CHANCE, bound: 'atMost' },
    measure: (find) => [find('wakeups', 3, 'cut').against('median', 'unwoken')],
  },
  {
    title: 'Fair, 20 processes: overtaken',
    ...{ must: 0, bound: 'atMost', unit: '' },
    measure: (find) => [find('fairness', 3, 1).of('outOfOrder', 'fair')],
  },
  {
    title: 'The same: the longest wait against the mean, after the first round',
    ...{ must: 1.5, bound: 'atMost' },
    measure: (find) => [find('fairness', 3, 1).of('longestWait', 'fair')],
  },
  {
    title: 'The same: how often a dead one is waited for',
    ...{ must: 1, bound: 'atMost', unit: '' },
    measure: (find) => [find('fairness', 3, 1).of('stalls', 'fair')],
  },
  {
    title: 'Keys of a kept lock (ttl 30 s) deleted on a majority: `signal` aborted after, at most',
    ...{ must: 20, bound: 'atMost', unit: ' ms' },
    measure: (find) => [find('wakeups', 3, 'deleted').of('most')],
  },
  {
    title: 'Nobody waits or keeps: connections a server',
    ...{ must: 1, bound: 'atMost', unit: '' },
    measure: (find) => [find('connections', 3, '').of('idle')],
  },
];

/** One case of the run, or one that was not run, which knows nothing. */
class Found {
  #label;
  #results;

  /**
   * @param {string} label
   * @param {import('./outcome').Result[]} results
   */
  constructor(label, results) {
    this.#label = label;
    this.#results = results;
  }

  /** A figure of ours, by URL. */
  of(key, id = 'url') {
    const value = this.#figure(id, key);
    return value === null ? null : { label: this.#label, value };
  }

  /**
   * One of ours divided by another: by its id, by the `ceiling` that was faster, by the `fastest` default peer, or by the
   * peer in which the figure is `lowest`.
   */
  against(key, whom, id = 'url') {
    const other = this.#other(key, whom);
    const [ours, theirs] = [this.#figure(id, key), other && this.#figure(other.id, key)];
    if (ours === null || !theirs) return null;
    const name = ['fastest', 'lowest'].includes(whom) ? `${this.#label}, ${other.name}` : this.#label;
    return { label: name, value: ours / theirs };
  }

  #other(key, whom) {
    const peers = this.#results.filter(({ kind }) => kind === 'peer');
    if (whom === 'fastest') {
      return largest(
        peers.filter(({ isTuned }) => !isTuned),
        ({ median }) => median.cyclesPerSecond,
      );
    }
    if (whom === 'lowest') return largest(peers, ({ median }) => -median[key]);
    if (whom === 'ceiling') {
      return largest(
        this.#results.filter(({ kind }) => kind === 'ceiling'),
        ({ median }) => median.cyclesPerSecond,
      );
    }
    return this.#results.find(({ id }) => id === whom);
  }

  #figure(id, key) {
    return this.#results.find((one) => one.id === id)?.median[key] ?? null;
  }
}

/**
 * @param {import('./outcome').Outcome[]} outcomes
 * @returns {Judged[]}
 */
function judgeGoals(outcomes) {
  const find = (kind, n, which) => {
    const outcome = outcomes.find(
      ({ kind: its, case: one }) => its === kind && one.n === n && (one.scene ?? one.c ?? '') === which,
    );
    const label = { cycles: `N = ${n}, C = ${which}`, hung: `C = ${which}` }[kind] ?? `N = ${n}`;
    return new Found(label, outcome?.results ?? []);
  };
  return goals.map((goal) => judge(goal, goal.measure(find)));
}

function judge({ title, must, aim, bound, unit = '×' }, measured) {
  const sign = bound === 'atLeast' ? '≥' : '≤';
  const known = measured.filter((one) => one !== null);
  const isWithin = (limit) =>
    limit !== undefined &&
    known.every(({ value }) => (bound === 'atLeast' ? value >= limit : value <= limit));
  const parts = known.map(({ label, value }) => `${number(value)}${unit} (${label})`);
  return {
    title,
    must: `${sign} ${must}${unit}`,
    aim: aim === undefined ? NONE : `${sign} ${aim}${unit}`,
    measured: parts.join('; ') || NONE,
    verdict: verdictOf(known.length, measured.length, isWithin(must), isWithin(aim)),
  };
}

function verdictOf(known, all, isMet, isAim) {
  if (!known) return 'not run';
  const said = isAim ? 'met, the aim too' : isMet ? 'met' : 'NOT met';
  return known === all ? said : `${said}, of what was run`;
}

function inverse(one) {
  return one && { ...one, value: 1 / one.value };
}

function scaled(one, by) {
  return one && { ...one, value: one.value * by };
}

function largest(list, of) {
  return list.reduce((best, one) => (best === undefined || of(one) > of(best) ? one : best), undefined);
}

module.exports = { judgeGoals };
