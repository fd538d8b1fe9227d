import type { CompatibleRedisClient } from '../../../index.js';

import Lock = require('./lock');

export { LockAcquisitionError, LockExtendError, LockReleaseError, type RedislockError } from './errors';
export type { Lock };
export type LockOptions = Lock.Options;

/** A lock that isn't held yet. */
export function createLock(client: CompatibleRedisClient, options?: Lock.Options | null): Lock;

/** What new locks begin with, from now on. */
export function setDefaults(options?: Lock.Options | null): void;

/** The locks that are held by this module. */
export function getAcquiredLocks(): Lock[];
