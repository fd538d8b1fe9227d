'use strict';

/** A process that waits for one lock, tells its parent when it has it, and gives it back when it is told to. */

const { once } = require('node:events');

const Redlock = require('../..');

async function main() {
  const { urls, name, options } = JSON.parse(process.argv[2]);
  const redlock = new Redlock(urls, options);
  const lock = await redlock.lock(name, 60_000);
  process.send('granted');
  await once(process, 'message');
  await lock.unlock();
  await redlock.quit();
  process.disconnect();
}

main();
