'use strict';

const { fork } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const { setTimeout: sleep } = require('node:timers/promises');

/** Whoever says nothing for so long, in ms, has hung; the longest task takes a minute. */
const PATIENCE = 300_000;

/** A contender in JavaScript, running in a child process. */
class Contender {
  #child;
  #opened;

  /**
   * @param {import('./contenders').Description} description
   * @param {import('../scripts/servers').RedisServer[]} servers
   * @param {import('./contenders').Retries} [options]
   */
  constructor(description, servers, options = {}) {
    this.description = description;
    this.name = description.name;
    const args = [description.id, JSON.stringify(options), ...servers.map(({ url }) => url)];
    this.#child = fork(path.join(__dirname, 'child.js'), args, { execArgv: ['--expose-gc'] });
    this.#opened = this.#answer();
    // Told to whoever opens it, later.
    this.#opened.catch(() => {});
  }

  /** Resolves when it is connected. */
  async open() {
    await this.#opened;
  }

  /**
   * Does one of child.js' tasks and resolves with its figures.
   *
   * @param {string} task
   * @param {object} told
   */
  async run(task, told) {
    this.#child.send({ task, ...told });
    return this.#answer();
  }

  async close() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
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

module.exports = { Contender };
