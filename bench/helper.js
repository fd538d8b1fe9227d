'use strict';

const { fork } = require('node:child_process');
const { once } = require('node:events');
const { setTimeout: sleep } = require('node:timers/promises');

/** Whoever says nothing for so long, in ms, has hung; the longest task takes a minute. */
const PATIENCE = 300_000;

/**
 * A child process that says once that it is ready, and answers one message after the other, with `{result}` or
 * `{error}`.
 */
class Helper {
  #child;
  #opened;

  /**
   * @param {string} file
   * @param {string[]} args
   */
  constructor(file, args) {
    this.#child = fork(file, args, { execArgv: ['--expose-gc'] });
    this.#opened = this.#answer();
    // Told to whoever opens it, later.
    this.#opened.catch(() => {});
  }

  /** Resolves with what it says when it is ready. */
  async open() {
    return this.#opened;
  }

  /** @param {object} message */
  async ask(message) {
    if (this.#isOver) throw new Error('it has ended');
    const answer = this.#answer();
    // Where it ends at this moment, the answer tells.
    this.#child.send(message, () => {});
    return answer;
  }

  async close() {
    if (this.#isOver) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }

  get #isOver() {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async #answer() {
    const over = new AbortController();
    const [message] = await Promise.race([
      once(this.#child, 'message', { signal: over.signal }),
      once(this.#child, 'exit', { signal: over.signal }).then(([code, signal]) => {
        throw new Error(`it ended (${signal ?? code})`);
      }),
      sleep(PATIENCE, null, { signal: over.signal }).then(() => {
        throw new Error(`it said nothing for ${PATIENCE / 1000} s`);
      }),
    ]).finally(() => over.abort());
    if (message.error) throw new Error(message.error);
    return message.result;
  }
}

module.exports = { Helper };
