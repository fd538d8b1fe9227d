import Native = require('../index.js');
import Types = require('./classic-types');

/** redlock 0.2: its names, arguments and defaults, over the engine of redlock-native. Times are in milliseconds. */
declare class Redlock {
  /** @param clients one for each member of the quorum, or what else redlock-native takes for one */
  constructor(options: Redlock.Options | null | undefined, ...clients: Redlock.Client[]);

  driftFactor: number;
  retryCount: number;
  retryDelay: number;
  /** Those that were passed; of what isn't a client, the address. */
  servers: Redlock.Client[];
  /** How each member of the quorum is reached. */
  get connections(): Native.Connection[];

  lock(resource: Redlock.Name, ttl: number, callback: Redlock.Callback): void;
  /** Extends what has this value. */
  lock(resource: Redlock.Name, value: string, ttl: number, callback: Redlock.Callback): void;
  unlock(lock: Redlock.LockLike, callback?: () => void): void;
  extend(lock: Redlock.LockLike, ttl: number, callback: Redlock.Callback): void;
  /** Overridden, it gives the values of locks: one for each attempt. */
  _random(): string;
}

declare namespace Redlock {
  interface Lock extends Types.LockLike {
    redlock: Redlock;
    unlock(callback?: () => void): void;
    extend(ttl: number, callback: Callback): void;
  }

  type Name = Types.Name;
  type Client = Types.Client;
  type LockLike = Types.LockLike;
  type Options = Types.Options;
  type Callback = (error: Types.LockError | null, lock: Lock) => void;
}

export = Redlock;
