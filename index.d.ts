import { EventEmitter } from 'node:events';

/**
 * Distributed locks on a quorum of Redis or Valkey servers: the API of redlock 4 with native
 * promises, over an engine in Rust.
 *
 * Every time is in milliseconds.
 *
 * @example
 * const redlock = new Redlock(['redis://a:6379', 'redis://b:6379', 'redis://c:6379']);
 * const lock = await redlock.lock('invoice:42', 5000);
 * try {
 *   await pay();
 * } finally {
 *   await lock.unlock();
 * }
 */
declare class Redlock extends EventEmitter {
  /**
   * @param instances the members of the quorum, at least one; an odd number makes sense
   * @throws {Error} `ERR_REDLOCK_INVALID_INSTANCES` if there are none
   * @throws {TypeError | RangeError} `ERR_REDLOCK_INVALID_INSTANCES` or `ERR_REDLOCK_INVALID_INSTANCE`,
   *   naming what can't be used; passwords are never shown
   */
  constructor(instances: readonly Redlock.Instance[], options?: Redlock.Options | null);

  /** The share of a ttl that is set aside for clocks that run apart. Read at every call. */
  driftFactor: number;
  /** Attempts after the first; -1 and Infinity are unlimited. Read at every call. */
  retryCount: number;
  /** The wait between two attempts, in ms. Read at every call. */
  retryDelay: number;
  /** By how much that wait is changed at random, either way, in ms. Read at every call. */
  retryJitter: number;

  /**
   * Takes a lock on a resource, or on all of several resources or none.
   *
   * @param resource the name or names, none of them twice; a name is the key on the servers
   * @param ttl for how long, in ms: a whole number of which 1 ms or more is left after the drift
   * @returns the lock, which is valid until its `expiration`; or, rejected, a {@link Redlock.LockError}
   *   (`ERR_REDLOCK_HELD`, `_UNAVAILABLE`, `_TOO_SLOW`, `_CLOSED`), or, where nothing was asked for because an
   *   argument can't be used, a `TypeError` or `RangeError` (`ERR_REDLOCK_INVALID_RESOURCE`, `_TTL`)
   */
  lock(
    resource: string | readonly string[],
    ttl: number,
    callback?: Redlock.Callback<Redlock.Lock>,
  ): Promise<Redlock.Lock>;
  lock(
    resource: string | readonly string[],
    ttl: number,
    options: Redlock.CallOptions | null | undefined,
    callback?: Redlock.Callback<Redlock.Lock>,
  ): Promise<Redlock.Lock>;

  /** The same as {@link Redlock.lock}. */
  acquire(
    resource: string | readonly string[],
    ttl: number,
    callback?: Redlock.Callback<Redlock.Lock>,
  ): Promise<Redlock.Lock>;
  acquire(
    resource: string | readonly string[],
    ttl: number,
    options: Redlock.CallOptions | null | undefined,
    callback?: Redlock.Callback<Redlock.Lock>,
  ): Promise<Redlock.Lock>;

  /**
   * Releases a lock on every instance; its `expiration` is 0 from the call on.
   *
   * @param lock one of ours, or an object with a lock's `resource`, `value` and `expiration`
   * @returns nothing; or, rejected, a {@link Redlock.LockError} if a majority did not release it
   *   (`ERR_REDLOCK_NOT_HELD`, `_UNAVAILABLE`, `_CLOSED`), or a `TypeError` (`ERR_REDLOCK_INVALID_LOCK`)
   */
  unlock(lock: Redlock.LockLike, callback?: Redlock.UnlockCallback): Promise<void>;

  /** The same as {@link Redlock.unlock}. */
  release(lock: Redlock.LockLike, callback?: Redlock.UnlockCallback): Promise<void>;

  /**
   * Lets a lock that is still valid live for `ttl` from now. A lock that is gone is not taken anew.
   *
   * @param ttl in ms, as in {@link Redlock.lock}; servers never shorten a key's life
   * @returns the same object, with a new `expiration`; or, rejected, a {@link Redlock.LockError}
   *   (`ERR_REDLOCK_EXPIRED`, `_NOT_HELD`, `_HELD`, `_UNAVAILABLE`, `_CLOSED`), after which the lock's
   *   `expiration` says for how long it may still be believed in, 0 = not at all
   */
  extend<L extends Redlock.LockLike>(lock: L, ttl: number, callback?: Redlock.Callback<L>): Promise<L>;
  extend<L extends Redlock.LockLike>(
    lock: L,
    ttl: number,
    options: Redlock.CallOptions | null | undefined,
    callback?: Redlock.Callback<L>,
  ): Promise<L>;

