'use strict';

/**
 * Virtual time. There are two threads: JavaScript's, on which one thing runs after the other and may keep it busy,
 * and the engine's, which goes on meanwhile.
 *
 * JavaScript's own order of ticks and microtasks is the real one. Each thing on its thread is a task of its own, so
 * that all that it sets off is done before the next one.
 */

const timers = require('node:timers');
const timersPromises = require('node:timers/promises');

const real = {
  setTimeout,
  clearTimeout,
  setInterval,
  clearInterval,
  setImmediate,
  sleep: timersPromises.setTimeout,
  dateNow: Date.now,
  random: Math.random,
};

class Queue {
  #heap = [];
  #order = 0;

  get first() {
    return this.#heap[0];
  }

  /**
   * @param {number} at
   * @param {(at: number) => void} run
   */
  add(at, run) {
    const heap = this.#heap;
    const entry = { at, order: this.#order++, run };
    let place = heap.push(entry) - 1;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!isBefore(entry, heap[parent])) break;
      heap[place] = heap[parent];
      place = parent;
    }
    heap[place] = entry;
  }

  take() {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (heap.length === 0) return first;
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child])) child += 1;
      if (!isBefore(heap[child], last)) break;
      heap[place] = heap[child];
      place = child;
    }
    heap[place] = last;
    return first;
  }
}

function isBefore(one, other) {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}

class Time {
  /** On the engine's clock, in ms. */
  now = 1_000;
  /** What the wall clock is ahead by; it may jump. */
  wall = 1.7e12;
  #script = new Queue();
  #engine = new Queue();
  #chance;

  /** @param {import('./chance').Chance} chance */
  constructor(chance) {
    this.#chance = chance;
  }

  /**
   * On JavaScript's thread, once that is free.
   *
   * @param {number} ms
   * @param {() => void} run
   */
  later(ms, run) {
    this.#script.add(this.now + Math.max(0, ms), run);
  }

  /**
   * The same, at a point in time.
   *
   * @param {number} at
   * @param {() => void} run
   */
  laterAt(at, run) {
    this.#script.add(at, run);
  }

  /**
   * On the engine's thread, which nothing keeps busy.
   *
   * @param {number} at
   * @param {(at: number) => void} run
   */
  behind(at, run) {
    this.#engine.add(at, run);
  }

  /**
   * JavaScript's thread is busy.
   *
   * @param {number} ms
   */
  block(ms) {
    this.now += ms;
    this.#runEngine();
  }

  #runEngine() {
    while (this.#engine.first !== undefined && this.#engine.first.at <= this.now) {
      const { at, run } = this.#engine.take();
      run(at);
    }
  }

  /** One thing on JavaScript's thread, if anything is left to be done. */
  step() {
    this.#runEngine();
    while (this.#script.first === undefined || this.#script.first.at > this.now) {
      const next = Math.min(this.#script.first?.at ?? Infinity, this.#engine.first?.at ?? Infinity);
      if (next === Infinity) return false;
      this.now = Math.max(this.now, next);
      this.#runEngine();
    }
    this.#script.take().run(this.now);
    return true;
  }

  /** Everything that asks for the time or waits is told virtual time from now on. */
  install() {
    const timer = (run, ms, args, isInterval) => new Timer(this, run, ms, args, isInterval);
    globalThis.setTimeout = (run, ms, ...args) => timer(run, ms, args, false);
    // What a module takes when it is loaded, as those of a world are.
    timers.setTimeout = globalThis.setTimeout;
    globalThis.setInterval = (run, ms, ...args) => timer(run, ms, args, true);
    globalThis.clearTimeout = (one) => {
      if (one instanceof Timer) one.isOver = true;
    };
    globalThis.clearInterval = (one) => {
      if (one instanceof Timer) one.isOver = true;
    };
    timersPromises.setTimeout = (ms) => new Promise((resolve) => this.later(ms, () => resolve()));
    Date.now = () => Math.floor(this.wall + this.now);
    Object.defineProperty(performance, 'now', { value: () => this.now, configurable: true, writable: true });
    Math.random = () => this.#chance.next();
  }

  static uninstall() {
    globalThis.setTimeout = real.setTimeout;
    timers.setTimeout = real.setTimeout;
    globalThis.setInterval = real.setInterval;
    globalThis.clearTimeout = real.clearTimeout;
    globalThis.clearInterval = real.clearInterval;
    timersPromises.setTimeout = real.sleep;
    Date.now = real.dateNow;
    delete performance.now;
    Math.random = real.random;
  }
}

/** What setTimeout and setInterval give. Nobody here waits for an interval. */
class Timer {
  isRef = true;
  isOver = false;

  constructor(time, run, ms, args, isInterval) {
    if (isInterval) return;
    time.later(Math.max(1, Number(ms) || 1), () => {
      if (!this.isOver) run(...args);
    });
  }

  ref() {
    this.isRef = true;
    return this;
  }

  unref() {
    this.isRef = false;
    return this;
  }
}

/**
 * Runs until nothing is left to be done.
 *
 * @param {() => boolean} step
 * @param {() => boolean} isBusy whether what the last step has set off takes more turns of the event loop
 * @param {number} hops how many it may take after that: promises of bluebird's need more than one
 * @returns {Promise<void>}
 */
function runAll(step, isBusy, hops) {
  return new Promise((resolve, reject) => {
    const turn = (left) => {
      if (isBusy()) {
        real.setImmediate(turn, hops);
        return;
      }
      if (left > 0) {
        real.setImmediate(turn, left - 1);
        return;
      }
      try {
        if (!step()) {
          resolve();
          return;
        }
      } catch (error) {
        reject(error);
        return;
      }
      real.setImmediate(turn, hops - 1);
    };
    real.setImmediate(turn, 0);
  });
}

module.exports = { Time, runAll };
