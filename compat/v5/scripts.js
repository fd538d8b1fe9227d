'use strict';

/** redlock 5's Lua scripts: ours, or what functions of the caller's have made of ours. */

const { wrongType } = require('../../lib/errors');
const { pick } = require('../../lib/foreign');
const { readScripts } = require('../../lib/scripts');

/** @type {import('../../lib/scripts').Naming} */
const V5_SCRIPTS = {
  names: ['acquireScript', 'extendScript', 'releaseScript'],
  roles: ['acquire', 'extend', 'release'],
  maker: 'function',
  textOf: (name) => `scripts.${name}.value`,
};

/** @param {unknown} given */
function readV5Scripts(given) {
  return readScripts(V5_SCRIPTS, pick(given, V5_SCRIPTS.names, unreadable), given);
}

/** @param {string} name */
function unreadable(name) {
  return wrongType('OPTIONS', `the function "${name}" can't be read: reading it throws`);
}

module.exports = { V5_SCRIPTS, readV5Scripts };
