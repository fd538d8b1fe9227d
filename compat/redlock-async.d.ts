import Types = require('./classic-types');

/** redlock-async: its names, arguments and defaults, over the engine of redlock-native. Times are in milliseconds. */
declare class Redlock extends Types.Classic {
  lock(resource: Redlock.Name, ttl: number): Promise<Redlock.Lock>;
  acquire(resource: Redlock.Name, ttl: number): Promise<Redlock.Lock>;
  unlock(lock: Redlock.LockLike): Promise<void>;
  release(lock: Redlock.LockLike): Promise<void>;
  extend<L extends Redlock.LockLike>(lock: L, ttl: number): Promise<L>;
  /** Quits the clients; resolves with their answers. */
  quit(): Promise<unknown[]>;
  _lock(resource: Redlock.Name, value: string | null, ttl: number): Promise<Redlock.Lock>;
}

declare namespace Redlock {
  class Lock implements LockLike {
    /** Rebuilds a lock from stored values. */
    constructor(redlock: Redlock, resource: Name, value: string, expiration: number, attempts?: number);
    redlock: Redlock;
    resource: string;
    value: string;
    /** As `Date.now()` counts; 0 once it is unlocked. */
    expiration: number;
    attempts: number;
    unlock(): Promise<void>;
    extend(ttl: number): Promise<this>;
  }

  class LockError extends Types.LockError {}

  type Name = Types.Name;
  type Client = Types.Client;
  type LockLike = Types.LockLike;
  type Options = Types.Options;
}

export = Redlock;
