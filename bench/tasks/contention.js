'use strict';

const { setTimeout: sleep } = require('node:timers/promises');

const { cpu } = require('../cpu');
const { nextName } = require('./names');

const TTL = 10_000;

/**
 * `contenders` want one resource at once and hold it for `hold` ms each, one after the other. Times are in ms.
 *
 * @param {import('../contenders').Opened} contender
 * @param {{contenders: number, hold: number}} told
 */
async function measure({ lock, unlock }, { contenders, hold }) {
  const resource = nextName();
  let inside = 0;
  let failed = 0;
  let together = 0;

  async function takeATurn() {
    let held;
    try {
      held = await lock(resource, TTL);
    } catch {
      failed += 1;
      return;
    }
    inside += 1;
    if (inside > 1) together += 1;
    await sleep(hold);
    inside -= 1;
    await unlock(held);
  }
  const before = cpu();
  const start = performance.now();
  await Promise.all(Array.from({ length: contenders }, takeATurn));
  const total = performance.now() - start;
  return {
    total,
    timesIdeal: total / (contenders * hold),
    failed,
    together,
    processCpu: (cpu().process - before.process) / contenders,
  };
}

module.exports = { measure };
