/** How each of the errors can be made: with `new`, without, or by what inherits from it. */
interface ErrorConstructor<Name extends string> {
  new (message?: string): RedislockError<Name>;
  (message?: string): RedislockError<Name>;
  readonly prototype: Error;
}

export interface RedislockError<Name extends string = string> extends Error {
  name: Name;
  /** Why, for programs: the codes of the main entry. Undefined where nothing was asked. */
  code?: string;
  /** Why, for people. */
  cause?: Error;
}

/** A lock could not be taken. */
export const LockAcquisitionError: ErrorConstructor<'LockAcquisitionError'>;
export type LockAcquisitionError = RedislockError<'LockAcquisitionError'>;

/** A lock could not be released. */
export const LockReleaseError: ErrorConstructor<'LockReleaseError'>;
export type LockReleaseError = RedislockError<'LockReleaseError'>;

/** A lock could not be extended. */
export const LockExtendError: ErrorConstructor<'LockExtendError'>;
export type LockExtendError = RedislockError<'LockExtendError'>;
