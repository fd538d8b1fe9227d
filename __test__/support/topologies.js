'use strict';

/** Several real servers as one: a cluster, and a master that sentinels watch. */

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { freePort, HOST } = require('../../scripts/free-port');
const { findRedisServer } = require('../../scripts/redis-server');
const { ask } = require('../../scripts/resp');
const { startServers } = require('./servers');
const { until } = require('./until');

const SLOTS = 16_384;

/**
 * A cluster of masters that knows all of its slots.
 *
 * @param {{after: (callback: () => Promise<unknown>) => void}} t
 * @param {number} [count] how many masters
 */
async function startCluster(t, count = 3) {
  const buses = await Promise.all(Array.from({ length: count }, freePort));
  const started = await Promise.all(
    // The usual port of the bus, 10000 above, may not exist.
    buses.map((bus) =>
      startServers(t, 1, { args: ['--cluster-enabled', 'yes', '--cluster-port', String(bus)] }),
    ),
  );
  const servers = started.flat();
  const from = (index) => Math.ceil((index * SLOTS) / count);
  await Promise.all(
    servers.map(async (server, index) => {
      await server.command('CLUSTER', 'ADDSLOTSRANGE', from(index), from(index + 1) - 1);
      await server.command('CLUSTER', 'SET-CONFIG-EPOCH', index + 1);
    }),
  );
  for (const [index, server] of servers.entries()) {
    if (index) await servers[0].command('CLUSTER', 'MEET', server.host, server.port, buses[index]);
  }
  const isOk = async (server) => (await server.command('CLUSTER', 'INFO')).includes('cluster_state:ok');
  await until(async () => (await Promise.all(servers.map(isOk))).every(Boolean), {
    timeout: 20_000,
    what: 'the cluster is up',
  });
  return servers;
}

/**
 * One sentinel that watches `master` and has found it.
 *
 * @param {{after: (callback: () => Promise<unknown>) => void}} t
 * @param {{host: string, port: number}} master
 * @param {string} [name]
 */
async function startSentinel(t, master, name = 'main') {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-native-'));
  const port = await freePort();
  const socket = path.join(dir, 'sentinel.sock');
  const lines = [
    `port ${port}`,
    `bind ${HOST}`,
    `unixsocket ${socket}`,
    `dir ${dir}`,
    `sentinel monitor ${name} ${master.host} ${master.port} 1`,
    `sentinel down-after-milliseconds ${name} 1000`,
    `sentinel failover-timeout ${name} 5000`,
  ];
  const config = path.join(dir, 'sentinel.conf');
  fs.writeFileSync(config, `${lines.join('\n')}\n`);
  const child = spawn(findRedisServer(), [config, '--sentinel'], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill);
  t.after(async () => {
    process.off('exit', kill);
    kill();
    await ended;
    fs.rmSync(dir, { recursive: true, force: true });
  });
  const command = (...args) => ask(socket, [args]);
  const isThere = () => command('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name).catch(() => false);
  await until(isThere, { timeout: 10_000, what: 'the sentinel is up' });
  return { host: HOST, port, name, command };
}

module.exports = { startCluster, startSentinel };
