'use strict';

/* global jest, describe, test, beforeEach, afterEach */

const { behaviours, withTheClock } = require('../behaviour');

describe('under useFakeTimers()', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  for (const [what, behave] of Object.entries(behaviours())) test(what, behave);

  test('the clock that is shown decides nothing', () => withTheClock((ms) => jest.advanceTimersByTime(ms)));

  test('nothing of ours waits on the clock of the test', async () => {
    await behaviours()['a kept lock is extended, and its loss is told']();
    if (jest.getTimerCount() > 0) throw new Error(`${jest.getTimerCount()} timers are left`);
  });
});

test('and with real timers after it', async () => {
  for (const behave of Object.values(behaviours())) await behave();
});
