import { EventEmitter } from 'node:events';

/**
 * Distributed locks on a quorum of Redis or Valkey servers: the API of redlock 4 with native
 * promises, over an engine in Rust.
 *
 * Every time is in milliseconds, but for those in {@link Redlock.Stats}, which are in seconds.
 *
 * @example
 * const redlock = new Redlock(['redis://a:6379', 'redis://b:6379', 'redis://c:6379']);
 * await redlock.using('invoice:42', 10_000, async (signal) => {
 *   await pay({ signal });
 * });
 */
declare class Redlock extends EventEmitter {
  /**
   * Begins to connect. An unknown or mistyped option is ignored, with one process warning
   * (`REDLOCK_OPTIONS`); a server that is listed twice gets another (`REDLOCK_TWINS`): each name votes for itself,
   * unless all are one local server.
   *
   * @param instances the members of the quorum, at least one; an odd number makes sense
   * @throws {Error} `ERR_REDLOCK_INVALID_INSTANCES` if there are none
   * @throws {TypeError | RangeError} `ERR_REDLOCK_INVALID_INSTANCES` or `ERR_REDLOCK_INVALID_INSTANCE`,
   *   naming what can't be used; passwords and keys are never shown
   * @throws {Error} naming the `tls` option whose text is no certificate or key
   * @throws {TypeError | RangeError} `ERR_REDLOCK_INVALID_OPTIONS` if a script option returns no string, or
   *   if there are scripts and `memory://` instances, which can't run them
   */
  constructor(instances: readonly Redlock.Instance[], options?: Redlock.Options | null);
  /**
   * The form of redlock 0.x: the options first, then the members of the quorum, the first not by configuration.
   *
   * @deprecated use `new Redlock(instances, options)`
   */
  constructor(
    options: Redlock.Options | null | undefined,
    first: string | URL | Redlock.CompatibleRedisClient,
    ...others: Redlock.Instance[]
  );

  /**
   * What the methods return promises of, for all Redlocks: native promises by default. Set it to
   * bluebird to get bluebird's; the types go on saying `Promise`.
   *
   * @deprecated use native promises, and {@link Redlock.using} or `await using` in place of bluebird's `using`
   */
  static Promise: Redlock.PromiseLibrary;

  /** The share of a ttl that is set aside for clocks that run apart. Read at every call. */
  driftFactor: number;
  /** Attempts after the first; -1 and Infinity are without end, also while servers are down. Read at every call. */
  retryCount: number;
  /** The wait between two attempts, in ms. Read at every call. A function that was given is shown as it is. */
  get retryDelay(): number;
  set retryDelay(delay: number | Redlock.RetryDelay);
  /** By how much that wait is changed at random, either way, in ms. Read at every call. */
  retryJitter: number;

  /**
   * The text that {@link Redlock.scripts} began with.
   *
   * @deprecated use `scripts.lockScript.value`, which is the text in use and can be set
   */
  readonly lockScript: string;
  /**
   * The text that {@link Redlock.scripts} began with.
   *
   * @deprecated use `scripts.unlockScript.value`, which is the text in use and can be set
   */
  readonly unlockScript: string;
  /**
   * The text that {@link Redlock.scripts} began with.
   *
   * @deprecated use `scripts.extendScript.value`, which is the text in use and can be set
   */
  readonly extendScript: string;
  /** The Lua scripts in use. Each `value` is read at every call. */
  scripts: Redlock.Scripts;

  /** The members of the quorum: clients as they were passed, the others by address, without credentials. */
  get servers(): (string | Redlock.CompatibleRedisClient)[];
  /** Others from the next call on. */
  set servers(servers: readonly Redlock.Instance[]);

  /**
   * How each instance is reached, in their order: a new array of frozen objects. It is kept up until
   * {@link Redlock.quit}; the `connection` event tells each change.
   */
  get connections(): Redlock.Connection[];

  /**
   * What has come of everything so far, as counters and histograms that the engine keeps anyway: since these instances
   * are those of this Redlock, and never set back. It asks the engine's own thread, so that its numbers are of one moment.
   *
   * @returns plain data, which may be changed; or, rejected, a {@link Redlock.LockError} (`ERR_REDLOCK_CLOSED`)
   */
  stats(): Promise<Redlock.Stats>;

  /**
   * Takes a lock on a resource, or on all of several resources or none.
   *
   * @param resource the name or names, none of them twice; a name is the key on the servers
   * @param ttl for how long, in ms: a whole number of which 1 ms or more is left after the drift
   * @param options of this call. One that is unknown, as one that is misspelt, can't be used
   * @returns the lock, which is valid until its `expiration`, or null with `tryLock`; or, rejected, a
   *   {@link Redlock.LockError}: `ERR_REDLOCK_HELD`, `ERR_REDLOCK_UNAVAILABLE`, `ERR_REDLOCK_TOO_SLOW`,
   *   `ERR_REDLOCK_TIMEOUT` (with `maxWait`) or `ERR_REDLOCK_CLOSED`; the signal's own reason, if `signal` has given it up; or,
   *   where nothing was asked for because an argument can't be used, a `TypeError` or `RangeError`:
   *   `ERR_REDLOCK_INVALID_RESOURCE`, `ERR_REDLOCK_INVALID_TTL` or `ERR_REDLOCK_INVALID_OPTIONS`
   */
  lock<Tries extends boolean = false>(
    resource: string | readonly string[],
    ttl: number,
    options?: Redlock.AcquireOptions<Tries> | null,
    callback?: Redlock.Callback<Redlock.Acquired<Tries>>,
  ): Promise<Redlock.Acquired<Tries>>;
  lock(
    resource: string | readonly string[],
    ttl: number,
    callback?: Redlock.Callback<Redlock.Lock>,
  ): Promise<Redlock.Lock>;

