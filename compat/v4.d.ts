// Of the package @types/bluebird.
import Bluebird = require('bluebird');

import Native = require('../index.js');
import Base = require('./bluebird-types');
import Types = require('./classic-types');

/** redlock 4: its names, arguments and defaults, over the engine of redlock-native. Times are in milliseconds. */
declare class Redlock extends Base.Classic<Redlock.Lock, Redlock.Name | readonly Redlock.Name[]> {
  scripts: Native.Scripts;

  lockWithOptions(
    resource: Redlock.Name | readonly Redlock.Name[],
    ttl: number,
    options: Redlock.CallOptions | null | undefined,
    callback?: Redlock.Callback<Redlock.Lock>,
  ): Bluebird<Redlock.Lock>;
  acquireWithOptions(
    resource: Redlock.Name | readonly Redlock.Name[],
    ttl: number,
    options: Redlock.CallOptions | null | undefined,
    callback?: Redlock.Callback<Redlock.Lock>,
  ): Bluebird<Redlock.Lock>;
  _lock(
    resource: Redlock.Name | readonly Redlock.Name[],
    value: string | null,
    ttl: number,
    options?: Redlock.CallOptions | null,
    callback?: Redlock.Callback<Redlock.Lock>,
  ): Bluebird<Redlock.Lock>;
  _lock(
    resource: Redlock.Name | readonly Redlock.Name[],
    value: string | null,
    ttl: number,
    callback?: Redlock.Callback<Redlock.Lock>,
  ): Bluebird<Redlock.Lock>;
  /** Quits the clients; resolves with their answers. */
  quit(callback?: Redlock.Callback<unknown[]>): Bluebird<unknown[]>;
}

declare namespace Redlock {
  class Lock extends Base.Lock<Redlock, string[]> {
    /** Rebuilds a lock from stored values. */
    constructor(
      redlock: Redlock,
      resource: Name | readonly Name[],
      value: string,
      expiration: number,
      attempts?: number,
      attemptsRemaining?: number,
    );
    attempts: number;
    attemptsRemaining: number;
  }

  class LockError extends Types.LockError {}

  type Name = Types.Name;
  type Client = Types.Client;
  type LockLike = Types.LockLike<string[]>;
  type Options = Types.Options;
  type CallOptions = Native.CallOptions;
  type Callback<T> = Types.Callback<T>;
  type UnlockCallback = Types.UnlockCallback;
}

export = Redlock;
