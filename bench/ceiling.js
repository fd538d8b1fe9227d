'use strict';

const { execFile, spawnSync } = require('node:child_process');
const path = require('node:path');
const { promisify } = require('node:util');

const CRATE = path.join(__dirname, 'ceiling');
const PROGRAM = path.join(CRATE, 'target', 'release', 'redlock-ceiling');

/** Builds the native client. Says why not if it can't be built here, else `null`. */
function buildCeiling() {
  if (process.platform === 'win32') return 'the native client (ceiling) needs a Unix';
  const { error, status } = spawnSync('cargo', ['build', '--release', '--locked', '--quiet'], {
    cwd: CRATE,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (status === 0) return null;
  return `the native client (ceiling) could not be built: ${error?.message ?? `cargo ended with ${status}`}`;
}

/** The client without Node.js, with the methods of a Contender; a process for each run. */
class Ceiling {
  #servers;

  /**
   * @param {import('./contenders').Description} description
   * @param {import('../scripts/servers').RedisServer[]} servers
   */
  constructor(description, servers) {
    this.description = description;
    this.name = description.name;
    this.#servers = servers.map(({ host, port }) => `${host}:${port}`).join();
  }

  async open() {}

  /**
   * Knows the one task.
   *
   * @param {'cycles'} _task
   * @param {{c: number, warmUp: number, seconds: number}} told
   */
  async run(_task, { c, warmUp, seconds }) {
    const args = [this.#servers, String(c), String(warmUp), String(seconds), this.description.native];
    const { stdout } = await promisify(execFile)(PROGRAM, args);
    return { ...JSON.parse(stdout), jsCpu: null, failed: 0 };
  }

  async close() {}
}

module.exports = { buildCeiling, Ceiling };
