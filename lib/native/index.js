'use strict';

/**
 * JavaScript's side of the hand-over (docs/hand-over.md): a tick's requests go to native in one call, its answers come
 * back in batches. A request costs one slot, which is an integer, and one promise.
 *
 * @typedef {import('./types').NativeVote} NativeVote
 * @typedef {import('./types').NativeFailure} NativeFailure
 * @typedef {import('./types').Scripts} Scripts
 */

const { Answer } = require('./answer');
const { Cancellation } = require('./requests');
const { flags } = require('../constants');
const { Engine, CLOSED } = require('./engine');

// From now on what native says is heard.
require('./answers');

const {
  inspectIfHeld: INSPECT_IF_HELD,
  isRepeated: IS_REPEATED,
  queues: QUEUES,
  wakeups: WAKEUPS,
  fair: FAIR,
} = flags;

// In shorthand throughout: only so do types come along with classes.
module.exports = {
  Engine,
  Cancellation,
  Answer,
  INSPECT_IF_HELD,
  IS_REPEATED,
  QUEUES,
  WAKEUPS,
  FAIR,
  CLOSED,
};
