'use strict';

const { startServers: start } = require('../../scripts/servers');

/**
 * Starts `count` real redis-servers that are stopped when the test `t` ends (give a suite's `before`
 * an object with an `after` of its own, or `{ after }` from node:test).
 *
 * @param {{after: (callback: () => Promise<unknown>) => void}} t
 * @param {number} count
 * @param {import('../../scripts/servers').ServerOptions} [options]
 */
async function startServers(t, count, options) {
  const servers = await start(count, options);
  t.after(() => Promise.all(servers.map((server) => server.stop())));
  return servers;
}

module.exports = { startServers };
