'use strict';

/**
 * Gives a class what `await using` calls. Not every Node.js has the symbol, and a polyfill may bring it at any time.
 *
 * @template T
 * @param {{prototype: T}} type
 * @param {(object: T) => Promise<void>} dispose
 * @returns {() => void} to be called whenever an object is made
 */
function disposable(type, dispose) {
  /** @type {symbol | undefined} */
  let known;
  const provide = () => {
    if (known === Symbol.asyncDispose) return;
    known = Symbol.asyncDispose;
    if (known === undefined) return;
    Object.defineProperty(type.prototype, known, {
      configurable: true,
      writable: true,
      /** @this {T} */
      value() {
        return dispose(this);
      },
    });
  };
  provide();
  return provide;
}

module.exports = { disposable };
