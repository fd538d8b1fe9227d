'use strict';

const { setTimeout: sleep } = require('node:timers/promises');

const { now } = require('../clock');

const TTL = 10_000;

/**
 * For `seconds`, `contenders` want one resource, hold it for `hold` ms and want it again. Tells of each time when it was
 * asked for and granted, in ms on the clock that processes share.
 *
 * @param {import('../contenders').Opened} contender
 * @param {{resource: string, contenders: number, hold: number, seconds: number}} told
 */
async function measure({ lock, unlock }, { resource, contenders, hold, seconds }) {
  const turns = [];
  let failed = 0;
  const end = now() + seconds * 1000;

  async function again() {
    while (now() < end) {
      const asked = now();
      try {
        const held = await lock(resource, TTL);
        turns.push({ asked, granted: now() });
        await sleep(hold);
        await unlock(held);
      } catch {
        failed += 1;
        await sleep(1);
      }
    }
  }
  await Promise.all(Array.from({ length: contenders }, again));
  return { turns, failed };
}

module.exports = { measure };
