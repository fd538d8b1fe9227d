'use strict';

/**
 * A caller's own Lua scripts, as redlock 4 has them: options that are functions from our text to
 * theirs, properties that show the texts, and `scripts`, which is read at each call.
 */

const { createHash } = require('node:crypto');

const { wrongType, outOfRange, show } = require('./errors');

/**
 * @typedef {'lockScript' | 'extendScript' | 'unlockScript'} ScriptName
 * @typedef {{value: string, hash: string}} Script
 * @typedef {Record<ScriptName, Script>} ScriptSet
 */

/** What native calls them, which is what redlock 5 does. */
const NATIVE = /** @type {const} */ ({
  lockScript: 'acquire',
  acquireScript: 'acquire',
  extendScript: 'extend',
  unlockScript: 'release',
  releaseScript: 'release',
});

/** @type {ScriptName[]} */
const NAMES = ['lockScript', 'unlockScript', 'extendScript'];

/**
 * @template {keyof NATIVE} Name
 * @param {any} options
 * @param {{acquire: string, extend: string, release: string}} defaults our own texts
 * @param {readonly Name[]} names what they are called
 * @returns {Record<Name, Script>}
 */
function readScripts(options, defaults, names) {
  /** @param {Name} name */
  const script = (name) => {
    const own = defaults[NATIVE[name]];
    const change = options?.[name];
    if (typeof change !== 'function') return describe(own);
    const text = change(own);
    if (typeof text === 'string') return describe(text);
    throw wrongType('OPTIONS', `the option "${name}" must return a script's text, not ${show(text)}`);
  };
  return /** @type {Record<Name, Script>} */ (Object.fromEntries(names.map((name) => [name, script(name)])));
}

/** @param {string} value */
function describe(value) {
  return { value, hash: createHash('sha1').update(value).digest('hex') };
}

/**
 * What of them isn't ours, in native's terms; undefined if all is.
 *
 * @template {keyof NATIVE} Name
 * @param {Record<Name, Script>} scripts
 * @param {{acquire: string, extend: string, release: string}} defaults
 * @returns {import('./native').Scripts | undefined}
 */
function customScripts(scripts, defaults) {
  /** @type {import('./native').Scripts} */
  const custom = {};
  for (const name of /** @type {Name[]} */ (Object.keys(scripts))) {
    if (!Object.hasOwn(NATIVE, name)) continue;
    const text = scripts[name].value;
    if (typeof text !== 'string') {
      throw wrongType('OPTIONS', `scripts.${name}.value must be a script's text, not ${show(text)}`);
    }
    if (text !== defaults[NATIVE[name]]) custom[NATIVE[name]] = text;
  }
  return Object.keys(custom).length ? custom : undefined;
}

/** @param {{kind: string}[]} instances that are to run scripts of a caller's */
function refuseInMemory(instances) {
  const index = instances.findIndex(({ kind }) => kind === 'memory');
  if (index === -1) return;
  throw outOfRange('OPTIONS', `instances[${index}] is in this process, where Lua scripts can't be run`);
}

module.exports = { readScripts, customScripts, refuseInMemory, NAMES };
