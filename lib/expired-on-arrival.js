'use strict';

const { TOO_LATE } = require('./failures');

/**
 * A lock whose validity has passed by the time its grant arrives here is released, and counts as refused.
 * What an instance grants after its round's verdict is released in the engine (round/late_grants.rs).
 *
 * @param {import('./native').Engine} engine
 * @param {readonly string[]} names
 * @param {import('./native').Answer} answer which `isLate`
 * @param {import('./options').Settings} settings
 * @param {boolean} report whether instances' failures are wanted as events
 */
function refuseLate(engine, names, answer, settings, report) {
  engine.unlock(names, answer.value, answer.since, settings, report);
  answer.failure = TOO_LATE;
}

module.exports = { refuseLate };
