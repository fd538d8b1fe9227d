'use strict';

/**
 * What is measured. Each case is a file with
 *
 * - `title(one)`, and `figures`: what it tells, in the order of the table's columns;
 * - `plan(options)`: the combinations to run;
 * - `admits(description, one)`: whether a contender takes part;
 * - `compete(one, chosen, options)`: each contender's figures, round by round.
 *
 * @typedef {object} Figure
 * @property {string} key
 * @property {string} title
 * @property {'higher' | 'lower'} [better] which way a ratio is good; none without
 * @property {number} [unit] what it is divided by to be shown
 * @property {boolean} [isMost] of several rounds the most counts, not the median
 *
 * @typedef {{n: number, c?: number, processes?: number, seconds?: number, scene?: string}} Case
 * @typedef {Map<string, Record<string, any>[]>} Rounds by the contender's id
 */
const cases = {
  cycles: require('./cycles'),
  hung: require('./hung'),
  contention: require('./contention'),
  fairness: require('./fairness'),
  wakeups: require('./wakeups'),
  connections: require('./connections'),
  held: require('./held'),
};

module.exports = { cases };
