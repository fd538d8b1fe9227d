import Async, { LockError } from 'redlock-native/redlock-async';
import V4, { Lock, type Options } from 'redlock-native/v4';

const options: Options = { retryCount: 0 };
const redlock: V4 = new V4(['memory://a'], options);
const lock: Lock = await redlock.lock(['invoice', 'order'], 5000);
if (!(lock instanceof Lock)) throw new TypeError('not a Lock');
await lock.unlock();
const error: unknown = await new Async(['memory://b']).lock('', 5000).catch((reason: unknown) => reason);
if (!(error instanceof LockError)) throw error;
console.log('released');
