import type { LockLike } from './arguments';
import type { Dialect } from './clients/client';
import type { Failure } from './errors';
import type { Settings } from './options';
import type { FaceScripts } from './quorum';

/** What makes a face: where lib/locker.js behaves differently for it. */
export interface Profile {
  makeLock(
    face: object,
    names: string[],
    value: string,
    expiration: number,
    attempts: number,
    remaining: number,
  ): LockLike;
  LockError: new (message: string, attempts: number, failure: Failure) => Error;
  /** What is thrown when nothing was asked for, as with wrong arguments. */
  refuse(error: unknown): unknown;
  defaults: Settings;
  /** Is told of options that can't be used. */
  warn(message: string): void;
  /**
   * Where the face shows the scripts' texts, each read at each call: in `scripts`, in properties of their own, or
   * nowhere.
   */
  scripts: 'scripts' | 'texts' | 'none';
  /** What is run in place of a caller's own scripts. */
  adaptScripts?: FaceScripts['adapt'];
  /** Whether a number is a name, and a lock may come without an expiration. */
  isLenient: boolean;
  /** Whether several resources are locked together. */
  locksSeveral: boolean;
  /**
   * When an unlock succeeds: if a majority has released; also if a majority says that there is nothing to release;
   * always.
   */
  release: 'strict' | 'answered' | 'silent';
  /** How clients are asked that are of no known library. */
  dialect: Dialect;
  /** Whether its calls take the options of lib/acquire-options.js. */
  hasAcquireOptions: boolean;
}
