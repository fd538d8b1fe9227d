'use strict';

/* global jest, test */

// It is loaded when everything is replaced already.
const { behaviours, withTheClock } = require('../behaviour');

for (const [what, behave] of Object.entries(behaviours())) test(what, behave);

test('the clock that is shown decides nothing', () => withTheClock((ms) => jest.advanceTimersByTime(ms)));
