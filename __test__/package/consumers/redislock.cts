import redislock = require('redlock-native/redislock');
import LockClass = require('redlock-native/redislock/lib/lock');
import errors = require('redlock-native/redislock/lib/errors.js');

export const lock: redislock.Lock = redislock.createLock({ eval: () => 1 }, { timeout: 1000 });
export const same: boolean = lock instanceof LockClass && redislock.getAcquiredLocks()[0] === lock;
export const error: Error = new errors.LockExtendError('mine');
