'use strict';

const { Contender } = require('./contender');

/** Several processes of one contender. When one of them fails, all are ended: none may go on beside the others. */
class Group {
  #members;

  /**
   * @param {number} processes
   * @param {import('./contenders').Description} description
   * @param {{url: string}[]} servers
   * @param {import('./contenders').Retries} [options]
   */
  constructor(processes, description, servers, options) {
    this.description = description;
    this.name = description.name;
    this.#members = Array.from({ length: processes }, () => new Contender(description, servers, options));
  }

  /** Resolves when all are connected. */
  async open() {
    await this.#all((member) => member.open());
  }

  /** All do the same task at once; resolves with each one's figures. */
  async run(task, told) {
    return this.#all((member) => member.run(task, told));
  }

  async close() {
    await Promise.all(this.#members.map((member) => member.close()));
  }

  async #all(one) {
    try {
      return await Promise.all(this.#members.map(one));
    } catch (error) {
      await this.close();
      throw error;
    }
  }
}

module.exports = { Group };
