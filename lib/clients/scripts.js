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
const OWN_SCRIPTS = {
  lock: withDigest(acquire),
  extend: withDigest(extend),
  unlock: withDigest(release),
  inspect: withDigest(inspect),
  first: withDigest(first),
};

module.exports = { OWN_SCRIPTS, withDigest };
