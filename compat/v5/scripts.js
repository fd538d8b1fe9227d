'use strict';

/** redlock 5's Lua scripts: ours, or what a function of the caller's has made of ours. Read at each call. */

const { createHash } = require('node:crypto');

const { wrongType, outOfRange, show } = require('../../lib/errors');
const { pick } = require('../../lib/foreign');
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
  const changes = pick(given, NAMES, unreadable);
  const entries = NAMES.map((name) => {
    const own = OWN[NATIVE[name]];
    const change = changes[name];
    const value = typeof change === 'function' ? change.call(given, own) : own;
    if (typeof value !== 'string') {
      throw wrongType('OPTIONS', `the function "${name}" must return a script's text, not ${show(value)}`);
    }
    return [name, { value, hash: createHash('sha1').update(value).digest('hex') }];
  });
  return Object.fromEntries(entries);
}

/** @param {string} name */
function unreadable(name) {
  return wrongType('OPTIONS', `the function "${name}" can't be read: reading it throws`);
}

/**
 * @param {Scripts} scripts
 * @returns {string[]}
 */
function textsOf(scripts) {
  return NAMES.map((name) => scripts[name].value);
}

/**
 * What of them isn't ours, for native; undefined if all is.
 *
 * @param {string[]} texts
 * @returns {import('../../lib/native').Scripts | undefined}
 */
function customOf(texts) {
  /** @type {import('../../lib/native').Scripts} */
  const custom = Object.create(null);
  for (const [at, name] of NAMES.entries()) {
    const value = texts[at];
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
