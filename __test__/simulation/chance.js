'use strict';

/** Chance from a seed: the same seed gives the same numbers. */
class Chance {
  #state;

  /** @param {number} seed */
  constructor(seed) {
    this.#state = seed >>> 0;
    // Neighbouring seeds must not begin alike.
    for (let round = 0; round < 8; round++) this.next();
  }

  /** From 0 to below 1. */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** @param {number} share */
  is(share) {
    return this.next() < share;
  }

  /**
   * A whole number.
   *
   * @param {number} least
   * @param {number} most
   */
  between(least, most) {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  /**
   * @template T
   * @param {readonly T[]} things
   * @returns {T}
   */
  pick(things) {
    return things[Math.floor(this.next() * things.length)];
  }

  /**
   * @template T
   * @param {readonly (readonly [number, T])[]} things with their weights
   * @returns {T}
   */
  weigh(things) {
    const total = things.reduce((sum, [weight]) => sum + weight, 0);
    let left = this.next() * total;
    for (const [weight, thing] of things) {
      left -= weight;
      if (left < 0) return thing;
    }
    return things[things.length - 1][1];
  }

  /** @param {number} length */
  hex(length) {
    let text = '';
    while (text.length < length) text += this.between(0, 15).toString(16);
    return text;
  }
}

module.exports = { Chance };
