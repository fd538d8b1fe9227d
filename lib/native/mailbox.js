'use strict';

/** The one Mailbox of this module instance: JavaScript's end of the hand-over. */

const { Mailbox } = require('../addon');
const { leaveAll, outside } = require('./context');

/** @type {Mailbox | undefined} */
let current;

/** Called when there is something to drain. @type {() => void} */
let wake = () => {};

/** @param {() => void} listener */
function onWake(listener) {
  wake = listener;
}

/** @type {(() => void)[]} */
const restListeners = [];

/** @param {() => void} listener forgets what the mailbox knew */
function onRest(listener) {
  restListeners.push(listener);
}

/** Made when it is first needed: a worker that only prints a lock needs no engine. */
function mailbox() {
  // In no context: native would keep the first caller's alive, and call in it for everybody.
  current ??= outside(() => new Mailbox(() => wake()));
  return current;
}

/** The one there is, if there is one. */
function currentMailbox() {
  return current;
}

/** Lets go of the mailbox: it would keep this module's realm from being collected. Another is made when one is needed. */
function rest() {
  current?.rest();
  current = undefined;
  leaveAll();
  for (const listener of restListeners) listener();
}

module.exports = { mailbox, currentMailbox, rest, onWake, onRest };
