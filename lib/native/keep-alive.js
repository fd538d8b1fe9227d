'use strict';

/** What keeps the process alive beside unanswered requests. */

const { currentMailbox, mailbox } = require('./mailbox');

/** How many callers of `keepAlive` there are. */
let awake = 0;

/** @type {() => void} */
let onIdle = () => {};

/** @param {() => void} listener is called when nothing keeps the process alive any more, but perhaps requests */
function whenIdle(listener) {
  onIdle = listener;
}

/**
 * Keeps the process alive, and the mailbox from being let go of.
 *
 * @returns {() => void} ends that; called again, it does nothing
 */
function keepAlive() {
  if (awake === 0) mailbox().keepAlive(true);
  awake += 1;
  let isAwake = true;
  return () => {
    if (!isAwake) return;
    isAwake = false;
    awake -= 1;
    if (awake > 0) return;
    currentMailbox()?.keepAlive(false);
    onIdle();
  };
}

function isKeptAwake() {
  return awake > 0;
}

module.exports = { keepAlive, isKeptAwake, whenIdle };
