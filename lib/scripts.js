'use strict';

/**
 * A caller's own Lua scripts, as redlock has them: functions from our text to theirs, and what a face shows of the texts,
 * which is read there again before each request.
 *
 * @typedef {'acquire' | 'extend' | 'release'} Role what native calls them
 * @typedef {{value: string, hash: string}} Script a text and its digest
 * @typedef {object} Naming what a face calls the scripts, and how errors do
 * @property {readonly string[]} names
 * @property {readonly Role[]} roles of each
 * @property {string} maker what a function is that makes a text, as `option`
 * @property {(name: string) => string} textOf
 */

const { createHash } = require('node:crypto');

const { defaultScripts } = require('./addon');
const { outOfRange, wrongType, show } = require('./errors');
const { disregard } = require('./promises');

const OWN = defaultScripts();

/** redlock 4's. @type {Naming} */
const LOCK_SCRIPTS = {
  names: ['lockScript', 'unlockScript', 'extendScript'],
  roles: ['acquire', 'release', 'extend'],
  maker: 'option',
  textOf: (name) => name,
};

/**
 * @param {Naming} naming
 * @param {Record<string, any>} changes functions from our text to the caller's, where there are any
 * @param {unknown} [self] what they are called on
 * @returns {Record<string, Script>}
 */
function readScripts({ names, roles, maker }, changes, self) {
  const entries = names.map((name, at) => {
    const own = OWN[roles[at]];
    const change = changes[name];
    const text = typeof change === 'function' ? change.call(self, own) : own;
    if (typeof text === 'string') return [name, describe(text)];
    disregard(text);
    throw wrongType('OPTIONS', `the ${maker} "${name}" must return a script's text, not ${show(text)}`);
  });
  return Object.fromEntries(entries);
}

/**
 * @param {string} value
 * @returns {Script}
 */
function describe(value) {
  return { value, hash: sha1(value) };
}

/**
 * @param {Naming} naming
 * @param {Record<string, Script>} scripts
 * @returns {string[]} in the naming's order
 */
function textsOf({ names }, scripts) {
  return names.map((name) => scripts[name].value);
}

/**
 * What a face shows, if one of them isn't as it was: asked before each request, so that it copies nothing.
 *
 * @param {readonly string[]} known in the naming's order, as are the others
 * @param {string} first
 * @param {string} second
 * @param {string} third
 * @returns {string[] | undefined}
 */
function changedTexts(known, first, second, third) {
  const isSame = first === known[0] && second === known[1] && third === known[2];
  return isSame ? undefined : [first, second, third];
}

/**
 * What of them isn't ours, for native; undefined if all is.
 *
 * @param {Naming} naming
 * @param {readonly string[]} texts in its order
 * @returns {import('./native/types').Scripts | undefined}
 */
function customScripts({ names, roles, textOf }, texts) {
  /** @type {import('./native/types').Scripts} */
  const custom = Object.create(null);
  for (const [at, role] of roles.entries()) {
    const text = texts[at];
    if (typeof text !== 'string') {
      throw wrongType('OPTIONS', `${textOf(names[at])} must be a script's text, not ${show(text)}`);
    }
    if (text !== OWN[role]) custom[role] = text;
  }
  return Object.keys(custom).length ? custom : undefined;
}

/** @param {{config: {kind: string}}[]} members that are to run scripts of a caller's */
function refuseInMemory(members) {
  const index = members.findIndex(({ config }) => config.kind === 'memory');
  if (index === -1) return;
  throw outOfRange('OPTIONS', `instances[${index}] is in this process, where Lua scripts can't be run`);
}

/**
 * What a server knows a script by.
 *
 * @param {string} text
 */
function sha1(text) {
  return createHash('sha1').update(text).digest('hex');
}

module.exports = {
  ...{ sha1, LOCK_SCRIPTS, readScripts, describe },
  ...{ textsOf, changedTexts, customScripts, refuseInMemory },
};
