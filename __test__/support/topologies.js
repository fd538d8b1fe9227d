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
const { tlsArguments } = require('../../scripts/server-tls');
const { startServers } = require('./servers');
const { until } = require('./until');

const SLOTS = 16_384;

/**
 * A cluster that knows all of its slots.
 *
 * @param {{after: (callback: () => Promise<unknown>) => void}} t
 * @param {number} [count] how many masters
 * @param {object} [options]
 * @param {number} [options.replicas] how many each of them has
 * @param {number} [options.nodeTimeout] after how many ms of silence a node counts as lost
 * @param {import('../../scripts/servers').ServerOptions} [options.server] the same for all of them
 * @returns {Promise<import('../../scripts/servers').RedisServer[]>} the masters, then their replicas in
 *   the same order
 */
async function startCluster(t, count = 3, { replicas = 0, nodeTimeout = 15_000, server: options = {} } = {}) {
  const buses = await Promise.all(Array.from({ length: count * (1 + replicas) }, freePort));
  const args = [
    ...['--cluster-enabled', 'yes', '--cluster-node-timeout', String(nodeTimeout)],
    ...['--cluster-replica-validity-factor', '0', '--repl-diskless-sync-delay', '0'],
    ...(options.requirepass ? ['--masterauth', options.requirepass] : []),
    ...(options.tls ? ['--tls-cluster', 'yes', '--tls-replication', 'yes'] : []),
  ];
  const started = await Promise.all(
    // The usual port of the bus, 10000 above, may not exist.
    buses.map((bus) =>
      startServers(t, 1, {
        ...options,
        args: [...args, '--cluster-port', String(bus), ...(options.args ?? [])],
      }),
    ),
  );
  const servers = started.flat();
  const masters = servers.slice(0, count);
  await Promise.all(
    masters.map(async (server, index) => {
      const [first, last] = slotsOf(index, count);
      await server.command('CLUSTER', 'ADDSLOTSRANGE', first, last);
      await server.command('CLUSTER', 'SET-CONFIG-EPOCH', index + 1);
    }),
  );
  for (const [index, server] of servers.entries()) {
    if (index) await servers[0].command('CLUSTER', 'MEET', server.host, server.port, buses[index]);
  }
  const settle = (isSettled, what) =>
    until(async () => (await Promise.all(servers.map(isSettled))).every(Boolean), { timeout: 20_000, what });
  const state = (server) => server.command('CLUSTER', 'INFO');
  await settle(
    async (server) => (await state(server)).includes(`cluster_known_nodes:${servers.length}\r`),
    'all nodes have met',
  );
  for (const [index, replica] of servers.slice(count).entries()) {
    const master = await masters[index % count].command('CLUSTER', 'MYID');
    await until(() => replica.command('CLUSTER', 'REPLICATE', master).catch(() => false));
  }
  await settle(async (server) => (await state(server)).includes('cluster_state:ok'), 'the cluster is up');
  const hasReplicas = async (server) =>
    (await server.info('replication')).connected_slaves === String(replicas);
  await until(async () => (await Promise.all(masters.map(hasReplicas))).every(Boolean), {
    timeout: 20_000,
    what: 'the replicas are connected',
  });
  return servers;
}

/**
 * The first and the last slot of a cluster's master.
 *
 * @param {number} index
 * @param {number} count how many masters there are
 */
function slotsOf(index, count) {
  const from = (at) => Math.ceil((at * SLOTS) / count);
  return [from(index), from(index + 1) - 1];
}

/**
 * A replica of `master` that is in step with it.
 *
 * @param {{after: (callback: () => Promise<unknown>) => void}} t
 * @param {import('../../scripts/servers').RedisServer} master
 * @param {import('../../scripts/servers').ServerOptions} [options]
 */
async function startReplica(t, master, options = {}) {
  const { args = [], requirepass, tls } = options;
  const [replica] = await startServers(t, 1, {
    ...options,
    args: [
      ...['--replicaof', `${master.host} ${master.port}`, '--repl-diskless-sync-delay', '0'],
      ...(requirepass ? ['--masterauth', requirepass] : []),
      ...(tls ? ['--tls-replication', 'yes'] : []),
      ...args,
    ],
  });
  const isLinked = async () => (await replica.info('replication')).master_link_status === 'up';
  await until(isLinked, { timeout: 20_000, what: 'the replica is in step' });
  return replica;
}

