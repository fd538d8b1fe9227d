// Of the package @types/bluebird.
import Bluebird = require('bluebird');

import { EventEmitter } from 'node:events';

import Native = require('../index.js');

/** redlock 3: its names, arguments and defaults, over the engine of redlock-native. Times are in milliseconds. */
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

  lock(
    resource: Redlock.Name,
    ttl: number,
    callback?: Redlock.Callback<Redlock.Lock>,
  ): Bluebird<Redlock.Lock>;
  acquire(
    resource: Redlock.Name,
    ttl: number,
    callback?: Redlock.Callback<Redlock.Lock>,
  ): Bluebird<Redlock.Lock>;
  unlock(lock: Redlock.LockLike, callback?: Redlock.UnlockCallback): Bluebird<void>;
  release(lock: Redlock.LockLike, callback?: Redlock.UnlockCallback): Bluebird<void>;
  extend<L extends Redlock.LockLike>(lock: L, ttl: number, callback?: Redlock.Callback<L>): Bluebird<L>;
  /** For bluebird's `using`. */
  disposer(
    resource: Redlock.Name,
    ttl: number,
    unlockErrorHandler?: (error: Error) => unknown,
  ): Bluebird.Disposer<Redlock.Lock>;
  /** Quits the clients; resolves with their answers. */
  quit(callback?: Redlock.Callback<unknown[]>): Bluebird<unknown[]>;
  _lock(
    resource: Redlock.Name,
    value: string | null,
    ttl: number,
    callback?: Redlock.Callback<Redlock.Lock>,
  ): Bluebird<Redlock.Lock>;
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
    unlock(callback?: Redlock.UnlockCallback): Bluebird<void>;
    extend(ttl: number, callback?: Callback<this>): Bluebird<this>;
  }

  class LockError extends Native.LockError {}

  /** What clients make a key of. */
  type Name = string | number | bigint | URL | Uint8Array | { toHexString(): string };
  type Client = Native.Instance;
  type LockLike = Pick<Lock, 'resource' | 'value' | 'expiration'>;
  type Options = Native.Options;
  type Callback<T> = (error: LockError | null, result: T) => void;
  type UnlockCallback = (error?: LockError | null) => void;
}

export = Redlock;
