'use strict';

const { setTimeout: sleep } = require('node:timers/promises');

const { now } = require('../clock');
const { cpu } = require('../cpu');

const TTL = 10_000;

/**
 * `contenders` want one resource at once and hold it for `hold` ms each, one after the other. Tells when it began, and
 * from when to when it was held, each time, in ms on the clock that processes share; CPU time is in microseconds.
 *
 * @param {import('../contenders').Opened} contender
 * @param {{resource: string, contenders: number, hold: number}} told
 */
async function measure({ lock, unlock }, { resource, contenders, hold }) {
  const holds = [];
  let failed = 0;

  async function takeATurn() {
    let held;
    try {
      held = await lock(resource, TTL);
    } catch {
      failed += 1;
      return;
    }
    const from = now();
    await sleep(hold);
    holds.push([from, now()]);
    await unlock(held);
  }
  const before = cpu();
  const began = now();
  await Promise.all(Array.from({ length: contenders }, takeATurn));
  return { began, ended: now(), holds, failed, processCpu: cpu().process - before.process };
}

module.exports = { measure };
