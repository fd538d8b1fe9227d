'use strict';

const { setTimeout: sleep } = require('node:timers/promises');

const { now } = require('../clock');

/** Nothing of this is over before it is told to be, in ms. */
const TTL = 60_000;

/** Who has not been granted a lock by then, or been told of its loss, never will. */
const PATIENCE = 40_000;

/** @typedef {import('../contenders').Opened} Opened */

/** What is held; a lock that nobody has any more is not extended either. @type {Map<string, any>} */
const locks = new Map();

/** Takes locks and holds them.
 * @param {Opened} contender @param {{resources: string[]}} told */
async function take({ lock }, { resources }) {
  await Promise.all(resources.map(async (name) => locks.set(name, await lock(name, TTL))));
}

/**
 * Releases what was taken, one after the other, `apart` ms from each other. Tells when, in ms on the clock that
 * processes share.
 *
 * @param {Opened} contender @param {{resources: string[], apart: number}} told
 */
async function release({ unlock }, { resources, apart }) {
  const released = [];
  const unlocked = [];
  for (const name of resources) {
    if (released.length) await sleep(apart);
    released.push(now());
    unlocked.push(unlock(locks.get(name)));
  }
  await Promise.all(unlocked);
  return released;
}

/** Waits for locks and releases each at once. Tells when they were granted, `null` of what never was.
 * @param {Opened} contender @param {{resources: string[]}} told */
async function wait({ lock, unlock }, { resources }) {
  const one = async (name) => {
    const held = await lock(name, TTL);
    const granted = now();
    await unlock(held);
    return granted;
  };
  return Promise.all(resources.map((name) => inTime(one(name).catch(() => null))));
}

/** Takes locks that are extended by themselves.
 * @param {Opened} contender @param {{resources: string[], ttl: number}} told */
async function keep({ keep: one }, { resources, ttl }) {
  const keepOne = async (name) => {
    const lock = await one(name, ttl);
    locks.set(name, { lock, loss: lossOf(lock.signal) });
  };
  await Promise.all(resources.map(keepOne));
}

/** Tells when the loss of what was kept was told, `null` of what never was.
 * @param {Opened} _contender @param {{resources: string[]}} told */
async function lost(_contender, { resources }) {
  return Promise.all(resources.map((name) => inTime(locks.get(name).loss)));
}

/** @param {AbortSignal} signal */
function lossOf(signal) {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(now()), { once: true }));
}

/** @template T @param {Promise<T>} promise */
function inTime(promise) {
  return Promise.race([promise, sleep(PATIENCE, null)]);
}

module.exports = { take, release, wait, keep, lost };
