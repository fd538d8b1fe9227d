'use strict';

/** Finds a server's error code in a client's error: the word that servers begin their errors with. */

/** The words that servers begin their errors with. Clients begin theirs with others. */
const WORDS = new Set([
  ...['ERR', 'NOAUTH', 'WRONGPASS', 'NOPERM', 'WRONGTYPE', 'LOADING', 'READONLY', 'MASTERDOWN', 'MISCONF'],
  ...['OOM', 'BUSY', 'NOSCRIPT', 'CLUSTERDOWN', 'CROSSSLOT', 'MOVED', 'ASK', 'TRYAGAIN', 'NOREPLICAS'],
]);

/** What Valkey's own client puts in their places. @type {Record<string, string>} */
const GLIDE = {
  __proto__: /** @type {any} */ (null),
  ResponseError: 'ERR',
  PermissionDenied: 'NOPERM',
  AuthenticationFailed: 'WRONGPASS',
  NoScriptError: 'NOSCRIPT',
  ReadOnly: 'READONLY',
  BusyLoadingError: 'LOADING',
  MasterDown: 'MASTERDOWN',
  ClusterDown: 'CLUSTERDOWN',
  CrossSlot: 'CROSSSLOT',
  Moved: 'MOVED',
  Ask: 'ASK',
  TryAgain: 'TRYAGAIN',
};

/** The text before a server's. */
const SIGNALLED = /^An error was signalled by the server: (?:- )?/;

/** A word at the beginning, and what comes after it. */
const FIRST = /^([A-Za-z]+)(?:[ :]+(.*))?$/s;

/**
 * Where the error stands that a script has had, in the text of its own, as servers before Redis 7 write it. What
 * comes after it, names of keys or of users, is not looked at.
 */
const INSIDE =
  /^(?:Error running script \(call to (?:f_)?[0-9a-f]+\): )?(?:@?user_script:+ ?\d+: )+-?([A-Z]+)(?: |$)/;

/** What servers say in place of NOPERM inside scripts. */
const NO_PERMISSION =
  /^(?:Error running script \(call to (?:f_)?[0-9a-f]+\): )?(?:@?user_script:+ ?\d+: )*(?:The user executing the script can't |ACL failure in script)/;

/**
 * @param {string} message a client's error's
 * @returns {string | undefined} nothing where it is none of a server's
 */
function wordOf(message) {
  return parse(message)?.word;
}

/**
 * @param {string} message
 * @returns {{word: string, rest: string} | undefined} the word, and what the server has written after its first one
 */
function parse(message) {
  const text = message.replace(SIGNALLED, '');
  const [, first = '', details = ''] = FIRST.exec(text) ?? [];
  const word = WORDS.has(first) ? first : text === message ? undefined : GLIDE[first];
  if (word !== undefined && word !== 'ERR') return { word, rest: details };
  const rest = word === undefined ? text : details;
  if (NO_PERMISSION.test(rest)) return { word: 'NOPERM', rest };
  const inside = INSIDE.exec(rest)?.[1];
  if (inside !== undefined && inside !== 'NOSCRIPT' && WORDS.has(inside)) return { word: inside, rest };
  return word && { word, rest };
}

/**
 * Whether the server has not run a script because it knows none of that digest. Nothing was carried out.
 *
 * @param {string} message
 */
function isNoScript(message) {
  return wordOf(message) === 'NOSCRIPT' || UNKNOWN_SCRIPT.test(message);
}

/** Anywhere in the text, since a wrapper may have put words around it. */
const UNKNOWN_SCRIPT = /\bNOSCRIPT No matching script|^NoScriptError\b/;

/**
 * Whether the server doesn't let this user, or anybody, run scripts by their digests. Nothing was carried out.
 *
 * @param {string} message
 */
function forbidsDigests(message) {
  const parsed = parse(message);
  if (parsed?.word === 'NOPERM') return /\brun the 'evalsha'/i.test(parsed.rest);
  return parsed?.word === 'ERR' && /^(?:unknown|unsupported) command [`'"]?evalsha\b/i.test(parsed.rest);
}

module.exports = { wordOf, isNoScript, forbidsDigests };
