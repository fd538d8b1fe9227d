'use strict';

/** What happens in a world, as lines of text: all of it for the hash, and to be read where that is asked for. */

const { createHash } = require('node:crypto');

class Trace {
  #hash = createHash('sha256');
  #lines = [];
  #isKept;

  /** @param {boolean} isKept whether the lines are wanted */
  constructor(isKept) {
    this.#isKept = isKept;
  }

  /** @param {string} line */
  add(line) {
    this.#hash.update(line);
    this.#hash.update('\n');
    if (this.#isKept) this.#lines.push(line);
  }

  get lines() {
    return this.#lines;
  }

  digest() {
    return this.#hash.digest('hex').slice(0, 16);
  }
}

module.exports = { Trace };
