'use strict';

/**
 * Who wants to know that a client has come to its end. A client gets one listener, however many Redlocks
 * use it, and none of them is kept alive by it.
 *
 * @typedef {{look: () => void}} Watcher
 */

/** @type {WeakMap<object, Set<WeakRef<Watcher>>>} */
const watchers = new WeakMap();

/**
 * @param {any} client of a known library: an event emitter, or it says nothing of its end
 * @param {Watcher} watcher
 */
function watchEnd(client, watcher) {
  if (typeof client.on !== 'function') return;
  let all = watchers.get(client);
  if (!all) {
    all = new Set();
    watchers.set(client, all);
    client.on('end', () => tell(watchers.get(client)));
  }
  forgetCollected(all);
  all.add(new WeakRef(watcher));
}

/** @param {Set<WeakRef<Watcher>> | undefined} all */
function tell(all = new Set()) {
  for (const watcher of all) watcher.deref()?.look();
}

/** @param {Set<WeakRef<Watcher>>} all */
function forgetCollected(all) {
  for (const watcher of all) if (!watcher.deref()) all.delete(watcher);
}

module.exports = { watchEnd };
