import redislock, { createLock, type Lock, LockReleaseError } from 'redlock-native/redislock';
import { LockExtendError } from 'redlock-native/redislock/lib/errors';
import LockClass from 'redlock-native/redislock/lib/lock';

export const lock: Lock = createLock({ eval: () => 1 }, { timeout: 1000 });
export const locks: Lock[] = redislock.getAcquiredLocks();
export const same: boolean = lock instanceof LockClass && locks[0] === lock;
export const errors: Error[] = [new LockReleaseError('mine'), new LockExtendError('mine')];
