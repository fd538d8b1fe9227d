'use strict';

/** What is particular about scripts in the classic majors. */

const { bare } = require('../../lib/foreign');
const { LOCK_SCRIPTS, describe } = require('../../lib/scripts');

/**
 * In some majors a script of the caller's is carried out if it answers something, as JavaScript sees it, and not only the
 * number of keys.
 *
 * @param {import('../../lib/native').Scripts} custom
 */
function countTruth(custom) {
  const { acquire, extend } = custom;
  return { ...custom, acquire: acquire && truthOf(acquire), extend: extend && truthOf(extend) };
}

/** @param {string} text */
function truthOf(text) {
  return `local reply = (function(...)
${text}
end)()
if type(reply) == 'table' and reply.err then return reply end
if not reply or reply == 0 or reply == '' then return 0 end
return #KEYS`;
}

/**
 * The properties `lockScript` and so on are the texts in `scripts`, whichever is set.
 *
 * @param {any} redlock
 */
function tieScripts(redlock) {
  for (const name of LOCK_SCRIPTS.names) {
    const tied = bare({
      get: () => redlock.scripts[name].value,
      set: (/** @type {string} */ text) => {
        redlock.scripts[name] = describe(text);
      },
      enumerable: true,
      configurable: true,
    });
    Object.defineProperty(redlock, name, tied);
  }
}

module.exports = { countTruth, tieScripts };
