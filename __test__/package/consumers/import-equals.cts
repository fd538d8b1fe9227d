import Redlock = require('redlock-native');

async function main(): Promise<void> {
  const options: Redlock.Options = { retryCount: 0 };
  const redlock: Redlock = new Redlock(['memory://a', 'memory://b', 'memory://c'], options);
  const lock: Redlock.Lock = await redlock.lock('invoice', 5000);
  const error: unknown = await redlock.lock('invoice', 5000).catch((reason: unknown) => reason);
  if (!(error instanceof Redlock.LockError)) throw error;
  await lock.unlock();
  await redlock.lock('invoice', 5000);
  console.log('released');
}

// @ts-expect-error: the types are there, and not any
export const refused: Redlock.Options = { retryCount: 'often' };

main();
