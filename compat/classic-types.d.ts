/** What the types of redlock's older majors and of redlock-async have in common. Nothing of it is there at run time. */

import { EventEmitter } from 'node:events';

import Native = require('../index.js');

/** What clients make a key of. */
export type Name = string | number | bigint | URL | Uint8Array | { toHexString(): string };
export type Client = Native.Instance;
export type Options = Native.Options;
export type Callback<T> = (error: LockError | null, result: T) => void;
export type UnlockCallback = (error?: LockError | null) => void;

/** What it takes to unlock or extend. */
export interface LockLike<Resource = string> {
  resource: Resource;
  value: string;
  expiration: number;
}

/** A lock could not be taken, extended or released, or, other than the main entry's, an argument can't be used. */
export class LockError extends Error {
  constructor(message?: string, attempts?: number);
  name: 'LockError';
  /** How many attempts were made; 0 if nothing was sent. */
  attempts: number;
  /** Why, for programs. */
  code: Native.LockErrorCode | Native.ArgumentErrorCode;
  /** What was to be locked, extended or unlocked. */
  resource: string[];
  /** What each instance said in the last attempt, in their order; empty if none was asked. */
  votes: Native.Vote[];
  /** Why, for people: what happened, to which resource, on which instance, what to do. */
  cause?: Error;
}

/** The class, but for the methods that return promises. */
export class Classic extends EventEmitter {
  /** @param clients one for each member of the quorum, or what else redlock-native takes for one */
  constructor(clients: readonly Client[], options?: Options | null);

  driftFactor: number;
  retryCount: number;
  retryDelay: number;
  retryJitter: number;
  /** Those that were passed; of what isn't a client, the address. */
  servers: Client[];
  lockScript: string;
  unlockScript: string;
  extendScript: string;
  /** How each member of the quorum is reached. */
  get connections(): Native.Connection[];

  /** Overridden, it gives the values of locks: one for each attempt. */
  _random(): string;
}
