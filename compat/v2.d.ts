import Base = require('./bluebird-types');
import Types = require('./classic-types');

/** redlock 2: its names, arguments and defaults, over the engine of redlock-native. Times are in milliseconds. */
declare class Redlock extends Base.Classic<Redlock.Lock> {}

declare namespace Redlock {
  class Lock extends Base.Lock<Redlock> {
    /** Rebuilds a lock from stored values. */
    constructor(redlock: Redlock, resource: Name, value: string, expiration: number);
  }

  class LockError extends Types.LockError {}

  type Name = Types.Name;
  type Client = Types.Client;
  type LockLike = Types.LockLike;
  type Options = Types.Options;
  type Callback<T> = Types.Callback<T>;
  type UnlockCallback = Types.UnlockCallback;
}

export = Redlock;
