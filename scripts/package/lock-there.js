'use strict';

/**
 * Run where the packages are, by use-on-target.js in a Node.js for some target and by use-here.js: `lock-there.js <url>,…`, a
 * lock's life on these servers.
 */

const assert = require('node:assert/strict');

const Redlock = require('redlock-native');

async function main() {
  const urls = process.argv[2].split(',');
  const [one, other] = [0, 1].map(() => new Redlock(urls, { retryCount: 0 }));
  const lock = await one.lock('there', 10_000);
  await assert.rejects(other.lock('there', 10_000), { name: 'LockError' });
  await lock.extend(20_000);
  await lock.unlock();
  await (await other.lock('there', 10_000)).unlock();
  await Promise.all([one.quit(), other.quit()]);
  console.log(`${process.platform} ${process.arch}: held, refused, extended, released`);
}

main();
