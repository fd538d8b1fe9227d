import { createRequire } from 'node:module';
import { afterEach, beforeEach, describe, test, vi } from 'vitest';

const require = createRequire(import.meta.url);
const { behaviours, withTheClock } = require('../behaviour');

describe('with toFake', () => {
  beforeEach(() => {
    vi.useFakeTimers({
      toFake: [
        'nextTick',
        'queueMicrotask',
        'setTimeout',
        'setInterval',
        'setImmediate',
        'Date',
        'performance',
      ],
    });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  for (const [what, behave] of Object.entries(behaviours())) test(what, behave);

  test('the clock that is shown decides nothing', () => withTheClock((ms) => vi.advanceTimersByTime(ms)));
});