  /**
   * Lets what is in flight end, then closes the connections; whatever is asked for afterwards is
   * refused with `ERR_REDLOCK_CLOSED`. Locks that are held stay until their ttl ends.
   *
   * @returns `'OK'` for each instance
   */
  quit(callback?: Redlock.Callback<string[]>): Promise<string[]>;

  /**
   * An instance failed to carry out one command; contention is no failure. Nothing has to listen.
   */
  on(event: 'clientError', listener: Redlock.ClientErrorListener): this;
  on(event: string | symbol, listener: Redlock.AnyListener): this;
  once(event: 'clientError', listener: Redlock.ClientErrorListener): this;
  once(event: string | symbol, listener: Redlock.AnyListener): this;
  addListener(event: 'clientError', listener: Redlock.ClientErrorListener): this;
  addListener(event: string | symbol, listener: Redlock.AnyListener): this;
  prependListener(event: 'clientError', listener: Redlock.ClientErrorListener): this;
  prependListener(event: string | symbol, listener: Redlock.AnyListener): this;
  prependOnceListener(event: 'clientError', listener: Redlock.ClientErrorListener): this;
  prependOnceListener(event: string | symbol, listener: Redlock.AnyListener): this;
  off(event: 'clientError', listener: Redlock.ClientErrorListener): this;
  off(event: string | symbol, listener: Redlock.AnyListener): this;
  removeListener(event: 'clientError', listener: Redlock.ClientErrorListener): this;
  removeListener(event: string | symbol, listener: Redlock.AnyListener): this;
  emit(event: 'clientError', error: Redlock.InstanceError, instance: Redlock.InstanceInfo): boolean;
  emit(event: string | symbol, ...args: Parameters<Redlock.AnyListener>): boolean;
}

import Self = Redlock;

/** The named exports; in JavaScript they are statics of the class. */
declare namespace Redlock {
  export {
    type AnyListener,
    type Callback,
    type CallOptions,
    type ClientErrorListener,
    type Instance,
    InstanceError,
    type InstanceErrorCode,
    type InstanceInfo,
    Lock,
    LockError,
    type LockErrorCode,
    type LockLike,
    type Operation,
    type Options,
    Self as default,
    Self as Redlock,
    type ServerConfig,
    type UnlockCallback,
    type Vote,
  };

  /**
   * A lock. It has no hidden state that matters: what is needed to release it, in this process or
   * another, are its `resource` and its `value`.
   */
  class Lock implements LockLike {
    /**
     * Rebuilds a lock from stored values.
     *
     * @param expiration until when it is valid, as `Date.now()` counts
     */
    constructor(
      redlock: Redlock,
      resource: string | readonly string[],
      value: string,
      expiration: number,
      attempts?: number,
      attemptsRemaining?: number,
    );

    /** The names of what is locked. */
    resource: string[];
    /** What is stored under them: 32 hexadecimal digits, random. Who knows it may unlock. */
    value: string;
    /** Until when it is valid, as `Date.now()` counts; 0 once it was unlocked or lost. */
    expiration: number;
    /** How many attempts it took. */
    attempts: number;
    /** How many there could have been more: `retryCount - attempts`. */
    attemptsRemaining: number;
    /** Whose it is. Not enumerable. */
    get redlock(): Redlock;
    set redlock(redlock: Redlock);

    /** {@link Redlock.unlock} of this lock. */
    unlock(callback?: UnlockCallback): Promise<void>;
    /** {@link Redlock.unlock} of this lock. */
    release(callback?: UnlockCallback): Promise<void>;
    /** {@link Redlock.extend} of this lock. */
    extend(ttl: number, callback?: Callback<this>): Promise<this>;
    extend(ttl: number, options: CallOptions | null | undefined, callback?: Callback<this>): Promise<this>;

    toJSON(): {
      resource: string[];
      value: string;
      expiration: number;
      attempts: number;
      attemptsRemaining: number;
    };
  }

  /** A lock could not be taken, extended or released. `cause` says why, in one sentence. */
  class LockError extends Error {
    constructor(message?: string, attempts?: number);
    name: 'LockError';
    /** How many attempts were made; 0 if nothing was sent. */
    attempts: number;
    /** Why, for programs. */
    code: LockErrorCode;
    /** What was to be locked, extended or unlocked. */
    resource: string[];
    /** What each instance said in the last attempt, in their order; empty if none was asked. */
    votes: Vote[];
    /** Why, for people: what happened, to which resource, on which instance, what to do. */
    cause?: Error;
  }

  /** One instance failed to carry out one command. */
  class InstanceError extends Error {
    private constructor();
    name: 'InstanceError';
    code: InstanceErrorCode;
    /** The first word of the server's answer, as `NOPERM`, if it was one. */
    reply: string | undefined;
    operation: Operation;
    /** Its place in the constructor's array. */
    instance: number;
    /** Without credentials. */
    address: string;
  }

