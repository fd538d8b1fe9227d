/** Read by tsc alone (`npm run typecheck`): what is written for redlock 5 compiles with redlock-native/v5. */

import Ioredis from 'ioredis';
import { createClient } from 'redis-5';
import Redlock, {
  ExecutionError,
  type ExecutionResult,
  type ExecutionStats,
  Lock,
  type RedlockAbortSignal,
  ResourceLockedError,
  type Settings,
} from 'redlock-native/v5';

const redis = new Ioredis();
const redlock: Redlock = new Redlock(
  new Set([redis]),
  { driftFactor: 0.01, retryCount: 10, retryDelay: 200, retryJitter: 200, automaticExtensionThreshold: 500 },
  { acquireScript: (script: string) => script, extendScript: 'text' },
);

async function everything(): Promise<void> {
  let lock: Lock = await redlock.acquire(['a'], 5000);
  lock = await redlock.acquire(['a'], 5000, { retryCount: 0 });
  lock = await lock.extend(5000);
  lock = await redlock.extend(lock, 5000, { retryCount: 1 });
  const { attempts }: ExecutionResult = await lock.release();
  await redlock.release(lock, { retryCount: 1 });
  const stats: ExecutionStats = await attempts[0];
  for (const client of stats.votesFor) client.disconnect();
  const error: Error | undefined = stats.votesAgainst.get(redis);
  const settings: Settings = redlock.settings;
  const host: string = [...redlock.clients][0].options.host;
  const hash: string = redlock.scripts.releaseScript.hash;
  const rebuilt: Lock = new Lock(redlock, ['a'], 'value', [], 1);

  const result: number = await redlock.using(['a', 'b'], 5000, async (signal) => {
    if (signal.aborted) throw signal.error;
    return settings.retryCount;
  });
  const text: string = await redlock.using(
    ['a'],
    5000,
    { retryCount: 5 },
    async (signal: RedlockAbortSignal) => {
      return `${signal.error?.message} ${result} ${host} ${hash} ${error} ${rebuilt}`;
    },
  );

  redlock.on('error', (failure) => {
    if (failure instanceof ResourceLockedError) return;
    if (failure instanceof ExecutionError) throw failure.attempts;
  });
  await redlock.quit();
  throw new Error(text);
}

export const redlocks: Redlock[] = [
  redlock,
  new Redlock(['redis://h', createClient(), { host: 'h' }], { connections: 'bridge' }),
];
export default everything;
