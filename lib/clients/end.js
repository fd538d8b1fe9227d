'use strict';

/**
 * The end of callers' clients: each is ended once at a time, and has one listener for its end, however many Redlocks have
 * it. The listener keeps none of them alive.
 *
 * @typedef {{refresh: () => void}} Listener
 */

const { after } = require('../native/mailbox');

/** How long a client may take to quit, in ms. */
const LONGEST_QUIT = 2000;
const LATE = Symbol('late');

/** Those that are under way. @type {WeakMap<object, Promise<unknown>>} */
const quits = new WeakMap();

/**
 * @param {import('./client').Client} client
 * @returns {Promise<unknown>} what the client answers to it
 */
function quitOnce(client) {
  const key = client.client;
  const underWay = quits.get(key);
  if (underWay) return underWay;
  const quit = quitInTime(client).finally(() => quits.delete(key));
  quits.set(key, quit);
  return quit;
}

/** @param {import('./client').Client} client */
async function quitInTime(client) {
  if (client.isClosed) return 'OK';
  let stop = () => {};
  const late = new Promise((resolve) => {
    stop = after(LONGEST_QUIT, () => resolve(LATE));
  });
  try {
    const answer = await Promise.race([client.quit(), late]);
    if (answer !== LATE) return answer;
    // Behind a server that is hung or gone, it would wait in the client's queue for good.
    client.abandon();
    return 'OK';
  } catch (error) {
    if (client.isClosed) return 'OK';
    throw error;
  } finally {
    stop();
  }
}

/** By client. @type {WeakMap<object, Set<WeakRef<Listener>>>} */
const listeners = new WeakMap();

/**
 * @param {any} client of a known library: an event emitter, or it says nothing of its end
 * @param {Listener} listener
 */
function onClientEnd(client, listener) {
  if (typeof client.on !== 'function') return;
  let all = listeners.get(client);
  if (!all) {
    all = new Set();
    listeners.set(client, all);
    client.on('end', () => tell(listeners.get(client)));
  }
  forgetCollected(all);
  all.add(new WeakRef(listener));
}

/** @param {Set<WeakRef<Listener>> | undefined} all */
function tell(all = new Set()) {
  for (const listener of all) listener.deref()?.refresh();
}

/** @param {Set<WeakRef<Listener>>} all */
function forgetCollected(all) {
  for (const listener of all) if (!listener.deref()) all.delete(listener);
}

module.exports = { quitOnce, onClientEnd };
