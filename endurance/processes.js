'use strict';

/** The processes that contend, and what they have told. */

const { fork } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');

/** How long a process may take to connect, and to end once it is told to, in ms. */
const PATIENCE = 60_000;

class Contender {
  #child;
  /** How it ended, once it has. @type {Promise<[number | null, string | null]>} */
  #ended;
  #isReady = false;
  #isDone = false;

  /**
   * @param {import('./worker').Task} task
   * @param {import('./report').Record} record what it tells goes there
   */
  constructor(task, record) {
    this.name = task.name;
    this.#child = fork(path.join(__dirname, 'worker.js'), [JSON.stringify(task)], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    all.add(this);
    this.#ended = /** @type {any} */ (once(this.#child, 'exit'));
    this.#ended.then(() => all.delete(this));
    this.#child.on('message', (/** @type {any} */ { ready, done, holds, refused }) => {
      this.#isReady ||= ready === true;
      this.#isDone ||= done === true;
      if (holds) record.hold(this.name, holds);
      if (refused) record.refused(this.name, refused);
    });
    // What is said to one that has just ended is said to nobody.
    this.#child.on('error', () => {});
  }

  /** Resolves once it contends. */
  async ready() {
    const deadline = performance.now() + PATIENCE;
    while (!this.#isReady) {
      if (this.hasEnded) throw new Error(`the process ${this.name} has ended at once`);
      if (performance.now() > deadline) throw new Error(`the process ${this.name} did not begin`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  get hasEnded() {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /**
   * Its event loop stands still, while the engine's own thread goes on.
   *
   * @param {number} ms
   */
  block(ms) {
    this.#child.send({ block: ms });
  }

  /** All of it stands still. */
  pause() {
    this.#child.kill('SIGSTOP');
  }

  resume() {
    this.#child.kill('SIGCONT');
  }

  /**
   * Lets it release what it holds.
   *
   * @returns {Promise<string | undefined>} what was wrong with its end
   */
  async stop() {
    if (!this.hasEnded) this.#child.send({ stop: true });
    const timer = setTimeout(() => this.kill(), PATIENCE);
    const [code, signal] = await this.#ended;
    clearTimeout(timer);
    if (this.#isDone && code === 0) return undefined;
    return `the process ${this.name} has not come to its end (${signal ?? code})`;
  }

  kill() {
    this.#child.kill('SIGKILL');
  }
}

/** Those that run. @type {Set<Contender>} */
const all = new Set();

// None must outlive this process, also if it is ended by a signal.
process.on('exit', () => {
  for (const contender of all) contender.kill();
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));

module.exports = { Contender };
