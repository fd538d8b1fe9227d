'use strict';

/**
 * A caller's own Lua scripts, as redlock 4 has them: options that are functions from our text to
 * theirs, properties that show the texts, and `scripts`, which is read at each call.
 */

const { createHash } = require('node:crypto');

const { wrongType, show } = require('./errors');
const { disregard } = require('./promises');

/**
 * @typedef {'lockScript' | 'extendScript' | 'unlockScript'} ScriptName
 * @typedef {{value: string, hash: string}} Script
 * @typedef {Record<ScriptName, Script>} ScriptSet
 */

/** What native calls them. */
const NATIVE = /** @type {const} */ ({
  lockScript: 'acquire',
  extendScript: 'extend',
  unlockScript: 'release',
});

const NAMES = /** @type {ScriptName[]} */ (Object.keys(NATIVE));

/**
 * @param {any} options
 * @param {{acquire: string, extend: string, release: string}} defaults our own texts
 * @returns {ScriptSet}
 */
function readScripts(options, defaults) {
  /** @param {ScriptName} name */
  const script = (name) => {
    const own = defaults[NATIVE[name]];
    const change = options?.[name];
    if (typeof change !== 'function') return describe(own);
    const text = change(own);
    if (typeof text === 'string') return describe(text);
    disregard(text);
    throw wrongType('OPTIONS', `the option "${name}" must return a script's text, not ${show(text)}`);
  };
  return {
    lockScript: script('lockScript'),
    unlockScript: script('unlockScript'),
    extendScript: script('extendScript'),
  };
}

/**
 * @param {string} value
 * @returns {Script}
 */
function describe(value) {
  return { value, hash: createHash('sha1').update(value).digest('hex') };
}

/**
 * What of them isn't ours, in native's terms; undefined if all is.
 *
 * @param {Record<ScriptName, string>} texts
 * @param {{acquire: string, extend: string, release: string}} defaults
 * @returns {import('./native').Scripts | undefined}
 */
function customScripts(texts, defaults) {
  /** @type {import('./native').Scripts} */
  const custom = Object.create(null);
  for (const name of NAMES) {
    const text = texts[name];
    if (typeof text !== 'string') {
      throw wrongType('OPTIONS', `${name} must be a script's text, not ${show(text)}`);
    }
    if (text !== defaults[NATIVE[name]]) custom[NATIVE[name]] = text;
  }
  return Object.keys(custom).length ? custom : undefined;
}

module.exports = { readScripts, customScripts, describe, NAMES };
