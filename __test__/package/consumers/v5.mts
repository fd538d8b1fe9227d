import Redlock, { ExecutionError, type Lock } from 'redlock-native/v5';

const redlock: Redlock = new Redlock(['memory://v5-module'], { retryCount: 0 });
const lock: Lock = await redlock.acquire(['a'], 1000);
const refused: unknown = await redlock.acquire(['a'], 1000).catch((error: unknown) => error);
if (!(refused instanceof ExecutionError)) throw refused;
await lock.release();
await redlock.quit();
console.log('released');
