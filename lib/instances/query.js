'use strict';

/** The query of a URL, and its percent escapes. */

const { outOfRange, show } = require('../errors');

/** What a URL's query may say. */
const QUERY_KEYS = ['keyPrefix', 'connectTimeout', 'clientName', 'protocol'];

/**
 * @param {Record<string, unknown>} config
 * @param {string} search
 * @param {string[]} known
 * @param {string} name
 */
function addQuery(config, search, known, name) {
  for (const [key, value] of readQuery(search, name)) {
    if (!known.includes(key)) {
      throw outOfRange(
        'INSTANCE',
        `${name} has the unknown query key ${show(key)}; known are ${known.join(', ')}`,
      );
    }
    if (config[key] !== undefined) throw outOfRange('INSTANCE', `${name} has the query key "${key}" twice`);
    config[key] = value;
  }
}

/**
 * Not URLSearchParams: it would make a space of a "+", in a prefix too.
 *
 * @param {string} search
 * @param {string} name
 */
function readQuery(search, name) {
  const pairs = search.slice(1).split('&').filter(Boolean);
  return pairs.map((pair) => {
    const [key, ...value] = pair.split('=');
    return [decode(key, 'query', name), decode(value.join('='), 'query', name)];
  });
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
    throw outOfRange('INSTANCE', `${name} has a "%" in its ${part} that begins no escape; write it as %25`);
  }
}

module.exports = { QUERY_KEYS, addQuery, decode };