  /**
   * {@link Redlock.lock} in one attempt: null if it is held by another, and rejected if too few instances answer.
   *
   * @param resource the name or names, as in {@link Redlock.lock}
   * @param ttl for how long, in ms
   * @param options of this call, as in {@link Redlock.lock}
   * @returns the lock, or null; rejected as {@link Redlock.lock}, but never with `ERR_REDLOCK_HELD`
   *
   * @example
   * const lock = await redlock.tryLock('report:7', 10_000);
   * if (!lock) return; // somebody else writes it
   */
  tryLock(
    resource: string | readonly string[],
    ttl: number,
    options?: Redlock.TryLockOptions | null,
    callback?: Redlock.Callback<Redlock.Lock | null>,
  ): Promise<Redlock.Lock | null>;
  tryLock(
    resource: string | readonly string[],
    ttl: number,
    callback?: Redlock.Callback<Redlock.Lock | null>,
  ): Promise<Redlock.Lock | null>;

  /** @deprecated the same as {@link Redlock.lock} */
  acquire<Tries extends boolean = false>(
    resource: string | readonly string[],
    ttl: number,
    options?: Redlock.AcquireOptions<Tries> | null,
    callback?: Redlock.Callback<Redlock.Acquired<Tries>>,
  ): Promise<Redlock.Acquired<Tries>>;
  /** @deprecated the same as {@link Redlock.lock} */
  acquire(
    resource: string | readonly string[],
    ttl: number,
    callback?: Redlock.Callback<Redlock.Lock>,
  ): Promise<Redlock.Lock>;

  /**
   * As {@link Redlock.lock}, but an option that is unknown is warned of, and ignored.
   *
   * @deprecated use {@link Redlock.lock}, which takes options too
   */
  lockWithOptions<Tries extends boolean = false>(
    resource: string | readonly string[],
    ttl: number,
    options?: Redlock.AcquireOptions<Tries> | null,
    callback?: Redlock.Callback<Redlock.Acquired<Tries>>,
  ): Promise<Redlock.Acquired<Tries>>;
  /** @deprecated use {@link Redlock.lock} */
  lockWithOptions(
    resource: string | readonly string[],
    ttl: number,
    callback?: Redlock.Callback<Redlock.Lock>,
  ): Promise<Redlock.Lock>;

  /** @deprecated the same as {@link Redlock.lockWithOptions}: use {@link Redlock.lock} */
  acquireWithOptions<Tries extends boolean = false>(
    resource: string | readonly string[],
    ttl: number,
    options?: Redlock.AcquireOptions<Tries> | null,
    callback?: Redlock.Callback<Redlock.Acquired<Tries>>,
  ): Promise<Redlock.Acquired<Tries>>;
  /** @deprecated the same as {@link Redlock.lockWithOptions}: use {@link Redlock.lock} */
  acquireWithOptions(
    resource: string | readonly string[],
    ttl: number,
    callback?: Redlock.Callback<Redlock.Lock>,
  ): Promise<Redlock.Lock>;

  /**
   * A lock for bluebird's `using`, which unlocks it when its function has ended.
   *
   * @deprecated use {@link Redlock.using} or `await using`, which extend it, too, or need no library
   *
   * The promises with disposers are those of `Redlock.Promise` if it has them, else of the bluebird
   * that the app has installed; `using` must come from the same copy of bluebird.
   *
   * @param unlockErrorHandler is told why the lock could not be unlocked; without it, nobody is
   * @throws {Error} `ERR_REDLOCK_NO_DISPOSERS` at once if there is no bluebird
   *
   * @example
   * const { using } = require('bluebird');
   * await using(redlock.disposer('invoice:42', 5000), (lock: Redlock.Lock) => pay());
   */
  disposer(
    resource: string | readonly string[],
    ttl: number,
    unlockErrorHandler?: (error: Error) => unknown,
  ): Redlock.Disposer<Redlock.Lock>;

  /**
   * {@link Redlock.lock} and {@link Redlock.extend} in one, as redlock 4 has it inside.
   *
   * @deprecated use {@link Redlock.lock}, or {@link Redlock.extend} with the lock
   *
   * @param value null to lock; else the value of a lock that somebody has, which is extended if the
   *   servers still have it. The result is then another `Lock`
   */
  _lock(
    resource: string | readonly string[],
    value: string | null | undefined,
    ttl: number,
    callback?: Redlock.Callback<Redlock.Lock>,
  ): Promise<Redlock.Lock>;
  /** @deprecated use {@link Redlock.lock}, or {@link Redlock.extend} with the lock */
  _lock(
    resource: string | readonly string[],
    value: string | null | undefined,
    ttl: number,
    options: Redlock.CallOptions | null | undefined,
    callback?: Redlock.Callback<Redlock.Lock>,
  ): Promise<Redlock.Lock>;

  /**
   * Overridden, on an object or in a subclass, it gives the values of locks: it is called for each attempt. The
   * engine's own are like its: 32 hexadecimal digits, random. A value that it gave before is refused, as held, with
   * nothing sent, for as long as this Redlock may hold it for one of the resources: its ttl at most.
   */
  _random(): string;

  /**
   * Releases a lock on every instance; its `expiration` is 0 from the call on.
   *
   * @param lock one of ours, or an object with a lock's `resource`, `value` and `expiration`
   * @returns nothing; or, rejected, a {@link Redlock.LockError} if a majority did not release it
   *   (`ERR_REDLOCK_NOT_HELD`, `ERR_REDLOCK_UNAVAILABLE`, `ERR_REDLOCK_CLOSED`), or a `TypeError`
   *   (`ERR_REDLOCK_INVALID_LOCK`)
   */
  unlock(lock: Redlock.LockLike, callback?: Redlock.UnlockCallback): Promise<void>;

  /** @deprecated the same as {@link Redlock.unlock} */
  release(lock: Redlock.LockLike, callback?: Redlock.UnlockCallback): Promise<void>;

