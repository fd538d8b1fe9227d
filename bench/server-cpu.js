'use strict';

const fs = require('node:fs');

/**
 * The CPU time that the servers have used so far, together, in microseconds.
 *
 * @param {import('../scripts/servers').RedisServer[]} servers
 */
async function serverCpu(servers) {
  const all = await Promise.all(servers.map(cpuOf));
  return all.reduce((sum, one) => sum + one, 0);
}

/** From the kernel where it tells; a server that is asked counts that too. */
async function cpuOf(server) {
  const tasks = `/proc/${server.pid}/task`;
  if (!fs.existsSync(`${tasks}/${server.pid}/schedstat`)) return server.cpu();
  return fs
    .readdirSync(tasks)
    .map((task) => Number(fs.readFileSync(`${tasks}/${task}/schedstat`, 'utf8').split(' ')[0]) / 1000)
    .reduce((sum, one) => sum + one, 0);
}

module.exports = { serverCpu };
