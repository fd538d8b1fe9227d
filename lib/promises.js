'use strict';

/**
 * Which promises a Redlock returns: the native ones, or those of `Redlock.Promise`; and where those
 * with disposers come from, which native promises don't have.
 */

/**
 * @typedef {{resolve(value: unknown): any, prototype: any}} PromiseLibrary
 */

/**
 * @param {PromiseLibrary} library
 * @returns {any} a promise class whose promises have `.disposer()`
 */
function withDisposers(library) {
  if (hasDisposers(library)) return library;
  const bluebird = findBluebird();
  if (hasDisposers(bluebird)) return bluebird;
  const error = new Error(
    "disposer() needs bluebird's promises: install bluebird, or set Redlock.Promise = require('bluebird')",
  );
  throw Object.assign(error, { code: 'ERR_REDLOCK_NO_DISPOSERS' });
}

/** @param {any} library */
function hasDisposers(library) {
  return typeof library?.prototype?.disposer === 'function';
}

/**
 * The app's own: `using` must come from the same copy. Where the app was bundled there are no folders to look in, and
 * the copy is the one that stands in the bundle, by its name as bundlers look for it.
 */
function findBluebird() {
  const app = require.main ? [require.main.path] : [];
  try {
    return require(require.resolve('bluebird', { paths: [...app, process.cwd(), __dirname] }));
  } catch {
    // Not installed there.
  }
  try {
    return require('bluebird');
  } catch {
    return undefined;
  }
}

/**
 * Ignores something of the caller's that can't be used: if it is a promise that rejects, that must not end the process, as
 * the caller is told already that it can't be used.
 *
 * @param {unknown} given
 */
async function disregard(given) {
  try {
    await given;
  } catch {
    // The caller has an error already.
  }
}

module.exports = { withDisposers, hasDisposers, findBluebird, disregard };
