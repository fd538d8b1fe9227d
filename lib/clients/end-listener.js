'use strict';

/**
 * Tells bridges when a client emits `end`. A client gets one listener, however many Redlocks use it, and the listener
 * keeps none of them alive.
 *
 * @typedef {{refresh: () => void}} Listener
 */

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

module.exports = { onClientEnd };
