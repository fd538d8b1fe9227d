'use strict';

/** The query of a URL, and its percent escapes. */

const { unusableInstance } = require('../errors');

/** What a URL's query may say. */
const QUERY_KEYS = ['keyPrefix', 'connectTimeout', 'clientName', 'protocol'];

/** A pair whose key may be shown: in any other, what is left of a URL that was cut wrongly may be a part of a password. */
const PLAIN = /^[A-Za-z]{1,20}=/;

/** By what others have TLS asked for. */
const TLS_KEY = /^(?:tls|ssl|usetls)$/i;

/**
 * @param {Record<string, unknown>} config
 * @param {string} search
 * @param {string[]} known
 * @param {string} name
 */
function addQuery(config, search, known, name) {
  // Not URLSearchParams: it would make a space of a "+", in a prefix too.
  for (const pair of search.slice(1).split('&').filter(Boolean)) {
    const [first, ...rest] = pair.split('=');
    const key = decode(first, 'query', name);
    const value = decode(rest.join('='), 'query', name);
    if (!known.includes(key)) {
      const what = PLAIN.test(pair) ? `the unknown query key "${key}"` : 'an unknown query key';
      const hint = TLS_KEY.test(key) ? ' (for TLS write rediss:// in place of redis://)' : '';
      throw unusableInstance(`${name} has ${what}; known are ${known.join(', ')}${hint}`);
    }
    if (config[key] !== undefined) throw unusableInstance(`${name} has the query key "${key}" twice`);
    config[key] = value;
  }
}

/**
 * @param {string} text
 * @param {string} part
 * @param {string} name
 */
function decode(text, part, name) {
  try {
    return decodeURIComponent(text);
  } catch {
    throw unusableInstance(`${name} has a "%" in its ${part} that begins no escape; write it as %25`);
  }
}

/**
 * @param {string} name
 * @param {string} what of the URL the "@" comes after
 */
function misplacedAt(name, what) {
  return unusableInstance(
    `${name} has an "@" after its ${what}: in a username, a password or a query, ` +
      'write "@" as %40, "/" as %2F, "?" as %3F, "#" as %23 and ":" as %3A',
  );
}

module.exports = { QUERY_KEYS, addQuery, decode, misplacedAt };
