'use strict';

const { fork } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');

/** A contender in JavaScript, running in a child process. */
class Contender {
  #child;

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
  }

  /** Resolves when it is connected. */
  async open() {
    await this.#answer();
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

  #answer() {
    return new Promise((resolve, reject) => {
      const ended = (code, signal) => reject(new Error(`${this.name} ended (${signal ?? code})`));
      this.#child.once('exit', ended);
      this.#child.once('message', ({ result, error }) => {
        this.#child.off('exit', ended);
        if (error) reject(new Error(`${this.name} failed: ${error}`));
        else resolve(result);
      });
    });
  }
}

module.exports = { Contender };
