'use strict';

const os = require('node:os');

const { median } = require('./statistics');

/** The time that all cores have worked so far, whoever for, in microseconds. */
function busy() {
  return (
    os.cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0) * 1000
  );
}

/**
 * How many cores others had while something was measured: what was busy beside `own`, both in microseconds.
 *
 * @param {{before: number, own: number, elapsed: number}} measured elapsed is in ms
 */
function foreignCores({ before, own, elapsed }) {
  return Math.max(0, busy() - before - own) / (elapsed * 1000);
}

/** Above this share of all cores a machine is no place to measure times on. */
const QUIET = 0.05;

/**
 * What others did meanwhile, in a sentence; `null` where nothing was measured that would tell.
 *
 * @param {import('./outcome').Outcome[]} outcomes
 */
function describeForeign(outcomes) {
  const all = outcomes.flatMap(({ results }) =>
    results.flatMap(({ rounds }) => rounds.map((one) => one.foreign)),
  );
  const cores = median(all.filter((one) => one !== undefined));
  if (cores === null) return null;
  const said = `others used ${cores.toFixed(2)} of ${os.availableParallelism()} cores meanwhile (median)`;
  if (cores <= QUIET * os.availableParallelism()) return said;
  return `${said}: NOT a quiet machine, so cycles/s and latencies tell little; CPU time a cycle is sturdier`;
}

module.exports = { busy, foreignCores, describeForeign };
