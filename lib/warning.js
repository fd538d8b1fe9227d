'use strict';

/**
 * Warns the process of an option or a key that can't be used, and is ignored as redlock 4 ignores it.
 *
 * @param {string} message
 */
function warnOfIgnored(message) {
  process.emitWarning(`redlock-native: ${message} (ignored)`, 'RedlockWarning', 'REDLOCK_OPTIONS');
}

module.exports = { warnOfIgnored };
