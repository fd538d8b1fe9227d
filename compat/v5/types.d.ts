import { EventEmitter } from 'node:events';
import type { Connection, ConnectionsRule, Instance, Vote } from '../../index.js';

/**
 * Whatever was passed to the constructor: a client of any Redis library. What was passed as a URL or an
 * object with a host stands here by its address, as it has a password.
 */
// biome-ignore lint/suspicious/noExplicitAny: apps read their own clients here, of whatever library they are
export type Client = any;

/** What all members have said in one attempt. */
export interface ExecutionStats {
  readonly membershipSize: number;
  readonly quorumSize: number;
  readonly votesFor: Set<Client>;
  readonly votesAgainst: Map<Client, Error>;
}

export interface ExecutionResult {
  /** One for each attempt; a promise is resolved once all votes are in, or have missed their deadline. */
  attempts: ReadonlyArray<Promise<ExecutionStats>>;
}

/** What one client has said. */
export type ClientExecutionResult =
  | { client: Client; vote: 'for'; value: number }
  | { client: Client; vote: 'against'; error: Error };

/** A number counts; anything else is as if it weren't there. */
export interface Settings {
  /** The share of a duration that is set aside for clocks that run apart. Default 0.01. */
  readonly driftFactor: number;
  /** Attempts after the first; -1 and Infinity are unlimited. Default 10. */
  readonly retryCount: number;
  /** The wait between two attempts, in ms. Default 200. */
  readonly retryDelay: number;
  /** By how much that wait is changed at random, either way, in ms. Default 100. */
  readonly retryJitter: number;
  /** How much of a lock's validity is left when `using` extends it, in ms. Default 500. */
  readonly automaticExtensionThreshold: number;
}

/** What our constructor's settings have beyond redlock 5's; see the main entry's options. */
export interface NewerSettings {
  readonly connections?: ConnectionsRule;
  readonly deadlineFloor?: number;
  readonly deadlineCeiling?: number;
}

/** From our script's text to yours. Text counts for nothing, as in redlock 5. */
export type Script = string | ((script: string) => string);

export interface Scripts {
  readonly acquireScript?: Script;
  readonly extendScript?: Script;
  readonly releaseScript?: Script;
}

/** A vote against: somebody else holds one of the resources, or the lock is gone. */
export class ResourceLockedError extends Error {
  readonly message: string;
  constructor(message: string);
}

/** No majority. */
export class ExecutionError extends Error {
  readonly message: string;
  readonly attempts: ReadonlyArray<Promise<ExecutionStats>>;
  /** Why, for programs: the codes of the main entry's `LockError`. */
  readonly code?: string;
  readonly resources?: string[];
  /** What each member has said in the last attempt, as far as it was known. */
  readonly votes?: Vote[];
  /** Why, for people. */
  readonly cause?: Error;
  constructor(message: string, attempts: ReadonlyArray<Promise<ExecutionStats>>);
}

/** What clients make a key of. */
export type Name = string | number | bigint | URL | Uint8Array | { toHexString(): string };

export class Lock {
  /** Not enumerable. */
  readonly redlock: Redlock;
  readonly resources: string[];
  readonly value: string;
  readonly attempts: ReadonlyArray<Promise<ExecutionStats>>;
  /** Until when it is valid, as `Date.now()` counts; 0 once it was released, extended or lost. */
  expiration: number;
  constructor(
    redlock: Redlock,
    resources: string[],
    value: string,
    attempts: ReadonlyArray<Promise<ExecutionStats>>,
    expiration: number,
  );
  release(): Promise<ExecutionResult>;
  /** @returns another lock; this one is over */
  extend(duration: number): Promise<Lock>;
}

export type RedlockAbortSignal = AbortSignal & {
  /** Why the lock is lost. */
  error?: Error;
};

/** Locks on a quorum of Redis servers: the API of redlock 5. */
export class Redlock extends EventEmitter {
  readonly clients: Set<Client>;
  readonly settings: Settings;
  readonly scripts: {
    readonly acquireScript: { value: string; hash: string };
    readonly extendScript: { value: string; hash: string };
    readonly releaseScript: { value: string; hash: string };
  };

  constructor(clients: Iterable<Instance>, settings?: Partial<Settings> & NewerSettings, scripts?: Scripts);

  /** Overridden, it gives the values of locks: one for each attempt. */
  _random(): string;

  /** How each member is reached. */
  get connections(): Connection[];

  /** Lets what is in flight end, then ends the clients that were passed. */
  quit(): Promise<void>;

  /**
   * Takes a lock on all of the resources or on none.
   *
   * @param duration for how long, in ms
   */
  acquire(resources: readonly Name[], duration: number, settings?: Partial<Settings>): Promise<Lock>;

  /** Releases a lock everywhere; its `expiration` is 0 from the call on. */
  release(lock: Lock, settings?: Partial<Settings>): Promise<ExecutionResult>;

  /** @returns another lock, for the same resources; the existing one is over */
  extend(existing: Lock, duration: number, settings?: Partial<Settings>): Promise<Lock>;

  /**
   * Runs a routine under a lock that is extended as long as the routine runs. Its signal is aborted, with an
   * `error`, as soon as the lock is lost.
   *
   * @returns what the routine returns
   */
  using<T>(
    resources: readonly Name[],
    duration: number,
    settings: Partial<Settings>,
    routine?: (signal: RedlockAbortSignal) => Promise<T>,
  ): Promise<T>;
  using<T>(
    resources: readonly Name[],
    duration: number,
    routine: (signal: RedlockAbortSignal) => Promise<T>,
  ): Promise<T>;
}
