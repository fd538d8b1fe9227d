'use strict';

/** Blocks JavaScript for `ms`, without work for the machine. @param {number} ms */
function block(ms) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

module.exports = { block };
