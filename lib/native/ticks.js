'use strict';

/**
 * What was set off with promises and `process.nextTick`, done at once: Node.js does the same between two timers, or two
 * immediates, with the very function that is used here. It is no public one, so that whoever uses this must do without
 * where it isn't there, or does nothing.
 */

const { raise } = require('../addon');
const { soon } = require('./calls');

// As it was when this was loaded. With `--pending-deprecation` there is another one in its place, which warns.
const own = Reflect.get(process, '_tickCallback');
const runNextTicks = typeof own === 'function' && own.name === 'runNextTicks' ? own : undefined;

/** Whether `runTicks` does something here: not where it is called from something that was set off with a promise. */
function canRunTicks() {
  if (runNextTicks === undefined) return false;
  let isRun = false;
  soon(() => {
    isRun = true;
  });
  return runTicks() && isRun;
}

/**
 * Does all that has been set off, and what that sets off.
 *
 * @returns {boolean} false if something was thrown, after which there may be more to be done
 */
function runTicks() {
  try {
    runNextTicks();
    return true;
  } catch (error) {
    raise(error);
    return false;
  }
}

module.exports = { canRunTicks, runTicks };
