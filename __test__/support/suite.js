'use strict';

const { after } = require('node:test');

/**
 * Something with an `after`, as a test's `t` has, for what a whole suite shares. To be called in the
 * suite's own body: an `after` called inside of a hook ends with the hook.
 *
 * @returns {{after: (callback: () => unknown) => void}}
 */
function endOfSuite() {
  const endings = [];
  after(async () => {
    for (const end of endings.reverse()) await end();
  });
  return { after: (callback) => endings.push(callback) };
}

module.exports = { endOfSuite };
