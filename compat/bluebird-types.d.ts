/** What the types of redlock 1 to 4 have in common, whose promises are bluebird's. Nothing of it is there at run time. */

// Of the package @types/bluebird.
import Bluebird = require('bluebird');

import Types = require('./classic-types');

/** The class; its locks are `Held`, and `Resource` is what can be locked. */
export class Classic<Held extends Types.LockLike<unknown>, Resource = Types.Name> extends Types.Classic {
  lock(resource: Resource, ttl: number, callback?: Types.Callback<Held>): Bluebird<Held>;
  acquire(resource: Resource, ttl: number, callback?: Types.Callback<Held>): Bluebird<Held>;
  unlock(lock: LockLike<Held>, callback?: Types.UnlockCallback): Bluebird<void>;
  release(lock: LockLike<Held>, callback?: Types.UnlockCallback): Bluebird<void>;
  extend<L extends LockLike<Held>>(lock: L, ttl: number, callback?: Types.Callback<L>): Bluebird<L>;
  /** For bluebird's `using`. */
  disposer(
    resource: Resource,
    ttl: number,
    unlockErrorHandler?: (error: Error) => unknown,
  ): Bluebird.Disposer<Held>;
  _lock(
    resource: Resource,
    value: string | null,
    ttl: number,
    callback?: Types.Callback<Held>,
  ): Bluebird<Held>;
}

export type LockLike<Held extends Types.LockLike<unknown>> = Pick<Held, 'resource' | 'value' | 'expiration'>;

/** A lock of the class `Owner`. */
export class Lock<Owner, Resource = string> implements Types.LockLike<Resource> {
  protected constructor();
  redlock: Owner;
  resource: Resource;
  value: string;
  /** As `Date.now()` counts; 0 once it is unlocked. */
  expiration: number;
  unlock(callback?: Types.UnlockCallback): Bluebird<void>;
  extend(ttl: number, callback?: Types.Callback<this>): Bluebird<this>;
}
