'use strict';

const { createHash } = require('node:crypto');

/**
 * What a server knows a script by.
 *
 * @param {string} text
 */
function sha1(text) {
  return createHash('sha1').update(text).digest('hex');
}

module.exports = { sha1 };
