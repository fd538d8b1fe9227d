'use strict';

/** The engines that native has not let go of yet. */

const { isKeptAwake, whenIdle } = require('./keep-alive');
const { rest } = require('./mailbox');
const { hasTimers } = require('./timers');

/** By handle. An engine does not keep its Redlock alive. @type {Map<number, import('./types').Asker>} */
const engines = new Map();

/** Once nobody needs native any more, nothing of it is left that would keep this realm. */
function restIfIdle() {
  if (engines.size === 0 && !isKeptAwake() && !hasTimers()) rest();
}

whenIdle(restIfIdle);

module.exports = { engines, restIfIdle };
