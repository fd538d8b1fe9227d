/** What native says, as docs/hand-over.md has it, and what the parts of lib/native know of each other. */

import type { Trouble } from '../errors';
import type { Answer } from './answer';

/**
 * What one instance said of one request. `held`: by another; `applied`: to how many of the keys it was applied.
 */
export type NativeVote = {
  vote: 'granted' | 'held' | 'failed' | 'pending';
  applied?: number;
} & Partial<Trouble>;

export interface NativeFailure {
  code: string;
  reason: string;
  votes: NativeVote[];
  /** Which members look like one server, if that may be why. */
  suspicion?: string;
  /** What a key has that is no lock's. */
  occupant?: string;
  /** Those that could not be released. */
  locks?: Unreleased[];
  /** What the engine has counted. */
  stats?: NativeStats;
}

/** How many are in each bucket, up to the last that has any, and all of them together: in seconds, or in attempts. */
export interface NativeHistogram {
  counts: number[];
  sum: number;
}

/** What an engine has counted. */
export interface NativeStats {
  acquires: Record<string, { duration: NativeHistogram; attempts: NativeHistogram }>;
  waiting: number;
  held: number;
  holds: Record<string, NativeHistogram>;
  lost: Record<string, number>;
  extensions: { slack: NativeHistogram; failed: number; endangered: number };
  instances: {
    duration: NativeHistogram;
    votes: Record<string, number>;
    /** By the code of the cause. */
    failures: Record<string, number>;
  }[];
  wakeups: { told: number; expiry: number; poll: number };
  /** Of the buckets of each histogram, but for one behind the last that has what is beyond all of them. */
  bounds: { times: number[]; attempts: number[] };
}

export type Unreleased = NativeFailure & { resource: string[] };

/** How a connection of our own is. */
export type ConnectionState = 'connecting' | 'ready' | 'down';

export type ClientErrorEvent = Trouble & {
  event: 'clientError';
  handle: number;
  instance: number;
  operation: string;
};
export type ConnectionEvent = Partial<Trouble> & {
  event: 'connection';
  handle: number;
  instance: number;
  state: ConnectionState;
};
export interface LookAlikesEvent {
  event: 'lookAlikes';
  handle: number;
  instance: number;
  other: number;
  sole: boolean;
}
export interface RouteEvent {
  event: 'route';
  handle: number;
  instance: number;
  why: string | null;
  failed: boolean;
}
/** Whether an instance tells of changes to its keys, or why not. */
export interface WakeupsEvent {
  event: 'wakeups';
  handle: number;
  instance: number;
  why: string | null;
}
export interface CallEvent {
  event: 'call';
  handle: number;
  instance: number;
}
/** The votes of one attempt of a request that has a vote report, by the report's number. */
export interface VotesEvent {
  event: 'votes';
  handle: number;
  number: number;
  attempt: number;
  votes: NativeVote[];
}
/** A vote was cast, or has missed its deadline. */
export type VoteEvent = Omit<NativeVote, 'vote'> & {
  event: 'vote';
  handle: number;
  vote: 'granted' | 'held' | 'seen' | 'failed';
  /** A number of lib/native/context.js; 0 = none. */
  trace: number;
  operation: 'lock' | 'extend' | 'unlock' | 'inspect';
  resource: string[];
  attempt: number;
  instance: number;
  ms: number;
  late: boolean;
};
/** A kept lock is about to be lost: an attempt to extend it has failed. */
export type EndangeredEvent = NativeFailure & {
  event: 'endangered';
  handle: number;
  number: number;
  attempts: number;
  /** What is left of its validity, in ms. */
  left: number;
};
export type LostEvent = NativeFailure & { event: 'lost'; handle: number; number: number };
export interface ClosedEvent {
  event: 'closed';
  handle: number;
}
/** What an engine's owner is told of. */
export type MemberEvent = ClientErrorEvent | ConnectionEvent | LookAlikesEvent | RouteEvent | WakeupsEvent;
export type NativeEvent =
  | MemberEvent
  | LostEvent
  | EndangeredEvent
  | VotesEvent
  | VoteEvent
  | CallEvent
  | ClosedEvent;

