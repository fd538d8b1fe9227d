'use strict';

/** `node --test mock-timers.js`: with node:test's own. */

const { describe, test } = require('node:test');

const { behaviours, withTheClock } = require('./behaviour');

describe('with mock.timers', () => {
  for (const [what, behave] of Object.entries(behaviours())) {
    test(what, async (t) => {
      enable(t);
      await behave();
    });
  }

  test('the clock that is shown decides nothing', async (t) => {
    enable(t);
    await withTheClock((ms) => t.mock.timers.tick(ms));
  });
});

function enable(t) {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'setImmediate', 'Date'] });
}
