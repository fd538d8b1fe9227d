import type { CompatibleRedisClient } from '../../../index.js';

/** A lock on one key of one server. */
declare class Lock {
  constructor(client: CompatibleRedisClient, options?: Lock.Options | null);

  /** For how long it is taken, in ms. */
  timeout: number;
  /** Attempts after the first; below 0 there is no end to them. */
  retries: number;
  /** The wait between two attempts, in ms. */
  delay: number;

  _id: string;
  _locked: boolean;
  _key: string | null;
  _client: CompatibleRedisClient;

  /** @returns nothing; or, rejected, a `LockAcquisitionError` */
  acquire(key: string, fn?: Lock.Callback): Lock.Promised;
  /** @returns nothing; or, rejected, a `LockReleaseError` */
  release(fn?: Lock.Callback): Lock.Promised;
  /**
   * @param time in ms from now, a whole number
   * @returns nothing; or, rejected, a `LockExtendError`
   */
  extend(time: number, fn?: Lock.Callback): Lock.Promised;

  static _defaults: Required<Lock.Defaults>;
  static _acquiredLocks: Record<string, Lock>;
}

declare namespace Lock {
  interface Defaults {
    /** Default 10000. */
    timeout?: number;
    /** Default 0; -1 is unlimited. */
    retries?: number;
    /** Default 50. */
    delay?: number;
  }

  /** Numbers may come as text. */
  type Options = { [Name in keyof Defaults]: number | string | null };

  /** Is given the error, or null and nothing else. */
  type Callback = (error: Error | null) => void;

  type ErrorType<E> = { new (message?: string): E } | ((error: Error) => boolean);

  /** A promise of bluebird's, of which only what `await` needs and its filtered `catch` are declared here. */
  interface Promised extends Promise<void> {
    catch<E extends Error, R>(type: ErrorType<E>, handler: (error: E) => R): Promised;
    catch<R = never>(
      handler?: ((reason: unknown) => R | PromiseLike<R>) | null,
      // biome-ignore lint/suspicious/noConfusingVoidType: as Promise declares it
    ): Promise<void | R>;
  }
}

export = Lock;