  /**
   * Lets a lock that is still valid live for `ttl` from now. A lock that is gone is not taken anew.
   *
   * @param ttl in ms, as in {@link Redlock.lock}; servers never shorten a key's life
   * @returns the same object, with a new `expiration`; or, rejected, a {@link Redlock.LockError}
   *   (`ERR_REDLOCK_EXPIRED`, `ERR_REDLOCK_NOT_HELD`, `ERR_REDLOCK_HELD`, `ERR_REDLOCK_UNAVAILABLE`,
   *   `ERR_REDLOCK_CLOSED`), after which the lock's `expiration` says until when it may still be believed in, 0 = not at all;
   *   or a `TypeError` or `RangeError` (`ERR_REDLOCK_INVALID_LOCK`, `ERR_REDLOCK_INVALID_TTL`, `ERR_REDLOCK_INVALID_OPTIONS`)
   */
  extend<L extends Redlock.LockLike>(lock: L, ttl: number, callback?: Redlock.Callback<L>): Promise<L>;
  extend<L extends Redlock.LockLike>(
    lock: L,
    ttl: number,
    options: Redlock.CallOptions | null | undefined,
    callback?: Redlock.Callback<L>,
  ): Promise<L>;

  /**
   * Runs `routine` under a lock, which is extended for as long as that takes (`autoExtend`) and released then.
   * The routine's result or error comes through whatever becomes of the release: that it failed is told by
   * the `unlockError` event.
   *
   * If the lock is lost, `using` does not reject by itself: only `signal` and the event `lost` say so. Look at the signal
   * after each `await` and before each write.
   *
   * @param resource the name or names, as in {@link Redlock.lock}
   * @param ttl for how long each time, in ms: it is extended when two thirds of that are left
   * @param routine is given the lock's {@link Redlock.Lock.signal}, which is aborted when the lock is lost, and the lock
   * @returns what the routine returns; or, rejected, what the routine threw, or, as {@link Redlock.lock}, why there was no lock
   *   to be had. A routine that is no function is refused with a `TypeError` (`ERR_REDLOCK_INVALID_ROUTINE`)
   *
   * @example
   * await redlock.using('report:7', 10_000, async (signal) => {
   *   const rows = await read();
   *   signal.throwIfAborted(); // the lock may have been lost meanwhile
   *   await write(rows);
   * });
   */
  using<T>(
    resource: string | readonly string[],
    ttl: number,
    routine: (signal: AbortSignal, lock: Redlock.Lock) => T,
  ): Promise<Awaited<T>>;
  /**
   * With options of the call; with `tryLock` among them, null if it was held.
   *
   * @param options as in {@link Redlock.lock}
   */
  using<T, Tries extends boolean = false>(
    resource: string | readonly string[],
    ttl: number,
    options: Redlock.AcquireOptions<Tries> | null | undefined,
    routine: (signal: AbortSignal, lock: Redlock.Lock) => T,
  ): Promise<Redlock.Acquired<Tries, Awaited<T>>>;

  /**
   * Whether a resource is locked, by what, and for how long. It says what was true when each instance
   * answered, less the time since, and is no protection: another may have it by the time this is read.
   *
   * @param resource one name
   * @returns what each instance said, and what follows from it. That servers don't answer rejects nothing: each has its `error`.
   *   Rejected with a {@link Redlock.LockError} (`ERR_REDLOCK_CLOSED`) after {@link Redlock.quit}, or with a `TypeError` or
   *   `RangeError` (`ERR_REDLOCK_INVALID_RESOURCE`)
   */
  inspect(resource: string | readonly [string]): Promise<Redlock.Inspection>;

  /**
   * A lock that was stored with `JSON.stringify`, to be extended or unlocked here. Its `expiration` is by the wall
   * clock: it is read once, now, and from then on the lock's end follows the engine's monotonic clock. Where the
   * JSON says its `ttl`, it ends no later than that from now, should this machine's clock be behind.
   *
   * @param stored the JSON, or what was parsed of it
   * @throws {TypeError} `ERR_REDLOCK_INVALID_LOCK` if it is not a lock's
   */
  restore(stored: string | (Redlock.LockLike & { ttl?: number })): Redlock.Lock;

  /**
   * Lets what is in flight end, then closes the connections and ends the clients that were passed;
   * whatever is asked for afterwards is refused with `ERR_REDLOCK_CLOSED`. Locks that are held stay until
   * their ttl ends, unless `unlock` says otherwise.
   *
   * @returns for each instance `'OK'`, or what the client that was passed has answered; rejected with a `TypeError` or
   *   `RangeError` (`ERR_REDLOCK_INVALID_OPTIONS`), and nothing is closed, if the options can't be used
   *
   * @example
   * process.once('SIGTERM', () => redlock.quit({ unlock: true }).finally(() => process.exit()));
   */
  quit(callback?: Redlock.Callback<unknown[]>): Promise<unknown[]>;
  quit(
    options: Redlock.QuitOptions | null | undefined,
    callback?: Redlock.Callback<unknown[]>,
  ): Promise<unknown[]>;

  /** {@link Redlock.quit}, for `await using`: locks stay until their ttl ends. */
  [Symbol.asyncDispose](): Promise<void>;

  // Nothing has to listen to any of the events.

  on<E extends string | symbol>(event: E, listener: Redlock.Listener<E>): this;
  once<E extends string | symbol>(event: E, listener: Redlock.Listener<E>): this;
  addListener<E extends string | symbol>(event: E, listener: Redlock.Listener<E>): this;
  prependListener<E extends string | symbol>(event: E, listener: Redlock.Listener<E>): this;
  prependOnceListener<E extends string | symbol>(event: E, listener: Redlock.Listener<E>): this;
  off<E extends string | symbol>(event: E, listener: Redlock.Listener<E>): this;
  removeListener<E extends string | symbol>(event: E, listener: Redlock.Listener<E>): this;
  emit<E extends string | symbol>(event: E, ...args: Redlock.EventArguments<E>): boolean;
}

declare global {
  /** As TypeScript's library and @types/node declare it, of which not every version does. */
  interface SymbolConstructor {
    readonly asyncDispose: unique symbol;
  }
}

import Self = Redlock;

