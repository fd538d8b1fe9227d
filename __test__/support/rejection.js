'use strict';

const assert = require('node:assert/strict');

/**
 * The error a promise is rejected with.
 *
 * @param {Promise<unknown>} promise
 * @returns {Promise<any>}
 */
async function rejection(promise) {
  let value;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  assert.fail(`resolved with ${String(value)} instead of being rejected`);
}

module.exports = { rejection };
