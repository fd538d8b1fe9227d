'use strict';

/** The requests that wait for their answers, each under a small number that comes back with its answer. */

const { CANCELLED, UNEXPLAINED } = require('./answer');

/**
 * @typedef {import('./answer').Answer} Answer
 * @typedef {import('./types').Asker} Asker
 * @typedef {import('./types').Waiter} Waiter
 */

class Slots {
  /** Who is told of the answer, by slot. @type {(Waiter | undefined)[]} */
  #waiters = [];
  /** @type {number[]} */
  #free = [];

  /**
   * @param {Waiter} waiter
   * @returns {number} the request's slot, until it is answered
   */
  take(waiter) {
    const slot = this.#free.pop() ?? this.#waiters.length;
    this.#waiters[slot] = waiter;
    return slot;
  }

  /**
   * Whether the slot is still that request's.
   *
   * @param {number} slot
   * @param {Waiter} waiter
   */
  has(slot, waiter) {
    return this.#waiters[slot] === waiter;
  }

  /**
   * @param {Asker} asker
   * @returns {number[]} of all of its requests
   */
  of(asker) {
    return [...this.#waiters.keys()].filter((slot) => this.#waiters[slot]?.engine === asker);
  }

  /**
   * Whether whoever waits is told through promises of another library.
   *
   * @param {number} slot
   */
  isHeardLate(slot) {
    return this.#waiters[slot]?.engine.isHeardLate ?? false;
  }

  /**
   * Lets whoever waits make ready what the answer is told with, which comes at a turn of its own.
   *
   * @param {number} slot
   * @param {Answer} answer
   */
  prepare(slot, answer) {
    this.#waiters[slot]?.prepare(answer);
  }

  /**
   * Answers a request, once.
   *
   * @param {number} slot
   * @param {Answer} answer
   */
  settle(slot, answer) {
    const waiter = this.#waiters[slot];
    if (waiter === undefined) return;
    this.#waiters[slot] = undefined;
    this.#free.push(slot);
    const asker = waiter.engine;
    const { failure } = answer;
    if (failure) {
      if (failure.code === CANCELLED) Object.assign(failure, asker.ending);
      try {
        failure.suspicion = asker.events.suspicion(failure.votes);
        asker.clean(failure);
      } catch {
        // The caller must be answered, and with nothing that may still have a secret in it.
        answer.failure = UNEXPLAINED;
      }
    }
    waiter.settle(answer);
    asker.answered();
  }
}

module.exports = { slots: new Slots() };
