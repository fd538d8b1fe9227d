'use strict';

const path = require('node:path');

const { Helper } = require('./helper');

/** A contender in JavaScript, running in a child process. */
class Contender {
  #helper;

  /**
   * @param {import('./contenders').Description} description
   * @param {{url: string}[]} servers
   * @param {import('./contenders').Retries} [options]
   */
  constructor(description, servers, options = {}) {
    this.description = description;
    this.name = description.name;
    const all = JSON.stringify({ ...options, ...description.options });
    this.#helper = new Helper(path.join(__dirname, 'child.js'), [
      description.id,
      all,
      ...servers.map(({ url }) => url),
    ]);
  }

  /** Resolves when it is connected. */
  async open() {
    await this.#helper.open();
  }

  /**
   * Does one of child.js' tasks and resolves with its figures.
   *
   * @param {string} task
   * @param {object} [told]
   */
  async run(task, told) {
    return this.#helper.ask({ task, ...told });
  }

  async close() {
    await this.#helper.close();
  }
}

module.exports = { Contender };
