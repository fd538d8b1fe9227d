'use strict';

/** Chance that can be repeated: the same seed gives the same numbers. */

class Random {
  #state;

  /** @param {number} seed a whole number */
  constructor(seed) {
    this.#state = seed >>> 0;
    // Neighbouring seeds begin alike.
    for (let i = 0; i < 4; i += 1) this.#bits();
  }

  /** From 0 up to, and without, 1. */
  next() {
    return this.#bits() / 2 ** 32;
  }

  /**
   * A whole number.
   *
   * @param {number} least
   * @param {number} most may come too
   */
  between(least, most) {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  /** @param {number} probability from 0 to 1 */
  chance(probability) {
    return this.next() < probability;
  }

  /**
   * @template T
   * @param {readonly T[]} list
   * @returns {T}
   */
  pick(list) {
    return list[this.between(0, list.length - 1)];
  }

  /**
   * Some of a list, none twice, in any order.
   *
   * @template T
   * @param {readonly T[]} list
   * @param {number} count
   * @returns {T[]}
   */
  sample(list, count) {
    const rest = [...list];
    return Array.from({ length: Math.min(count, rest.length) }, () => {
      const [one] = rest.splice(this.between(0, rest.length - 1), 1);
      return one;
    });
  }

  /** 32 bits: a Weyl sequence, of which a multiplicative hash is taken. */
  #bits() {
    this.#state = (this.#state + 0x9e37_79b9) >>> 0;
    let bits = this.#state;
    bits = Math.imul(bits ^ (bits >>> 16), 0x85eb_ca6b);
    bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2_ae35);
    return (bits ^ (bits >>> 16)) >>> 0;
  }
}

module.exports = { Random };
