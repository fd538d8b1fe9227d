// Of the package @types/bluebird.
import Bluebird = require('bluebird');

import Base = require('./bluebird-types');
import Types = require('./classic-types');

/** redlock 1: its names, arguments and defaults, over the engine of redlock-native. Times are in milliseconds. */
declare class Redlock extends Base.Classic<Redlock.Lock> {
  /** For bluebird's `using`. */
  disposer(resource: Redlock.Name, ttl: number): Bluebird.Disposer<Redlock.Lock>;
}

declare namespace Redlock {
  interface Lock extends Base.Lock<Redlock> {}

  class LockError extends Types.LockError {}

  type Name = Types.Name;
  type Client = Types.Client;
  type LockLike = Types.LockLike;
  type Options = Types.Options;
  type Callback<T> = Types.Callback<T>;
  type UnlockCallback = Types.UnlockCallback;
}

export = Redlock;
