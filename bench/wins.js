'use strict';

const { cases } = require('./cases');
const { show } = require('./report');

/**
 * Where a peer is ahead, in sentences: of ours by URL in any figure, of ours over a client in throughput.
 *
 * @param {import('./outcome').Outcome[]} outcomes
 * @returns {string[]}
 */
function findWins(outcomes) {
  const wins = outcomes.flatMap((outcome) => [
    ...outcome.results.flatMap((peer) => winOfPeer(outcome, peer)),
    ...outcome.results.flatMap((ours) => lossOfOurs(outcome, ours)),
  ]);
  if (!wins.length) wins.push(outcomes.some(isCompared) ? NONE_IS_AHEAD : NONE_WAS_COMPARED);
  return [...wins, ...outcomes.flatMap(failuresOf)];
}

const NONE_IS_AHEAD = 'No peer is ahead of redlock-native in any figure that was measured.';
const NONE_WAS_COMPARED = 'Nothing was compared: no case was run by ours and by a peer.';

/** Whether ours and a peer took part. */
function isCompared({ results }) {
  return ['ours', 'peer'].every((kind) => results.some((one) => one.kind === kind));
}

/** All figures in which a peer is ahead of ours by URL, in one sentence. */
function winOfPeer({ kind, case: one, results }, peer) {
  const ours = results.find(({ id }) => id === 'url');
  if (!ours || peer.kind !== 'peer') return [];
  const { title, figures } = cases[kind];
  const ahead = figures
    .filter((figure) => isAhead(figure, peer, ours))
    .map((figure) => `${figure.title} ${show(figure, peer.median)} to ${show(figure, ours.median)}`);
  if (!ahead.length) return [];
  return [`${title(one)}: ${peer.name} is ahead of ${ours.name}: ${ahead.join('; ')}.`];
}

/** All peers that are ahead of ours over a client in the case's first figure, in one sentence. */
function lossOfOurs({ kind, case: one, results }, ours) {
  if (ours.kind !== 'ours' || ours.id === 'url') return [];
  const { title, figures } = cases[kind];
  const figure = figures.find(({ better }) => better);
  const ahead = results
    .filter((peer) => peer.kind === 'peer' && isAhead(figure, peer, ours))
    .map((peer) => `${peer.name} (${show(figure, peer.median)})`);
  if (!ahead.length) return [];
  const own = `${ours.name} (${show(figure, ours.median)})`;
  return [`${title(one)}, ${figure.title}: ahead of ${own}: ${ahead.join(', ')}.`];
}

/** By as much as the table shows. */
function isAhead(figure, { median: theirs }, { median: ours }) {
  const { key, better } = figure;
  if (!better || theirs[key] === null || ours[key] === null) return false;
  if (show(figure, theirs) === show(figure, ours)) return false;
  return better === 'higher' ? theirs[key] > ours[key] : theirs[key] < ours[key];
}

function failuresOf({ kind, case: one, results }) {
  if (kind !== 'cycles') return [];
  return results.flatMap(({ name, rounds }) => {
    const failed = rounds.reduce((sum, round) => sum + round.failed, 0);
    const first = rounds.find(({ firstError }) => firstError)?.firstError;
    return failed ? [`${cases[kind].title(one)}: ${failed} cycles of ${name} failed: ${first}`] : [];
  });
}

module.exports = { findWins };
