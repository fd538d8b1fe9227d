'use strict';

/** redlock 5's Lua scripts: ours, or what a function of the caller's has made of ours. Read at each call. */

const { createHash } = require('node:crypto');

const { wrongType, outOfRange, show } = require('../../lib/errors');
const { defaultScripts } = require('../../lib/native');

/**
 * @typedef {{value: string, hash: string}} Script
 * @typedef {{acquireScript: Script, extendScript: Script, releaseScript: Script}} Scripts
 */

const OWN = defaultScripts();

/** What native calls them. */
const NATIVE = /** @type {const} */ ({
  acquireScript: 'acquire',
  extendScript: 'extend',
  releaseScript: 'release',
});

const NAMES = /** @type {(keyof Scripts)[]} */ (Object.keys(NATIVE));

/**
 * @param {any} given
 * @returns {Scripts}
 */
function readScripts(given) {
  const entries = NAMES.map((name) => {
    const own = OWN[NATIVE[name]];
    const value = typeof given?.[name] === 'function' ? given[name](own) : own;
    if (typeof value !== 'string') {
      throw wrongType('OPTIONS', `the function "${name}" must return a script's text, not ${show(value)}`);
    }
    return [name, { value, hash: createHash('sha1').update(value).digest('hex') }];
  });
  return Object.fromEntries(entries);
}

/**
 * Equal for scripts of equal texts.
 *
 * @param {Scripts} scripts
 */
function textsOf(scripts) {
  return JSON.stringify(NAMES.map((name) => scripts[name].value));
}

/**
 * What of them isn't ours, for native; undefined if all is.
 *
 * @param {Scripts} scripts
 * @returns {import('../../lib/native').Scripts | undefined}
 */
function customOf(scripts) {
  /** @type {import('../../lib/native').Scripts} */
  const custom = {};
  for (const name of NAMES) {
    const { value } = scripts[name];
    if (typeof value !== 'string') {
      throw wrongType('OPTIONS', `scripts.${name}.value must be a script's text, not ${show(value)}`);
    }
    if (value !== OWN[NATIVE[name]]) custom[NATIVE[name]] = value;
  }
  return Object.keys(custom).length ? custom : undefined;
}

/** @param {{config: {kind: string}}[]} members that are to run scripts of a caller's */
function refuseInMemory(members) {
  const index = members.findIndex(({ config }) => config.kind === 'memory');
  if (index === -1) return;
  throw outOfRange('OPTIONS', `instances[${index}] is in this process, where Lua scripts can't be run`);
}

module.exports = { readScripts, textsOf, customOf, refuseInMemory };
