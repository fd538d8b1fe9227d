'use strict';

/** What was probably meant by a name that is unknown. */

const { bare } = require('./foreign');

/**
 * What others call our options, as `plain` makes it.
 *
 * @type {Record<string, string>}
 */
const OTHER_NAMES = bare({
  ...allOf('maxWait', 'timeout wait waitfor waittime waittimeout acquiretimeout locktimeout blockingtimeout'),
  ...allOf('retryCount', 'retries maxretries retry attempts maxattempts tries'),
  ...allOf('retryDelay', 'delay retryinterval retrywait interval backoff'),
  ...allOf('retryJitter', 'jitter'),
  ...allOf('driftFactor', 'drift clockdrift clockdriftfactor'),
  ...allOf(
    'autoExtend',
    'extend autorenew renew autoextension heartbeat keepalive automaticextensionthreshold',
  ),
  ...allOf('tryLock', 'try once nowait nonblocking'),
  ...allOf('signal', 'abortsignal abort'),
  ...allOf('fair', 'fifo ordered'),
});

/**
 * @param {string} option
 * @param {string} names
 */
function allOf(option, names) {
  return Object.fromEntries(names.split(' ').map((name) => [name, option]));
}

/**
 * The known key that was probably meant by an unknown one, if one is near.
 *
 * @param {string} key as it may be shown, quoted or not
 * @param {readonly string[]} known
 * @returns {string} the end of a sentence; nothing if none is
 */
function suggestion(key, known) {
  const meant = nearest(key, known);
  return meant === undefined ? '' : `: did you mean "${meant}"?`;
}

/**
 * @param {string} key
 * @param {readonly string[]} known
 * @returns {string | undefined}
 */
function nearest(key, known) {
  const given = plain(key);
  if (known.includes(OTHER_NAMES[given])) return OTHER_NAMES[given];
  // One slip in four letters: with more it is another word.
  const most = Math.max(1, Math.floor(given.length / 4));
  let best;
  let least = most + 1;
  for (const one of known) {
    const far = distance(given, plain(one));
    if (far < least) [best, least] = [one, far];
  }
  return best;
}

/** @param {string} key */
function plain(key) {
  return key.toLowerCase().replace(/[^a-z0-9]/g, '');
}

/**
 * The edit distance: how many letters are different, too many, missing or swapped with the next.
 *
 * @param {string} one
 * @param {string} other
 */
function distance(one, other) {
  let before = /** @type {number[]} */ ([]);
  let row = Array.from({ length: other.length + 1 }, (_, at) => at);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++) {
      const isSame = one[i - 1] === other[j - 1];
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (isSame ? 0 : 1));
      const isSwapped = i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1];
      if (isSwapped) next[j] = Math.min(next[j], before[j - 2] + 1);
    }
    before = row;
    row = next;
  }
  return row[other.length];
}

module.exports = { suggestion, nearest };
