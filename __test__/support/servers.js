'use strict';

const { hasTls } = require('../../scripts/server-tls');
const { startServers: start } = require('../../scripts/servers');

/** In milliseconds. */
const DELAY = 30;

/**
 * Starts `count` real redis-servers that are stopped when the test `t` ends (give a suite's `before`
 * an object with an `after` of its own, or `{ after }` from node:test). Where LATE is set, one of three is told all that a
 * Redlock tells it later than the others are: what a test finds there at once was there by luck.
 *
 * @param {{after: (callback: () => Promise<unknown>) => void}} t
 * @param {number} count
 * @param {import('../../scripts/servers').ServerOptions} [options]
 */
async function startServers(t, count, options) {
  const isLate = (index) => count === 3 && !options?.tls && String(index) === process.env.LATE;
  const servers = await start(count, (index) =>
    isLate(index) ? { ...options, delay: DELAY } : { ...options },
  );
  t.after(() => Promise.all(servers.map((server) => server.stop())));
  return servers;
}

/**
 * The options of a test or suite that starts servers with TLS: skipped, with the reason, where the
 * redis-server that was found has none.
 */
function needsTls() {
  return { skip: hasTls() ? false : 'the redis-server on this machine was built without TLS' };
}

module.exports = { startServers, hasTls, needsTls };
