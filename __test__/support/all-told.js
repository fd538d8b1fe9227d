'use strict';

const { setImmediate } = require('node:timers/promises');

/** Waits until node:diagnostics_channel has told what came of the calls that are over: that comes after their callers went on. */
async function allTold() {
  // The first is set off before the one that tells.
  await setImmediate();
  await setImmediate();
}

module.exports = { allTold };
