'use strict';

/**
 * With a rule taken out of JavaScript's half, the simulation finds what it was for, within the seeds that
 * javascript.test.js runs. A rule's lines are named in sabotage.js.
 */

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');

const { sabotages } = require('./sabotage');
const { SEEDS, simulate } = require('./simulate');

describe("JavaScript's half without one of its rules is caught by the simulation", () => {
  for (const { name, rule } of sabotages) {
    test(rule, async (t) => {
      const { violation, seed } = await simulate({ SEEDS, SABOTAGE: name });
      assert.notEqual(violation, undefined, `nothing is missed in ${SEEDS} seeds`);
      t.diagnostic(`${name}: seed ${seed}: ${violation.split('\n', 1)}`);
    });
  }
});
