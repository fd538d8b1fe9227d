import type { Options } from 'redlock-native';
import Redlock, { Lock, LockError } from 'redlock-native';

const options: Options = { retryCount: 0 };
const redlock: Redlock = new Redlock(['memory://a', 'memory://b', 'memory://c'], options);
const lock: Lock = await redlock.lock('invoice', 5000);
if (!(lock instanceof Lock)) throw new TypeError('not a Lock');
const error: unknown = await redlock.lock('invoice', 5000).catch((reason: unknown) => reason);
if (!(error instanceof LockError)) throw error;
await lock.unlock();
await redlock.lock('invoice', 5000);
console.log('released');

// @ts-expect-error: the types are there, and not any
export const refused: Options = { retryCount: 'often' };
