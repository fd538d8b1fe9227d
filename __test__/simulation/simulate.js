'use strict';

/** run.js for tests. */

const { spawn } = require('node:child_process');
const path = require('node:path');

/** How many worlds a test looks at. */
const SEEDS = Number(process.env.SEEDS ?? 200);

/**
 * A process of its own, since what comes out as an uncaught exception is looked at.
 *
 * @param {Record<string, string | number>} what as run.js takes it
 * @returns {Promise<{ran: number, seed?: number, hash: string, violation?: string, counts: Record<string, number>, said: string}>}
 */
function simulate(what) {
  const given = Object.entries(what).map(([key, value]) => [key, String(value)]);
  const { SEED, SEEDS: _, FIRST, SABOTAGE, LOCKS, WALL, ...env } = process.env;
  const child = spawn(process.execPath, [path.join(__dirname, 'run.js')], {
    env: { ...env, ...Object.fromEntries(given) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const texts = [];
  child.stdout.on('data', (text) => texts.push(text));
  child.stderr.on('data', (text) => texts.push(text));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => {
      const said = Buffer.concat(texts).toString();
      const last = said.trimEnd().split('\n').at(-1);
      try {
        resolve({ ...JSON.parse(last), said });
      } catch {
        reject(new Error(`the simulation ended without a result:\n${said}`));
      }
    });
  });
}

module.exports = { SEEDS, simulate };
