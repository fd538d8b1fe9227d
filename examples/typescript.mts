// Shows locks in TypeScript: `await using` releases at the end of the block, and errors say by their code what is to be done.
// Run it: node examples/run.js typescript

import { setTimeout as sleep } from 'node:timers/promises';

import Redlock, { LockError } from 'redlock-native';

const urls = (process.env.REDIS_URLS ?? 'redis://localhost:6379').split(',');
await using redlock = new Redlock(urls, { retryCount: 0 });

redlock.on('lost', (error) => console.error(`${error.resource} is lost: ${error.code}`));

async function renew(certificate: string): Promise<Date> {
  await using lock = await redlock.lock(`certificate:${certificate}`, 5000, { autoExtend: true });
  await sleep(100, undefined, { signal: lock.signal });
  return new Date();
}

function isHeld(error: unknown): boolean {
  return error instanceof LockError && error.code === 'ERR_REDLOCK_HELD';
}

const results = await Promise.allSettled([renew('example.com'), renew('example.com')]);
for (const result of results) {
  if (result.status === 'fulfilled') console.log(`renewed ${result.value instanceof Date}`);
  else if (isHeld(result.reason)) console.log('somebody else is renewing it');
  else throw result.reason;
}

// Null, and no error, if it is held.
const lock: Redlock.Lock | null = await redlock.tryLock('certificate:example.com', 5000);
console.log(`free again: ${lock !== null}`);
await lock?.unlock();
