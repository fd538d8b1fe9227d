/** Read by tsc alone (`npm run typecheck`): redlock-native/redislock in TypeScript. */

import { createClient } from 'redis-3';
import redislock, { type Lock, LockAcquisitionError, LockReleaseError } from 'redlock-native/redislock';
import { LockExtendError } from 'redlock-native/redislock/lib/errors';

import LockClass = require('redlock-native/redislock/lib/lock');

async function everything(): Promise<void> {
  redislock.setDefaults({ timeout: 5000, retries: null });
  const lock: Lock = redislock.createLock(createClient(), { timeout: '20000', retries: 3, delay: 100 });
  await lock.acquire('app:feature:lock');
  await lock.extend(5000, (error: Error | null) => error?.message);
  await lock
    .release()
    .catch(LockAcquisitionError, (error) => error.name)
    .catch(LockReleaseError, (error) => error.message);
  const held: Lock[] = redislock.getAcquiredLocks();
  const error: Error = new LockExtendError('mine');
  if (error instanceof LockReleaseError) throw error.cause;
  if (!(held[0] instanceof LockClass)) throw LockExtendError('mine');
}

export default everything;
