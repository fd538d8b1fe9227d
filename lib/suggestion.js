'use strict';

/**
 * The known key that was probably meant by an unknown one, if one is near.
 *
 * @param {string} key as it may be shown, quoted or not
 * @param {readonly string[]} known
 * @returns {string} the end of a sentence; nothing if none is
 */
function suggestion(key, known) {
  const given = plain(key);
  // One slip in four letters: with more it is another word.
  const most = Math.max(1, Math.floor(given.length / 4));
  let best;
  let least = most + 1;
  for (const one of known) {
    const far = distance(given, plain(one));
    if (far < least) [best, least] = [one, far];
  }
  return best === undefined ? '' : `: did you mean "${best}"?`;
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

module.exports = { suggestion };
