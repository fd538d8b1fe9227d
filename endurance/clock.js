'use strict';

/** Milliseconds on the clock that all processes of a machine share and nobody can set. */
function now() {
  return Number(process.hrtime.bigint()) / 1e6;
}

module.exports = { now };
