'use strict';

/** Those who listen to node:diagnostics_channel, take their time and throw: nothing of that may reach who calls. */

const { channel } = require('node:diagnostics_channel');

const { Chance } = require('./chance');

const OPERATIONS = ['lock', 'extend', 'unlock', 'hold'];
const PARTS = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'];

/**
 * Some of the channels are listened to, in some worlds.
 *
 * @param {import('./world').World} world
 * @param {(share: number, ttl: number) => void} maybeBlock
 * @returns {() => void} ends it: channels are the process's, and worlds come one after the other
 */
function listen(world, maybeBlock) {
  // Of their own: what else happens in a world is the same with them and without.
  const chance = new Chance(world.seed + 0x5eed);
  /** @type {(() => void)[]} */
  const endings = [];
  if (!chance.is(0.4)) return () => {};
  const hearsAll = chance.is(0.3);
  const begun = new WeakSet();
  world.isListenedTo = true;
  for (const operation of OPERATIONS) {
    for (const part of PARTS) {
      if (!hearsAll && !chance.is(0.3)) continue;
      const one = channel(`tracing:redlock:${operation}:${part}`);
      const listener = (/** @type {any} */ message) => {
        world.count('messages on channels');
        if (part === 'start') begun.add(message);
        else if (hearsAll)
          world.demand(begun.has(message), `${operation}:${part} is told of what has not begun`);
        world.trace(`told ${operation}:${part} ${message.outcome}`);
        world.checkError(message.error, `the message of ${operation}:${part}`);
        if (chance.is(0.02)) Object.freeze(message);
        if (chance.is(0.2)) maybeBlock(1, 100);
        if (chance.is(0.05)) world.thrower()();
      };
      one.subscribe(listener);
      endings.push(() => one.unsubscribe(listener));
    }
  }
  return () => {
    for (const end of endings) end();
  };
}

module.exports = { listen };
