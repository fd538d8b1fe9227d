'use strict';

/** The time in ms, on the clock that all processes of a machine share. */
function now() {
  return Number(process.hrtime.bigint()) / 1e6;
}

module.exports = { now };
