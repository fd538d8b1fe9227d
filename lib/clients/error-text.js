'use strict';

/** The words of an error of somebody else's. Nothing here throws, whatever was thrown there. */

const { read } = require('./inspect-object');

/**
 * @param {unknown} error
 * @returns {string} its message, or whatever text it has
 */
function messageOf(error) {
  const message = read(error, 'message');
  if (typeof message === 'string' && message) return message;
  try {
    return String(error);
  } catch {
    return 'it failed with something that has no text';
  }
}

/**
 * Wherever libraries put the server's words.
 *
 * @param {unknown} error
 * @returns {string[]}
 */
function textsOf(error) {
  const texts =
    typeof error === 'string' ? [error] : ['message', 'code', 'name'].map((key) => read(error, key));
  return texts.filter((text) => typeof text === 'string');
}

module.exports = { messageOf, textsOf };
