import type { Callback, Options } from 'redlock-native';
import Redlock, { Lock, LockError } from 'redlock-native';

async function main(): Promise<void> {
  const options: Options = { retryCount: 0 };
  const redlock: Redlock = new Redlock(['memory://a', 'memory://b', 'memory://c'], options);
  const lock: Lock = await redlock.lock('invoice', 5000);
  if (!(lock instanceof Lock)) throw new TypeError('not a Lock');
  const error: unknown = await redlock.lock('invoice', 5000).catch((reason: unknown) => reason);
  if (!(error instanceof LockError)) throw error;
  await lock.unlock();
  const callback: Callback<Lock> = (failure) => console.log(failure ?? 'released');
  redlock.lock('invoice', 5000, callback);
}

// @ts-expect-error: the types are there, and not any
export const refused: Options = { retryCount: 'often' };

main();
