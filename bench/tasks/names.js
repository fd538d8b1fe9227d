'use strict';

let last = 0;

/** A resource that nobody has locked before, nor any other process. */
function nextName() {
  last += 1;
  return `bench:${process.pid}:${last}`;
}

module.exports = { nextName };
