'use strict';

/**
 * The metrics: what calls, holds and votes come to, and what the engine alone has counted, of the Redlocks that are observed.
 * Durations are in seconds, as OpenTelemetry has them.
 *
 * @typedef {import('../lib/channels').Trace} Trace
 * @typedef {import('./groups').Groups} Groups
 */

const { serverAt } = require('./server');

const SECONDS = { unit: 's', advice: { explicitBucketBoundaries: bounds(0.0001, 100) } };
const COUNTS = { advice: { explicitBucketBoundaries: [1, 2, 3, 5, 10, 20, 50, 100] } };

/** So many extensions of one size are recorded at a time: more would take long. */
const MOST_AT_ONCE = 10_000;

class Metrics {
  #groups;
  #acquire;
  #attempts;
  #hold;
  #waiting;
  #held;
  #lost;
  #endangered;
  #votes;
  #voteDuration;
  #slack;
  #failedExtensions;
  #meter;
  #complain;
  /** What is counted in `waiting` and in `held`: what began before is not. @type {Map<Trace, () => void>} */
  #open = new Map();
  /** What was counted at the last look: failed extensions, and how much slack by bucket. @type {Map<any, number[]>} */
  #observed = new Map();
  /** Of all that are or were observed. */
  #failures = 0;

  /**
   * @param {import('@opentelemetry/api').Meter} meter
   * @param {Groups} groups
   * @param {(error: unknown) => void} complain
   */
  constructor(meter, groups, complain) {
    this.#complain = complain;
    this.#meter = meter;
    this.#groups = groups;
    this.#acquire = meter.createHistogram('redlock.acquire.duration', {
      description: 'How long it took until a lock was granted, or was not',
      ...SECONDS,
    });
    this.#attempts = meter.createHistogram('redlock.attempts', {
      description: 'How many attempts a lock took',
      unit: '{attempt}',
      ...COUNTS,
    });
    this.#hold = meter.createHistogram('redlock.hold.duration', {
      description: 'From the grant of a lock to its release or loss',
      ...SECONDS,
    });
    this.#waiting = meter.createUpDownCounter('redlock.waiting', {
      description: 'Requests for locks that are under way',
      unit: '{request}',
    });
    this.#held = meter.createUpDownCounter('redlock.held', {
      description: 'Locks that are held',
      unit: '{lock}',
    });
    this.#lost = meter.createCounter('redlock.lost', {
      description: 'Locks with a signal or autoExtend that were lost',
      unit: '{lock}',
    });
    this.#endangered = meter.createCounter('redlock.endangered', {
      description: 'Kept locks that were about to be lost',
      unit: '{lock}',
    });
    this.#votes = meter.createCounter('redlock.instance.votes', {
      description: 'What instances said',
      unit: '{vote}',
    });
    this.#voteDuration = meter.createHistogram('redlock.instance.duration', {
      description: 'How long instances took to answer',
      ...SECONDS,
    });
    this.#slack = meter.createHistogram('redlock.extension.slack', {
      description: 'What was left of a kept lock when its extension was confirmed',
      ...SECONDS,
    });
    this.#failedExtensions = meter.createObservableCounter('redlock.extension.failures', {
      description: 'Attempts to extend a lock that have failed',
      unit: '{attempt}',
    });
  }

  /** @param {Trace} trace */
  waitBegins(trace) {
    this.#up(trace, this.#waiting);
  }

  /** @param {Trace} trace */
  waitEnds(trace) {
    this.#down(trace);
    const { waited = 0, outcome, attempts } = trace;
    const attributes = { ...this.#groups.attributesOf(trace.resource), outcome };
    this.#acquire.record(waited / 1000, attributes);
    if (attempts !== undefined) this.#attempts.record(attempts, attributes);
  }

  /** @param {Trace} trace */
  holdBegins(trace) {
    this.#up(trace, this.#held);
  }

  /** @param {Trace} trace */
  holdEnds(trace) {
    this.#down(trace);
    const { held = 0, outcome, resource } = trace;
    this.#hold.record(held / 1000, { ...this.#groups.attributesOf(resource), outcome });
  }

  /** @param {{resource: string[], code: string}} message */
  lost({ resource, code }) {
    this.#lost.add(1, { ...this.#groups.attributesOf(resource), 'error.type': code });
  }

  /** @param {{resource: string[]}} message */
  endangered({ resource }) {
    this.#endangered.add(1, this.#groups.attributesOf(resource));
  }

  /** @param {import('../lib/native/types').VoteMessage} message */
  vote({ instance, operation, vote, ms, error }) {
    /** @type {import('@opentelemetry/api').Attributes} */
    const attributes = { ...serverAt(instance.address).attributes, 'redlock.operation': operation, vote };
    this.#voteDuration.record(ms / 1000, attributes);
    const { code } = /** @type {any} */ (error ?? {});
    this.#votes.add(1, code === undefined ? attributes : { ...attributes, 'error.type': code });
  }

  /**
   * Records what a Redlock's engine has counted since it was asked last, whenever metrics are collected.
   *
   * @param {any} redlock
   * @returns {() => void} ends it
   */
  observe(redlock) {
    if (this.#observed.size === 0)
      this.#meter.addBatchObservableCallback(this.#collect, [this.#failedExtensions]);
    if (!this.#observed.has(redlock)) this.#observed.set(redlock, []);
    return () => {
      this.#observed.delete(redlock);
      if (this.#observed.size > 0) return;
      this.#meter.removeBatchObservableCallback(this.#collect, [this.#failedExtensions]);
    };
  }

  /** @param {import('@opentelemetry/api').BatchObservableResult} result */
  #collect = async (result) => {
    for (const redlock of this.#observed.keys()) await this.#look(redlock);
    result.observe(this.#failedExtensions, this.#failures);
  };

  /** @param {any} redlock */
  async #look(redlock) {
    try {
      const { slack, failed } = (await redlock.stats()).extensions;
      const counts = perBucket(slack);
      const known = this.#observed.get(redlock) ?? [];
      this.#observed.set(redlock, [failed, ...counts]);
      // Where its servers were replaced, another engine counts from the beginning.
      const isAnother = [failed, ...counts].some((count, at) => count < (known[at] ?? 0));
      const [failedBefore = 0, ...before] = isAnother ? [] : known;
      this.#failures += failed - failedBefore;
      counts.forEach((count, at) => {
        this.#recordSlack(slack.buckets[at].le, Math.min(count - (before[at] ?? 0), MOST_AT_ONCE));
      });
    } catch (error) {
      this.#observed.delete(redlock);
      // It has quit: there is no more to be counted.
      if (/** @type {any} */ (error)?.code !== 'ERR_REDLOCK_CLOSED') this.#complain(error);
    }
  }

  /**
   * @param {number} le the bound of the engine's bucket; beyond the last finite one there is no telling how much it was
   * @param {number} times
   */
  #recordSlack(le, times) {
    if (!Number.isFinite(le)) return;
    for (let time = 0; time < times; time++) this.#slack.record(le);
  }

  /** What is under way is counted no more. */
  end() {
    for (const trace of [...this.#open.keys()]) this.#down(trace);
  }

  /**
   * @param {Trace} trace
   * @param {import('@opentelemetry/api').UpDownCounter} counter
   */
  #up(trace, counter) {
    const attributes = this.#groups.attributesOf(trace.resource);
    counter.add(1, attributes);
    this.#open.set(trace, () => counter.add(-1, attributes));
  }

  /** @param {Trace} trace */
  #down(trace) {
    const down = this.#open.get(trace);
    this.#open.delete(trace);
    down?.();
  }
}

/**
 * How many are in each bucket alone.
 *
 * @param {{buckets: {le: number, count: number}[]}} histogram
 */
function perBucket({ buckets }) {
  return buckets.map(({ count }, at) => count - (at > 0 ? buckets[at - 1].count : 0));
}

/**
 * 1, 2 and 5 of each power of ten.
 *
 * @param {number} least
 * @param {number} most
 */
function bounds(least, most) {
  const all = [];
  for (let power = least; power <= most; power *= 10) {
    for (const step of [1, 2, 5]) all.push(Number((power * step).toPrecision(1)));
  }
  return all;
}

module.exports = { Metrics };
