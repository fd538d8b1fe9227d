'use strict';

/** `node sinon.js before|after`: whether the package is loaded before everything is replaced, or after it. */

const sinon = require('sinon');

const real = { setTimeout, exit: process.exit };
const watchdog = setTimeout(() => {
  console.error('it hangs');
  process.exit(2);
}, 60_000);

async function main(order) {
  if (order === 'before') require('./behaviour').behaviours();
  const toFake = [
    'setTimeout',
    'clearTimeout',
    'setInterval',
    'clearInterval',
    'setImmediate',
    'clearImmediate',
  ];
  toFake.push('Date', 'nextTick', 'queueMicrotask', 'performance', 'hrtime');
  const clock = sinon.useFakeTimers({ toFake, now: 1_000_000_000_000 });
  const { behaviours, withTheClock } = require('./behaviour');
  for (const [what, behave] of Object.entries(behaviours())) {
    await behave();
    console.log('ok', what);
  }
  await withTheClock((ms) => clock.tick(ms));
  const left = clock.countTimers();
  if (left > 0) throw new Error(`${left} of our timers wait for the test's clock`);
  await thrownByCallbacks();
  if (order === 'before') await behindBluebird();
  clock.restore();
  for (const behave of Object.values(require('./behaviour').behaviours())) await behave();
  clearTimeout(watchdog);
  console.log('done');
}

/** They are uncaught exceptions, and cost nobody anything. */
async function thrownByCallbacks() {
  const Redlock = require('../../..');
  const thrown = [];
  const listener = (error) => thrown.push(error.message);
  process.on('uncaughtException', listener);
  const redlock = new Redlock(['memory://thrown'], { retryCount: 0 });
  redlock.on('lost', () => {
    throw new Error('by a listener');
  });
  await redlock.lock('a', 50, () => {
    throw new Error('by a callback');
  });
  const kept = await redlock.lock('b', 100);
  await new Promise((resolve) => kept.signal.addEventListener('abort', resolve));
  await (await redlock.lock('c', 1000)).unlock();
  await redlock.quit();
  process.off('uncaughtException', listener);
  if (thrown.join() !== 'by a callback,by a listener') throw new Error(`thrown: ${thrown.join()}`);
}

/** Its promises tell in immediates. That they never come must not keep anybody else waiting. */
async function behindBluebird() {
  const Two = require('../../../compat/v2');
  const two = new Two([process.env.REDLOCK_URLS.split(',')[0]], { retryCount: 0 });
  two.lock('behind-bluebird', 100);
  await require('./behaviour').behaviours()['a lock is taken, extended and released']();
}

main(process.argv[2]).then(
  () => {},
  (error) => {
    console.error(error);
    real.setTimeout(() => real.exit(1));
    process.exit(1);
  },
);
