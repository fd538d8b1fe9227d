'use strict';

const { currentMailbox } = require('./mailbox');
const { requests } = require('./requests');
const { slots } = require('./slots');

/** @typedef {import('./answer').Answer} Answer */

/**
 * A way to give up one request, for a caller who passes it along. The request is answered all the same, perhaps with
 * what it wanted.
 */
class Cancellation {
  #slot = 0;
  /** Undefined where native was not asked. @type {((answer: Answer) => void) | undefined} */
  #resolve;

  /**
   * The request was made.
   *
   * @param {number} slot
   * @param {(answer: Answer) => void} resolve what is called with its answer
   */
  watch(slot, resolve) {
    this.#slot = slot;
    this.#resolve = resolve;
  }

  /** Does nothing once the request has been answered: its slot may be another's then. */
  cancel() {
    if (this.#resolve === undefined || !slots.has(this.#slot, this.#resolve)) return;
    // It may not have been handed over yet.
    requests.flush();
    currentMailbox()?.cancel(this.#slot);
  }
}

module.exports = { Cancellation };
