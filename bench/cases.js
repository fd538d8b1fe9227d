'use strict';

/**
 * What is measured: `n` servers, `c` cycles under way at once. A cycle is the lock and the unlock of
 * a resource of its own.
 *
 * @typedef {{n: number, c: number}} Case
 */

/**
 * Every combination.
 *
 * @param {number[]} ns
 * @param {number[]} cs
 * @returns {Case[]}
 */
function combine(ns, cs) {
  return ns.flatMap((n) => cs.map((c) => ({ n, c })));
}

const DEFAULTS = { n: [3], c: [1, 100] };

module.exports = { combine, DEFAULTS };
