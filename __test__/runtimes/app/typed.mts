import { once } from 'node:events';

import { Redis } from 'ioredis';
import Redlock, { type InstanceError, type Lock, LockError, type Options } from 'redlock-native';
import V4 from 'redlock-native/v4';
import V5, { type Lock as Lock5 } from 'redlock-native/v5';

const { SMOKE_UP = '', SMOKE_DOWN = '' } = process.env;
const up: string[] = SMOKE_UP.split(' ');
const options: Options = { retryCount: 0 };

const redlock: Redlock = new Redlock([...up.slice(1), SMOKE_DOWN], options);
const told: Promise<InstanceError[]> = once(redlock, 'clientError') as Promise<InstanceError[]>;
const lock: Lock = await redlock.lock('typed', 10_000);
const refused: unknown = await redlock.lock('typed', 10_000).catch((error: unknown) => error);
if (!(refused instanceof LockError) || refused.code !== 'ERR_REDLOCK_HELD') throw refused;
const [failed] = await told;
if (failed?.code !== 'ERR_REDLOCK_UNREACHABLE') throw failed;
await lock.unlock();
const count: number = await redlock.using(['a', 'b'], 10_000, (_signal, { resource }) => resource.length);
if (count !== 2) throw new Error(`${count} resources`);
await redlock.quit();

const four: V4 = new V4(
  up.map((url) => new Redis(url)),
  options,
);
const five: V5 = new V5(
  up.map((url) => new Redis(url)),
  { retryCount: 0 },
);
const lock5: Lock5 = await five.acquire(['typed'], 10_000);
await four.lock('typed', 10_000).catch(V4.LockError, (error: V4.LockError) => error.attempts);
await lock5.release();
await Promise.all([four.quit(), five.quit()]);

console.log('TypeScript: passed');
