import type {
  Client,
  ClientExecutionResult,
  ExecutionResult,
  ExecutionStats,
  NewerSettings,
  RedlockAbortSignal,
  Script,
  Scripts,
  Settings,
} from './types';
import { ExecutionError, Lock, Redlock as Redlock5, ResourceLockedError } from './types';

/** Locks on a quorum of Redis servers: the API of redlock 5. */
declare class Redlock extends Redlock5 {}

import Self = Redlock;

/** The named exports; in JavaScript they are statics of the class. */
declare namespace Redlock {
  export {
    type Client,
    type ClientExecutionResult,
    ExecutionError,
    type ExecutionResult,
    type ExecutionStats,
    Lock,
    type NewerSettings,
    type RedlockAbortSignal,
    ResourceLockedError,
    type Script,
    type Scripts,
    Self as default,
    type Settings,
  };
}

export = Redlock;
