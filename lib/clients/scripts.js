'use strict';

/** Scripts as clients are asked to run them: each text with its digest. */

const { defaultScripts } = require('../addon');
const { sha1 } = require('../scripts');

/** @typedef {import('./client').Script} Script */

/** In the order of their use, the last one last. @type {Map<string, Script>} */
const digests = new Map();

/** How many of them are kept: a caller may change scripts with each call. */
const MOST_DIGESTS = 100;

/**
 * @param {string} text
 * @returns {Script}
 */
function withDigest(text) {
  const script = digests.get(text) ?? { text, digest: sha1(text) };
  digests.delete(text);
  digests.set(text, script);
  if (digests.size > MOST_DIGESTS) digests.delete(/** @type {string} */ (digests.keys().next().value));
  return script;
}

const { acquire, extend, release, inspect, first } = defaultScripts();

/** The engine's own, by operation; `first` is a lock that also sees whether the client may release it. */
const OWN_TEXTS = { lock: acquire, extend, unlock: release, inspect, first };

/** Those of them that were asked for. @type {Map<keyof typeof OWN_TEXTS, Script>} */
const own = new Map();

/**
 * @param {keyof typeof OWN_TEXTS} operation
 * @returns {Script}
 */
function ownScript(operation) {
  let script = own.get(operation);
  if (script === undefined) {
    const text = OWN_TEXTS[operation];
    script = { text, digest: sha1(text) };
    own.set(operation, script);
  }
  return script;
}

module.exports = { ownScript, withDigest };