  type LockErrorCode =
    /** Somebody else holds a resource. */
    | 'ERR_REDLOCK_HELD'
    /** Too few instances answered. */
    | 'ERR_REDLOCK_UNAVAILABLE'
    /** It was granted so late that nothing was left of the ttl. */
    | 'ERR_REDLOCK_TOO_SLOW'
    /** Its validity was over before it was extended. */
    | 'ERR_REDLOCK_EXPIRED'
    /** A majority says that it is gone. */
    | 'ERR_REDLOCK_NOT_HELD'
    /** This Redlock was closed with `quit()`. */
    | 'ERR_REDLOCK_CLOSED'
    /** A defect of this package. */
    | 'ERR_REDLOCK_INTERNAL'
    | 'ERR_REDLOCK_INVALID';

  type InstanceErrorCode =
    /** No answer within the deadline. */
    | 'ERR_REDLOCK_SILENT'
    /** There is no connection. */
    | 'ERR_REDLOCK_UNREACHABLE'
    /** The connection was lost before the answer came. */
    | 'ERR_REDLOCK_LOST'
    /** The server answered with an error; `reply` says which. */
    | 'ERR_REDLOCK_REFUSED'
    /** Too many requests wait for this instance already. */
    | 'ERR_REDLOCK_OVERLOADED'
    /** The server answered what no Redis would. */
    | 'ERR_REDLOCK_UNEXPECTED'
    | 'ERR_REDLOCK_CLOSED'
    | 'ERR_REDLOCK_DROPPED';

  type Operation = 'lock' | 'extend' | 'unlock';

  interface Vote {
    /** The instance's, without credentials. */
    address: string;
    /** `pending`: it had not answered when the outcome was certain. */
    vote: 'granted' | 'held' | 'failed' | 'pending';
    /** Why it failed. */
    error?: InstanceError;
  }

  /** What it takes to unlock or extend: a {@link Lock}, or an object rebuilt from stored values. */
  interface LockLike {
    resource: string | readonly string[];
    value: string;
    expiration: number;
  }

  /**
   * One member of the quorum: `redis://[user[:password]@]host[:port][/db]` or the same with
   * `valkey://` (query: `keyPrefix`, `connectTimeout`, `clientName`), `memory://name` (in this
   * process: for tests and demos, never a distributed lock), or {@link ServerConfig}.
   */
  type Instance = string | URL | ServerConfig;

  interface ServerConfig {
    /** Default 127.0.0.1. */
    host?: string | null;
    /** Default 6379. */
    port?: number | string | null;
    username?: string | null;
    password?: string | null;
    /** Default 0. */
    db?: number | string | null;
    /** Stands before every key on this server. */
    keyPrefix?: string | null;
    /** What `CLIENT LIST` shows on the server. */
    clientName?: string | null;
    /** How long one dial may take, in ms. */
    connectTimeout?: number | string | null;
  }

  /** The options of one call; the Redlock's own apply where there are none. */
  interface CallOptions {
    /** The share of a ttl that is set aside for clocks that run apart. Default 0.01. */
    driftFactor?: number;
    /** Attempts after the first; -1 and Infinity are unlimited. Default 10. */
    retryCount?: number;
    /** The wait between two attempts, in ms. Default 200. */
    retryDelay?: number;
    /** By how much that wait is changed at random, either way, in ms. Default 100. */
    retryJitter?: number;
  }

  interface Options extends CallOptions {
    /** How long an instance may take for its vote: this share of the ttl … Default 0.1. */
    deadlineShare?: number;
    /** … but not less than this, in ms … Default 100. */
    deadlineFloor?: number;
    /** … and not more than this, in ms. Default 1000. */
    deadlineCeiling?: number;
    /** How long an instance may take to unlock, in ms. Default 1000. */
    releaseDeadline?: number;
  }

  interface InstanceInfo {
    /** Its place in the constructor's array. */
    index: number;
    /** Without credentials. */
    address: string;
  }

  type ClientErrorListener = (error: InstanceError, instance: InstanceInfo) => void;

  // biome-ignore lint/suspicious/noExplicitAny: as EventEmitter declares them
  type AnyListener = (...args: any[]) => void;

  /** Is given the error, or null and the result. What it throws is an uncaught exception. */
  type Callback<T> = (error: LockError | TypeError | RangeError | null, result?: T) => void;

  /** Is given the error or null. What it throws is an uncaught exception. */
  type UnlockCallback = (error: LockError | TypeError | RangeError | null) => void;
}

export = Redlock;
