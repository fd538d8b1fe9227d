'use strict';

const { TOO_LATE } = require('./failures');

/**
 * A lock that was granted, and whose validity has passed by the time it arrives here, is released and counts as refused.
 *
 * @param {import('./native').Engine} engine
 * @param {readonly string[]} names
 * @param {import('./native').Answer} answer
 * @param {import('./options').Settings} settings
 * @param {boolean} report whether instances' failures are wanted as events
 */
function refuseIfOver(engine, names, answer, settings, report) {
  if (answer.failure || !answer.isOver) return;
  engine.unlock(names, answer.value, answer.since, settings, report);
  answer.failure = TOO_LATE;
}

module.exports = { refuseIfOver };
