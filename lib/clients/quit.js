'use strict';

/** Ends callers' clients: each once at a time, however many Redlocks have it. */

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

module.exports = { quitOnce };
