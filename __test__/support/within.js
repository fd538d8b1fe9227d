'use strict';

/**
 * What `promise` resolves with, or is rejected with, if a timer of `ms` that is set now does not come first. Where the
 * machine is slow both are late, so that `ms` lies halfway to what the test must tell it from, not near what it takes.
 *
 * @template T
 * @param {number} ms
 * @param {Promise<T>} promise
 * @param {string} [what] it is, for the error
 * @returns {Promise<T>}
 */
async function within(ms, promise, what = 'it') {
  let timer;
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`a timer of ${ms} ms came before ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

module.exports = { within };
