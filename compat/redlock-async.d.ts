import { EventEmitter } from 'node:events';

import Native = require('../index.js');

/** redlock-async: its names, arguments and defaults, over the engine of redlock-native. Times are in milliseconds. */
declare class Redlock extends EventEmitter {
  /** @param clients one for each member of the quorum, or what else redlock-native takes for one */
  constructor(clients: readonly Redlock.Client[], options?: Redlock.Options | null);

  driftFactor: number;
  retryCount: number;
  retryDelay: number;
  retryJitter: number;
  /** Those that were passed; of what isn't a client, the address. */
  servers: Redlock.Client[];
  lockScript: string;
  unlockScript: string;
  extendScript: string;
  /** How each member of the quorum is reached. */
  get connections(): Native.Connection[];

  lock(resource: Redlock.Name, ttl: number): Promise<Redlock.Lock>;
  acquire(resource: Redlock.Name, ttl: number): Promise<Redlock.Lock>;
  unlock(lock: Redlock.LockLike): Promise<void>;
  release(lock: Redlock.LockLike): Promise<void>;
  extend<L extends Redlock.LockLike>(lock: L, ttl: number): Promise<L>;
  /** Quits the clients; resolves with their answers. */
  quit(): Promise<unknown[]>;
  _lock(resource: Redlock.Name, value: string | null, ttl: number): Promise<Redlock.Lock>;
  /** Overridden, it gives the values of locks: one for each attempt. */
  _random(): string;
}

declare namespace Redlock {
  class Lock {
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

  class LockError extends Native.LockError {}

  /** What clients make a key of. */
  type Name = string | number | bigint | URL | Uint8Array | { toHexString(): string };
  type Client = Native.Instance;
  type LockLike = Pick<Lock, 'resource' | 'value' | 'expiration'>;
  type Options = Native.Options;
}

export = Redlock;