/**
 * Sentinels that watch `master` and have found it, each other and its replicas.
 *
 * @param {{after: (callback: () => Promise<unknown>) => void}} t
 * @param {{host: string, port: number}} master
 * @param {object} [options]
 * @param {number} [options.count]
 * @param {number} [options.replicas] how many the master has
 * @param {string} [options.name] of the service
 * @param {string} [options.password] the sentinels' own
 * @param {string} [options.masterPassword]
 * @param {import('../../scripts/server-tls').ServerTls} [options.tls] TLS on their ports and to the servers
 * @param {string[]} [options.lines] what else stands in their sentinel.conf
 */
async function startSentinels(t, master, { count = 3, replicas = 0, name = 'main', ...options } = {}) {
  const quorum = Math.floor(count / 2) + 1;
  const starts = Array.from({ length: count }, () => new Sentinel(master, name, quorum, options).start(t));
  const sentinels = await Promise.all(starts);
  const knows = async (sentinel) => {
    const told = await sentinel.command('SENTINEL', 'MASTER', name).catch(() => []);
    const field = (key) => Number(told[told.indexOf(key) + 1]);
    return field('num-other-sentinels') === count - 1 && field('num-slaves') === replicas;
  };
  await until(async () => (await Promise.all(sentinels.map(knows))).every(Boolean), {
    timeout: 20_000,
    what: 'the sentinels have found each other and the replicas',
  });
  return sentinels;
}

/**
 * One sentinel that watches `master` and has found it.
 *
 * @param {{after: (callback: () => Promise<unknown>) => void}} t
 * @param {{host: string, port: number}} master
 * @param {string} [name]
 */
async function startSentinel(t, master, name = 'main') {
  const [sentinel] = await startSentinels(t, master, { count: 1, name });
  return sentinel;
}

class Sentinel {
  #lines;
  #dir = fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-native-'));
  #password;
  #tls;
  /** @type {import('node:child_process').ChildProcess} */
  #child;

  constructor(master, name, quorum, { password, masterPassword, tls, lines = [] }) {
    this.host = HOST;
    this.port = 0;
    this.name = name;
    this.#password = password;
    this.#tls = tls;
    this.#lines = [
      `sentinel monitor ${name} ${master.host} ${master.port} ${quorum}`,
      `sentinel down-after-milliseconds ${name} 1000`,
      `sentinel failover-timeout ${name} 5000`,
      ...(masterPassword ? [`sentinel auth-pass ${name} ${masterPassword}`] : []),
      ...(password ? [`requirepass ${password}`, `sentinel sentinel-pass ${password}`] : []),
      ...lines,
    ];
  }

  get #socket() {
    return path.join(this.#dir, 'sentinel.sock');
  }

  async start(t) {
    this.port = await freePort();
    const lines = [
      ...[`bind ${HOST}`, `unixsocket ${this.#socket}`, `dir ${this.#dir}`],
      ...(this.#tls ? this.#tlsLines() : [`port ${this.port}`]),
      ...this.#lines,
    ];
    const config = path.join(this.#dir, 'sentinel.conf');
    fs.writeFileSync(config, `${lines.join('\n')}\n`);
    this.#child = spawn(findRedisServer(), [config, '--sentinel'], { stdio: 'ignore' });
    const ended = once(this.#child, 'exit');
    const kill = () => this.kill();
    process.once('exit', kill);
    t.after(async () => {
      process.off('exit', kill);
      kill();
      await ended;
      fs.rmSync(this.#dir, { recursive: true, force: true });
    });
    const isThere = () => this.master().catch(() => false);
    await until(isThere, { timeout: 10_000, what: 'the sentinel is up' });
    return this;
  }

  #tlsLines() {
    const args = tlsArguments(this.#tls, this.port, this.#dir);
    const pairs = args
      .filter((_, at) => at % 2 === 0)
      .map((name, at) => `${name.slice(2)} ${args[2 * at + 1]}`);
    return [...pairs, 'tls-replication yes'];
  }

  command(...args) {
    return ask(this.#socket, [...(this.#password ? [['AUTH', this.#password]] : []), args]);
  }

  /** The port of whom it takes for the master. */
  async master() {
    const [, port] = await this.command('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', this.name);
    return Number(port);
  }

  kill() {
    this.#child.kill('SIGKILL');
  }

  pause() {
    this.#child.kill('SIGSTOP');
  }
}

module.exports = { slotsOf, startCluster, startReplica, startSentinel, startSentinels };