/** The named exports; in JavaScript they are statics of the class. */
declare namespace Redlock {
  export {
    type Acquired,
    type AcquireOptions,
    type AcquireOutcome,
    type AnyListener,
    type ArgumentError,
    type ArgumentErrorCode,
    type ArgumentRangeError,
    type ArgumentTypeError,
    type AutoExtendOptions,
    type Callback,
    type CallOptions,
    type ClientConfig,
    type ClientErrorListener,
    type ClusterConfig,
    type ClusterNode,
    type CompatibleRedisClient,
    type Connection,
    ConnectionError,
    type ConnectionListener,
    type ConnectionState,
    type ConnectionsRule,
    type Disposer,
    type EndangeredError,
    type ErrorCode,
    type EventArguments,
    type Events,
    type Histogram,
    type Inspection,
    type Instance,
    InstanceError,
    type InstanceErrorCode,
    type InstanceInfo,
    type Listener,
    Lock,
    LockError,
    type LockErrorCode,
    type LockLike,
    type LockListener,
    type NatMap,
    type NodeRedisClusterConfig,
    type NodeRedisConfig,
    type Operation,
    type Options,
    type Pem,
    type PromiseLibrary,
    type QuitOptions,
    type RetryDelay,
    type Script,
    type ScriptFunction,
    type Scripts,
    Self as default,
    Self as Redlock,
    type SentinelConfig,
    type ServerConfig,
    type SharedConfig,
    type SocketConfig,
    type Stats,
    type TlsOptions,
    type TryLockOptions,
    type TryOptions,
    type UnlockCallback,
    type UnusedOptions,
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
     * @deprecated use {@link Redlock.restore}
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
    /** What is stored under them: 32 hexadecimal digits, random. Who knows it may unlock: `console.log` doesn't show it. */
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
    /** @deprecated the same as {@link Lock.unlock} */
    release(callback?: UnlockCallback): Promise<void>;
    /** {@link Redlock.extend} of this lock. */
    extend(ttl: number, callback?: Callback<this>): Promise<this>;
    extend(ttl: number, options: CallOptions | null | undefined, callback?: Callback<this>): Promise<this>;

    /**
     * Has it extended in the engine's own thread, until it is unlocked, lost, or this object is
     * garbage-collected. `expiration` tells its end as it moves.
     *
     * @throws {TypeError | RangeError} `ERR_REDLOCK_INVALID_OPTIONS`
     * @throws {LockError} `ERR_REDLOCK_NOT_HELD` or `ERR_REDLOCK_EXPIRED` if there is nothing left to be extended
     */
    autoExtend(options?: AutoExtendOptions): this;

    /**
     * Has it extended by itself no more: it is held until its validity ends, which its signal tells, and which is no
     * loss: there is no `lost` event. Does nothing to a lock that isn't extended by itself.
     */
    stopExtending(): this;

    /**
     * Is aborted when the lock is lost: at its end, even if no server can be reached, or as soon as a majority
     * says that it is gone. Its `reason` is a {@link LockError}. It looks at the engine's clock whenever it is
     * asked, so that what it says is true after JavaScript has been blocked, too. Unlocking doesn't abort it, but
     * {@link Redlock.quit} with `unlock` does (`ERR_REDLOCK_CLOSED`).
     */
    get signal(): AbortSignal;

    /**
     * For how long it may still be believed in, in ms, on the engine's monotonic clock; 0 = not at all. Of a lock
     * that was rebuilt from stored values, `expiration` is taken into that clock when it is first looked at.
     */
    remaining(): number;

    /** Whether it may be believed in now. */
    get held(): boolean;

    /** {@link Redlock.unlock}, for `await using`: what goes wrong is told by the `unlockError` event. */
    [Symbol.asyncDispose](): Promise<void>;

    toJSON(): {
      resource: string[];
      value: string;
      expiration: number;
      attempts: number;
      attemptsRemaining: number;
      /** For how long it was asked for last, in ms; absent where that isn't known. */
      ttl?: number;
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
    /** The error of the client of yours that was asked, if it was one. */
    // biome-ignore lint/suspicious/noExplicitAny: unknown, but that TypeScript 4.7 has an Error there
    cause?: any;
    operation: Operation;
    /** Its place in the constructor's array. */
    instance: number;
    /** Without credentials. */
    address: string;
  }

  /** The connection to an instance is down, or was. */
  class ConnectionError extends Error {
    private constructor();
    name: 'ConnectionError';
    code: InstanceErrorCode;
    /** The first word of the server's answer, as `WRONGPASS`, if it was one. */
    reply: string | undefined;
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
    /** It was not granted within `maxWait`. */
    | 'ERR_REDLOCK_TIMEOUT'
    /** Of the `endangered` event: it is held, but may be lost soon. */
    | 'ERR_REDLOCK_ENDANGERED'
    /** It was held for as long as `maxHold` allows. */
    | 'ERR_REDLOCK_MAX_HOLD'
    /** This Redlock was closed with `quit()`. */
    | 'ERR_REDLOCK_CLOSED'
    /** A defect of this package. */
    | 'ERR_REDLOCK_INTERNAL'
    /** The engine could not read the request: a defect of this package. */
    | 'ERR_REDLOCK_INVALID';

  /** Which argument can't be used. */
  type ArgumentErrorCode =
    | 'ERR_REDLOCK_INVALID_INSTANCES'
    | 'ERR_REDLOCK_INVALID_INSTANCE'
    | 'ERR_REDLOCK_INVALID_OPTIONS'
    | 'ERR_REDLOCK_INVALID_RESOURCE'
    | 'ERR_REDLOCK_INVALID_TTL'
    | 'ERR_REDLOCK_INVALID_LOCK'
    /** Of `using`. */
    | 'ERR_REDLOCK_INVALID_ROUTINE'
    /** A method was called on what is no Redlock. */
    | 'ERR_REDLOCK_INVALID_REDLOCK'
    /** Of `redlock-native/v0`, which needs one. */
    | 'ERR_REDLOCK_INVALID_CALLBACK'
    /** Of `redlock-native/redislock`. */
    | 'ERR_REDLOCK_INVALID_CLIENT';

  /** An argument can't be used, so that nothing was asked for. Nothing exports these: tell them by their `code`. */
  type ArgumentError = ArgumentTypeError | ArgumentRangeError;

  /** An argument of the wrong type. */
  interface ArgumentTypeError extends TypeError {
    code: ArgumentErrorCode;
  }

  /** An argument of the right type that can't be used. */
  interface ArgumentRangeError extends RangeError {
    code: ArgumentErrorCode;
  }

  /** Every `code` there is. */
  type ErrorCode =
    | LockErrorCode
    | InstanceErrorCode
    | ArgumentErrorCode
    /** `disposer` needs bluebird, and there is none. */
    | 'ERR_REDLOCK_NO_DISPOSERS'
    /** Thrown by `require` of an entry whose promises are bluebird's, which isn't installed. */
    | 'ERR_REDLOCK_NO_BLUEBIRD'
    /** Thrown by `instrument` of `redlock-native/otel`: `@opentelemetry/api` isn't installed. */
    | 'ERR_REDLOCK_NO_OPENTELEMETRY'
    /**
     * Thrown by `require` and `import`: the addon can't be loaded; by `new Redlock`: the system has no thread or no file
     * left for it. The message says what to do.
     */
    | 'ERR_REDLOCK_ADDON';

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
    /** The resources are in different slots of a cluster; a `{tag}` in their names puts them into one. */
    | 'ERR_REDLOCK_CROSS_SLOT'
    /** The server had this attempt's value already: it is listed twice, or its client has sent a command again. */
    | 'ERR_REDLOCK_ASKED_TWICE'
    /** Of an extension: the instance had not granted the lock, so that its vote doesn't count. */
    | 'ERR_REDLOCK_HAD_NOT_GRANTED'
    | 'ERR_REDLOCK_CLOSED'
    /** It was released before it was sent. In the votes of errors that is `pending`; redlock 5's attempts have it. */
    | 'ERR_REDLOCK_WITHDRAWN'
    /** This process let go of the request without an answer: a defect of this package. */
    | 'ERR_REDLOCK_DROPPED'
    /** A client of yours failed without the server. Its own error stands here in the place of an `InstanceError`, if it is one. */
    | 'ERR_REDLOCK_CLIENT';

  type Operation = 'lock' | 'extend' | 'unlock' | 'inspect';

  interface Vote {
    /** The instance's, without credentials. */
    address: string;
    /** `pending`: it had not answered, or was not even asked, when the outcome was certain. */
    vote: 'granted' | 'held' | 'failed' | 'pending';
    /** Why it failed; where a client of yours failed without the server, that client's own error. */
    error?: InstanceError | Error;
  }

  /** What it takes to unlock or extend: a {@link Lock}, or an object rebuilt from stored values. */
  interface LockLike {
    resource: string | readonly string[];
    value: string;
    expiration: number;
  }

  /**
   * One member of the quorum:
   *
   * - `redis://[user[:password]@]host[:port][/db]`, or `valkey://`; with TLS, `rediss://` or
   *   `valkeys://`. Query: `keyPrefix`, `connectTimeout`, `clientName`, `protocol`
   * - `unix:///path?db=2`, or `/path?db=2`: a unix socket. Query: `db` too
   * - `redis+sentinel://[user[:password]@]host[:port][,host…]/service[/db]`: the master that sentinels
   *   name; `rediss+sentinel://` with TLS to them and to it. Query: `sentinel_username` and
   *   `sentinel_password` too
   * - `memory://name`: in this process, for tests and demos, never a distributed lock
   * - {@link ServerConfig} with ioredis' names, or {@link NodeRedisConfig}
   * - {@link SentinelConfig}: the master that sentinels name
   * - {@link ClusterConfig} with ioredis' names, or {@link NodeRedisClusterConfig}: a cluster is one member
   * - a client of yours, of any Redis library; or {@link ClientConfig} with one
   */
  type Instance =
    | string
    | URL
    | ServerConfig
    | NodeRedisConfig
    | SentinelConfig
    | ClusterConfig
    | NodeRedisClusterConfig
    | CompatibleRedisClient
    | ClientConfig;

  /**
   * A client of ioredis, iovalkey, node-redis (`redis`), `@valkey/valkey-glide` or ioredis-mock, single, cluster,
   * sentinel or pool; or anything with an `eval(script, numberOfKeys, ...keys, ...args)` that returns a promise
   * or calls back, or an `evalsha` as redlock 4 calls it. `quit` ends it too.
   */
  type CompatibleRedisClient =
    // biome-ignore lint/suspicious/noExplicitAny: each library has parameters of its own
    | { eval(...args: any[]): unknown }
    // biome-ignore lint/suspicious/noExplicitAny: each library has parameters of its own
    | { evalsha(...args: any[]): unknown }
    // biome-ignore lint/suspicious/noExplicitAny: each library has parameters of its own
    | { customCommand(...args: any[]): unknown };

  /** A client of yours that is reached in another way than the others. */
  interface ClientConfig {
    client: CompatibleRedisClient;
    /** Default: the option of the same name. */
    connections?: ConnectionsRule;
  }

  /**
   * How clients of yours are used. `auto`: first the client, then a connection of our own, once a key that the
   * client has set was found over it. `bridge`: the client alone. `native`: a connection of our own at once, on
   * your word that the client's options say where it leads to; the constructor throws where they can't.
   */
  type ConnectionsRule = 'auto' | 'native' | 'bridge';

  /** Options of clients that make no difference here; apps have them in one object with the others. */
  interface UnusedOptions {
    maxRetriesPerRequest?: number | null;
    enableReadyCheck?: boolean;
    enableOfflineQueue?: boolean;
    lazyConnect?: boolean;
    family?: number | string;
    keepAlive?: number | boolean;
    commandTimeout?: number;
    retryStrategy?: unknown;
    reconnectOnError?: unknown;
    sentinelRetryStrategy?: unknown;
    clusterRetryStrategy?: unknown;
    showFriendlyErrorStack?: boolean;
    pingInterval?: number;
    disableOfflineQueue?: boolean;
  }

  interface ServerConfig extends UnusedOptions {
    /** Default 127.0.0.1. */
    host?: string | null;
    /** Default 6379. */
    port?: number | string | null;
    /** The absolute path of a unix socket, which beats host, port and tls. */
    path?: string | null;
    username?: string | null;
    password?: string | null;
    /** Default 0. */
    db?: number | string | null;
    /** The same as `db`. */
    database?: number | string | null;
    /** Encrypts the connection; true = with the defaults of {@link TlsOptions}. */
    tls?: TlsOptions | boolean | null;
    /** Stands before every key on this server. */
    keyPrefix?: string | null;
    /** What `CLIENT LIST` shows on the server: visible ASCII without spaces. */
    clientName?: string | null;
    /** The same as `clientName`. */
    connectionName?: string | null;
    /** How long one dial may take, login included, in ms. Default 5000. */
    connectTimeout?: number | string | null;
    /** Makes no difference: both versions of the protocol say the same of a lock. */
    protocol?: 2 | 3 | '2' | '3' | null;
  }

  /** A server in node-redis' terms. What {@link ServerConfig} has may stand beside them. */
  type NodeRedisConfig = ServerConfig & {
    /** The same as `clientName`. */
    name?: string | null;
  } & ({ url: string; socket?: SocketConfig | null } | { url?: string | null; socket: SocketConfig });

  /** What holds for every server of several. */
  type SharedConfig = Omit<ServerConfig, 'host' | 'port' | 'path'>;

  /** The master that sentinels name, whichever it is. The credentials and `tls` are the master's. */
  interface SentinelConfig extends SharedConfig {
    /**
     * At least one; the usual port is 26379. They are all asked in one way: credentials and `tls` that come with one are the
     * sentinels', as those below are, and are refused where they differ.
     */
    sentinels: readonly ClusterNode[];
    /** What the sentinels call the master and its replicas. */
    name: string;
    /** Locks are written, and replicas can't be written to. */
    role?: 'master' | null;
    /** The sentinels' own. */
    sentinelUsername?: string | null;
    /** The sentinels' own. */
    sentinelPassword?: string | null;
    /** Encrypts the connections to the sentinels. */
    sentinelTLS?: TlsOptions | boolean | null;
    /** False makes nothing of `tls`; without it `tls` counts, unlike in ioredis. */
    enableTLSForSentinelMode?: boolean | null;
    natMap?: NatMap | null;
  }

  /** A cluster: some of its nodes, from which the others are learnt. It has no database but 0. */
  interface ClusterConfig extends SharedConfig {
    /**
     * At least one; the usual port is 6379. What one of them says of the user, the password and `tls` counts for all; where
     * two differ they are refused.
     */
    cluster: readonly ClusterNode[];
    /** What holds for every node. What stands beside it is more particular. */
    redisOptions?: Omit<SharedConfig, 'keyPrefix'> | null;
    natMap?: NatMap | null;
  }

  /** A cluster in node-redis' terms. */
  interface NodeRedisClusterConfig extends SharedConfig {
    /** The same as `cluster`. */
    rootNodes: readonly (ServerConfig | NodeRedisConfig)[];
    /** What holds for every node. */
    defaults?: (SharedConfig & { socket?: Omit<SocketConfig, 'host' | 'port' | 'path'> | null }) | null;
    /** The same as ioredis' `natMap`. */
    nodeAddressMap?: NatMap | null;
  }

  /** `"host:port"`, a URL, a port of this machine, or an object. */
  type ClusterNode = string | number | URL | ServerConfig | NodeRedisConfig;

  /** Where servers are to be found from here, by the `"host:port"` that they have in their own network. */
  type NatMap = Readonly<Record<string, { host: string; port: number | string }>>;

  /** node-redis' `socket`: where, and, if `tls` is true, {@link TlsOptions} beside it. */
  interface SocketConfig extends TlsOptions {
    host?: string | null;
    port?: number | string | null;
    path?: string | null;
    /** In ms. */
    connectTimeout?: number | string | null;
    /** Without it the options of TLS don't count. */
    tls?: boolean | null;
  }

  /**
   * How to trust a server and how to be trusted by it. Node's other options that change this, as `pfx`
   * or `checkServerIdentity`, are refused.
   */
  interface TlsOptions {
    /**
     * The authorities that may vouch for the server, or the server's own certificate if it is self-signed.
     * Default: those of Node, by its flags and `NODE_EXTRA_CA_CERTS`.
     */
    ca?: Pem | readonly Pem[] | null;
    /** The client's certificate and the chain to it; needs `key`. */
    cert?: Pem | readonly Pem[] | null;
    /** The client's private key, unencrypted. */
    key?: Pem | readonly Pem[] | null;
    /** The name that the server's certificate must have. Default: the host. */
    servername?: string | null;
    /** False trusts any certificate: encrypted, but to whoever answers. */
    rejectUnauthorized?: boolean | null;
  }

  /** PEM text, or a Buffer of it. */
  type Pem = string | ArrayBufferView;

  /** The options of one call; the Redlock's own apply where there are none. */
  interface CallOptions {
    /** The share of a ttl, less than 1, that is set aside for clocks that run apart. Default 0.01. */
    driftFactor?: number;
    /**
     * Attempts after the first, a whole number. Default 10. -1 and Infinity are without end: without `maxWait` or `signal` it is waited for
     * ever while servers are down.
     */
    retryCount?: number;
    /** The wait between two attempts, in ms, or what says it. Default 200. */
    retryDelay?: number | RetryDelay;
    /** By how much that wait is changed at random, either way, in ms. Default 100. */
    retryJitter?: number;
  }

  /**
   * Is asked after each attempt that failed and is not the last one; the first is 1. Returns the wait until the next,
   * in ms: from 0 to 2147483647, which `retryJitter` changes as ever. Anything else rejects the call
   * (`ERR_REDLOCK_INVALID_OPTIONS`). A lock that is extended by itself waits 200 ms or less instead.
   */
  type RetryDelay = (attempt: number) => number;

  interface QuitOptions {
    /**
     * Releases everything that this Redlock has handed over and that is still held, kept or not, and what was under
     * way: nobody holds any of it from the call on. What waits for a lock is given up. It is waited for within
     * `deadlineCeiling`; what could not be released is told by `unlockError`. Default false.
     */
    unlock?: boolean;
  }

  /** The options of one `lock`; `Tries` says whether `tryLock` is true among them. */
  interface AcquireOptions<Tries extends boolean = false> extends CallOptions {
    /** Gives the wait up: rejects with the signal's reason, and releases whatever is granted late. */
    signal?: AbortSignal;
    /**
     * How long to wait for the lock at most, in ms; then `ERR_REDLOCK_TIMEOUT`. It makes no more attempts, so that `retryCount`
     * may end the wait before: write `{ retryCount: -1, maxWait: 30_000 }`.
     */
    maxWait?: number;
    /** Has the lock extended from the start, as {@link Lock.autoExtend} does; true = with its defaults. */
    autoExtend?: boolean | AutoExtendOptions;
    /** One attempt: null if it is held by another; rejected if too few instances answer. */
    tryLock?: Tries;
    /** In place of the Redlock's option {@link Options.fair}, for this lock. */
    fair?: boolean;
  }

  /** What comes of a call with `tryLock` or without: `Result`, or null where that may be. */
  type Acquired<Tries extends boolean, Result = Lock> = Tries extends true ? Result | null : Result;

  /** The options of one {@link Redlock.tryLock}. */
  type TryLockOptions = Omit<AcquireOptions, 'tryLock'>;

  /** Options with `tryLock`, be it true or false. */
  interface TryOptions extends AcquireOptions<boolean> {
    tryLock: boolean;
  }

  interface AutoExtendOptions {
    /** For how long it is extended each time, in ms. Default: the ttl it was taken with. */
    ttl?: number;
    /** How long before its end it is extended, in ms; less than the ttl. Default: two thirds of the ttl. */
    threshold?: number;
    /** For how long it is held altogether, in ms, from when it was asked for; then it is lost. Default: no limit. */
    maxHold?: number;
  }

  /** What the instances said of a resource. */
  interface Inspection {
    resource: string;
    /** True if a majority has the same value, false if a majority has none, else undefined: nobody knows. */
    held: boolean | undefined;
    /** What it is held by: a lock's `value`. `console.log` doesn't show it. */
    value: string | undefined;
    /** For how long at least a majority goes on having it from now, in ms, by the servers' clocks. */
    remaining: number | undefined;
    instances: {
      /** Without credentials. */
      address: string;
      /** Undefined if it did not say, or what it said is over. */
      held: boolean | undefined;
      value?: string;
      /** In ms; Infinity if the key never ends. */
      remaining?: number;
      /** Why it did not say. */
      error?: InstanceError | Error;
    }[];
  }

  interface Options extends CallOptions {
    /**
     * How long an instance may take for its vote at least, in ms: it has a tenth of the ttl, but not less than this, nor than
     * the round trip that it was measured to take and this on top of it. Default 100. Never beyond the lock's validity.
     */
    deadlineFloor?: number;
    /**
     * How long an instance may take for its vote at most, in ms: it has a tenth of the ttl, but not more than this, or than
     * four of its round trips if they are more; to unlock or to be inspected, just this. A `deadlineFloor` above it counts
     * for `lock` and `extend`. One of which nothing is measured yet, as it is being dialled, may take five times this in a
     * lock's first attempt, as long as no majority has answered. Default 1000.
     */
    deadlineCeiling?: number;
    /** How clients of yours are used. Default `auto`. */
    connections?: ConnectionsRule;
    /**
     * Whether servers are asked to tell when the keys of locks that are waited for or kept change, on a second connection to
     * each: a lock that is released is granted to the next, and one that is lost is told to its holder, within a round
     * trip. Where one does not tell, as before Redis 6, it is asked now and then, and {@link Connection.noWakeups}
     * says why. Default `auto`; `false` makes no such connection.
     */
    wakeups?: 'auto' | false;
    /**
     * Whether locks are granted in the order in which they were asked for, to all processes that ask with `fair: true`: those who
     * wait on a majority of the servers, by their clocks. Others come in between. Who dies costs those behind it 5 s, once. For
     * one resource, with scripts and values of ours and a `retryDelay` in ms; else `ERR_REDLOCK_INVALID_OPTIONS`. Default false.
     */
    fair?: boolean;
    /**
     * A Lua script of one's own for `lock`. Each script gets the resources as KEYS and, as ARGV, the
     * value and (lock, extend) the ttl in ms; it was carried out if it answers the number of KEYS.
     */
    lockScript?: ScriptFunction;
    /** The same for `unlock`, and for the release of failed attempts. */
    unlockScript?: ScriptFunction;
    /** The same for `extend`. */
    extendScript?: ScriptFunction;
  }

  /** From our script's text to yours; called once, by the constructor. */
  type ScriptFunction = (script: string) => string;

  interface Script {
    /** Its text. */
    value: string;
    /** SHA-1 of the text that it began with, in hexadecimal. Nothing reads it. */
    hash: string;
  }

  interface Scripts {
    lockScript: Script;
    unlockScript: Script;
    extendScript: Script;
  }

  /** What `Redlock.Promise` may be: native promises, bluebird, or what resolves as they do. */
  interface PromiseLibrary {
    // biome-ignore lint/suspicious/noExplicitAny: each library has promises of its own
    resolve(value: any): PromiseLike<any>;
    readonly prototype: object;
  }

  /**
   * What bluebird's `using` takes. The types of bluebird's disposers say nothing of what they hold, so
   * name the type where you use it: `using(disposer, (lock: Lock) => …)`.
   */
  interface Disposer<T> {
    /** No property of it: for the types only. */
    readonly [held]?: T;
  }
  const held: unique symbol;

  /** `down`: it is dialled again in the background. */
  type ConnectionState = 'connecting' | 'ready' | 'down';

  /** How an instance is reached, as it was when this was asked for or told. Frozen. */
  interface Connection {
    /** The instance's place in the constructor's array. */
    readonly index: number;
    /** Without credentials. */
    readonly address: string;
    /** Over a connection of our own, or through a client of yours. */
    readonly mode: 'native' | 'bridge';
    /** Which library a client of yours is of, as far as it is known. */
    readonly library: string | undefined;
    readonly topology: 'single' | 'cluster' | 'sentinel' | 'pool' | 'memory' | 'unknown';
    /** The database; undefined for `memory://`, and where a client doesn't show it. */
    readonly db: number | undefined;
    readonly keyPrefix: string | undefined;
    /** Why a client of yours is asked and not a connection of our own. */
    readonly reasons: readonly string[];
    readonly state: ConnectionState;
    /** Since when it has been in that state; of a client of yours, in that mode. */
    readonly since: Date;
    /** Why our own connection was down the last time; undefined if it never was. */
    readonly lastError: ConnectionError | undefined;
    /**
     * Why nothing tells of changes to its keys, as far as that was tried (see {@link Options.wakeups}): locks there are
     * asked for now and then. Undefined where something does, or is expected to as soon as anybody waits.
     */
    readonly noWakeups: string | undefined;
  }

  interface InstanceInfo {
    /** Its place in the constructor's array. */
    index: number;
    /** Without credentials. */
    address: string;
  }

  /**
   * What has come of a request for a lock. `aborted`: it was given up, by its signal or by {@link Redlock.quit};
   * `too_slow`: nothing was left of its ttl.
   */
  type AcquireOutcome = 'granted' | 'held' | 'timeout' | 'unavailable' | 'too_slow' | 'aborted';

  /**
   * How often something took how much: seconds, or attempts. A bucket says how many took `le` or less, so that its count has
   * those of all before it, as Prometheus wants them. The bounds are always the same, a seventh to a quarter apart
   * from 10 µs to over an hour; any but the last, whose `le` is Infinity, may be left out.
   */
  interface Histogram {
    count: number;
    sum: number;
    buckets: { le: number; count: number }[];
  }

  /** What has come of everything so far: counters, which only grow, but for `waiting` and `held`. Its times are in seconds. */
  interface Stats {
    /** The requests for locks that have ended, from the request to its outcome in the engine. */
    acquires: Record<AcquireOutcome, { duration: Histogram; attempts: Histogram }>;
    /** How many requests for locks are under way now. */
    waiting: number;
    /** How many locks are held now: handed over by this Redlock, valid, and not unlocked. */
    held: number;
    /**
     * For how long locks were held, from when they were asked for. `released`: until they were unlocked; `lost`: until their
     * validity ended, or a majority said that they are gone. One that nobody unlocks is lost when its validity ends.
     */
    holds: Record<'released' | 'lost', Histogram>;
    /** The locks with a signal or `autoExtend` that were lost: how many {@link Events.lost} tells, by the error's code. */
    lost: Record<'ERR_REDLOCK_EXPIRED' | 'ERR_REDLOCK_MAX_HOLD' | 'ERR_REDLOCK_NOT_HELD', number>;
    extensions: {
      /** What was left of the validity when an extension was confirmed: where it nears 0, locks are about to be lost. */
      slack: Histogram;
      /** How many attempts to extend a lock have failed. */
      failed: number;
      /** How many {@link Events.endangered} tells. */
      endangered: number;
    };
    /** By instance, in their order. */
    instances: {
      /** Without credentials. */
      address: string;
      /** From the question to its answer, late ones included. Of what was asked in one millisecond, one question is measured. */
      duration: Histogram;
      /** `seen`: to `inspect`. One that stayed silent has failed. */
      votes: Record<'granted' | 'held' | 'seen' | 'failed', number>;
      /** Why votes have failed, as far as there were any: how many, by the error's code. */
      failures: { [Code in InstanceErrorCode]?: number };
    }[];
    /**
     * What made those who wait for a lock ask again, beside their own schedule: a server's word, the end of what holds it, or that
     * nothing was told for long.
     */
    wakeups: { told: number; expiry: number; poll: number };
  }

  /** An extension has failed, and less than a third of the ttl is left. */
  interface EndangeredError extends LockError {
    /** For how long the lock may still be believed in, in ms. */
    remaining: number;
  }

  /** What each event's listeners are called with. */
  interface Events {
    /**
     * An instance failed to carry out one command; contention is no failure. Where a client of yours failed without
     * its server, the error is that client's own.
     */
    clientError: [error: InstanceError | Error, instance: InstanceInfo];
    /** {@link Redlock.connections} has changed: the mode of one, its state, or the reason for being down. */
    connection: [connection: Connection];
    /**
     * An extension of a lock that is extended by itself has failed, and less than a third of its ttl is left: told once,
     * and again only after one has succeeded in between. It is tried again. `lock` is undefined if nobody has it any more.
     */
    endangered: [error: EndangeredError, lock: Lock | undefined];
    /** A lock with a signal or `autoExtend` was lost; `lock` is undefined if nobody has it any more. */
    lost: [error: LockError, lock: Lock | undefined];
    /** A lock could not be released by `using`, `await using` or `quit({ unlock: true })`, which names no lock. */
    unlockError: [error: LockError, lock: Lock | undefined];
  }

  /** Of one of ours, or of any other event. */
  // biome-ignore lint/suspicious/noExplicitAny: as EventEmitter declares them
  type EventArguments<E> = E extends keyof Events ? Events[E] : any[];

  /** A method's parameters may be narrower: a listener may know more of an error, as that it is its client's. */
  type Listener<E> = { call(...args: EventArguments<E>): void }['call'];

  type ClientErrorListener = Listener<'clientError'>;
  type ConnectionListener = Listener<'connection'>;
  type LockListener = Listener<'lost'>;
  type AnyListener = Listener<string>;

  /** Is given the error, or null and the result. What it throws is an uncaught exception. */
  type Callback<T> = (error: LockError | ArgumentError | null, result?: T) => void;

  /** Is given the error or null. What it throws is an uncaught exception. */
  type UnlockCallback = (error: LockError | ArgumentError | null) => void;
}

export = Redlock;
