'use strict';

const { fork } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');

/** A contender, running in a child process. */
class Contender {
  #child;
  #servers;

  /**
   * @param {{name: string, file: string}} description one of contenders/index.js
   * @param {import('../scripts/servers').RedisServer[]} servers
   */
  constructor({ name, file }, servers) {
    this.name = name;
    this.#servers = servers;
    const folder = path.join(__dirname, 'contenders');
    this.#child = fork(path.join(__dirname, 'child.js'), [
      path.join(folder, file),
      ...servers.map(({ url }) => url),
    ]);
  }

  /** Resolves when it is connected. */
  async open() {
    await this.#answer();
  }

  /**
   * What measure.js measures, and the servers' CPU time per cycle.
   *
   * @param {{c: number, seconds: number}} options
   */
  async run(options) {
    const before = await this.#serverCpu();
    this.#child.send(options);
    const result = await this.#answer();
    return { ...result, serverCpu: ((await this.#serverCpu()) - before) / result.cycles };
  }

  async close() {
    if (this.#child.exitCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill();
    await gone;
  }

  async #serverCpu() {
    const all = await Promise.all(this.#servers.map((server) => server.cpu()));
    return all.reduce((sum, one) => sum + one, 0);
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