/** Something that the engine asks of callers' clients. */
export interface Question {
  operation: 'lock' | 'extend' | 'unlock' | 'inspect';
  /** The caller's own text for it, if there is one. */
  script: string | undefined;
  /** Whether neither taking nor releasing it has a text of the caller's. */
  isPlain: boolean;
  keys: readonly string[];
  /** The lock's value and, where a script takes one, the ttl in ms. */
  args: readonly string[];
  /** Of the caller for whom they are asked. */
  context: number;
}

/** How the answers of one client get to native. */
export interface ClientPort {
  /** Says where a connection of our own may lead; `keep`: whether the one there was still releases its locks. */
  updateClient(server: string | undefined, keep: boolean): void;
  /** @param keys how many a script was carried out on */
  applied(ticket: number, keys: number): void;
  seen(ticket: number, value: string | undefined, ttl: number | undefined): void;
  unexpected(ticket: number, what: string): void;
  /** @param error its number in lib/clients/error-registry.js */
  failed(ticket: number, error: number, code: string | undefined, message: string): void;
}

/** What `redlock:vote` tells. */
export interface VoteMessage {
  resource: string[];
  operation: 'acquire' | 'extend' | 'release' | 'inspect';
  instance: { index: number; address: string };
  vote: 'granted' | 'held' | 'seen' | 'failed';
  /** How long after the question it came; of a failed one that is silence, how long was waited. */
  ms: number;
  /** By which attempt of the request it was asked, from 1. What is asked between two attempts counts as the one before. */
  attempt: number;
  /** Whether it came after its deadline: then it was told as failed before. */
  late: boolean;
  error?: Error;
  /** What the request was traced by. */
  trace?: Trace;
}

/** What a request may be traced by. */
export interface Trace {
  /** What each instance said in the last attempt: kept up as votes come, also after the request has ended. */
  votes?: { address: string; vote: string; code?: string }[];
  /** Once its call has ended. */
  outcome?: string;
  note(more: object): void;
}

export type VotesListener = (attempt: number, votes: NativeVote[]) => void;

/** A caller's own scripts; ours where there is none. */
export interface Scripts {
  acquire?: string;
  extend?: string;
  release?: string;
}

/** A lock whose loss an engine tells. */
export interface WatchedLock {
  /** @param isTold whether there is an event of it */
  lose(failure: NativeFailure, isTold?: boolean): void;
  /** It is about to be lost. */
  endanger(event: EndangeredEvent): void;
  /** Native tells nothing any more. */
  fallBackToTimers(): void;
}

/** Who emits an engine's events. redlock 0.x's class has none. */
export interface Owner {
  emit?: (event: string, ...args: unknown[]) => boolean;
}

/** Who waits for a request's answer. */
export interface Waiter {
  /** Whose request it is. */
  readonly engine: Asker;
  /**
   * Has what can be made before the answer is told, which may be much later or never: that of many answers is made faster in one go.
   */
  prepare(answer: Answer): void;
  /** Is called once, perhaps before the request is under way; must not throw, nor call what is a caller's. */
  settle(answer: Answer): void;
}

/** What the parts of lib/native know of an engine. */
export interface Asker {
  readonly handle: number;
  /** The number of the caller's scripts. */
  readonly scripts: number;
  /** Whether its answers reach callers through promises of another library, which tell in an event of their own. */
  readonly isHeardLate: boolean;
  /** Whether native has let go of it. */
  readonly isGone: boolean;
  /** What is said of requests that are given up since all is to end. */
  readonly ending: { code: string; reason?: string } | undefined;
  readonly isClosed: boolean;
  /** A request of its was made; returns the number of the caller's context. */
  begin(): number;
  /** What is to be said of members that look like one server, where that may be why a lock was not had. */
  readonly events: { suspicion(votes: NativeVote[]): string };
  clean(told: NativeFailure): void;
  answered(): void;
  emit(event: NativeEvent): void;
  /** The caller's client at this index. */
  clientAt(instance: number): import('../clients/bridge').Bridge | undefined;
}
