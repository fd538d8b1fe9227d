'use strict';

/**
 * Real redis-servers on loopback, for the tests, the demo and the benchmark: started on ports of
 * their own, without persistence, in a temporary folder each, and never left behind.
 */

const { fork, spawn } = require('node:child_process');
const { randomBytes } = require('node:crypto');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { freePort, HOST } = require('./free-port');
const { findRedisServer, HOW_TO_GET_ONE } = require('./redis-server');
const { ask } = require('./resp');
const { tlsArguments } = require('./server-tls');
const { until } = require('./until');

/**
 * @typedef {object} ServerOptions
 * @property {string} [program] path of the redis-server; found by itself if left out
 * @property {string} [requirepass] the default user's password
 * @property {string[]} [users] ACL users as in redis.conf's `user` lines, without the word itself:
 *   `'alice on >secret ~* +@all'`, `'default off'`
 * @property {import('./server-tls').ServerTls} [tls] TLS on its port, instead of plain TCP
 * @property {string[]} [args] anything else for redis-server's command line
 * @property {number} [delay] how many milliseconds later what is sent to its port arrives; not what `command` sends
 */

/**
 * Starts `count` servers and resolves when all of them answer.
 *
 * @param {number} count
 * @param {ServerOptions | ((index: number) => ServerOptions)} [options] the same for all of them, or those of each
 * @returns {Promise<RedisServer[]>}
 */
async function startServers(count, options = {}) {
  const optionsOf = typeof options === 'function' ? options : () => options;
  const servers = Array.from({ length: count }, (_, index) => new RedisServer(optionsOf(index)));
  try {
    await Promise.all(servers.map((server) => server.start()));
  } catch (error) {
    await Promise.all(servers.map((server) => server.stop()));
    throw error;
  }
  return servers;
}

class RedisServer {
  #options;
  #admin;
  /** @type {import('node:child_process').ChildProcess | null} */
  #child = null;
  /** What stands before its own port, where there is a delay. @type {import('node:child_process').ChildProcess | null} */
  #delayed = null;
  /** Where the process listens. */
  #ownPort = 0;

  /** @param {ServerOptions} [options] */
  constructor(options = {}) {
    this.#options = options;
    this.#admin = adminOf(options);
    this.host = HOST;
    /** The same over restarts. */
    this.port = 0;
    this.dir = '';
  }

  /** Without credentials, whatever the options. */
  get url() {
    const scheme = this.#options.tls ? 'rediss' : 'redis';
    return `${scheme}://${this.host}:${this.port}`;
  }

  /** The path of the unix socket on which it listens too, without TLS. */
  get socket() {
    return path.join(this.dir, SOCKET);
  }

  /** Undefined while no process runs. */
  get pid() {
    return this.#child?.pid;
  }

  /** Starts it on a free port and resolves when it answers. */
  async start() {
    this.dir ||= makeFolder();
    folders.add(this.dir);
    await launchUntilUp(async () => {
      this.#ownPort = await freePort();
      return this.#launch();
    });
    const { delay } = this.#options;
    this.port = delay ? await this.#listenBefore(delay) : this.#ownPort;
  }

  /** Ends it if it still runs, then starts it again, empty, on the same port. */
  async restart() {
    await this.kill();
    await launchUntilUp(() => this.#launch());
  }

  /** An orderly end, paused or not; its folder goes too. */
  async stop() {
    this.resume();
    await this.#end('SIGTERM');
    this.#delayed?.kill();
    if (this.dir) fs.rmSync(this.dir, { recursive: true, force: true });
    folders.delete(this.dir);
    this.dir = '';
  }

  /** Ends it as a crash would. */
  async kill() {
    await this.#end('SIGKILL');
  }

  /** Freezes it: the kernel still accepts connections and bytes for it, nothing answers. */
  pause() {
    this.#child?.kill('SIGSTOP');
  }

  resume() {
    this.#child?.kill('SIGCONT');
  }

  /**
   * Sends one command over a connection of its own (so that it works after restarts and leaves
   * nothing behind), past whatever passwords and certificates the options ask for.
   *
   * @param {string} name
   * @param {...(string | number | Buffer)} args
   * @returns {Promise<any>} the reply; rejects with the server's error, or after 5 s of silence
   */
  command(name, ...args) {
    return ask(this.socket, [...this.#admin.login, [name, ...args]]);
  }

  /** All keys there are, sorted. */
  async keys() {
    return (await this.command('KEYS', '*')).sort();
  }

  /** CPU time used by the server so far, in microseconds. */
  async cpu() {
    const info = await this.info('cpu');
    return (Number(info.used_cpu_user) + Number(info.used_cpu_sys)) * 1e6;
  }

  /** @returns {Promise<Record<string, string>>} */
  async info(section) {
    return fields(await this.command('INFO', section));
  }

  /** Resolves with true once it listens on `port`, with false if that port was somebody else's. */
  async #launch() {
    const log = path.join(this.dir, 'server.log');
    const out = fs.openSync(log, 'w');
    const child = spawn(programOf(this.#options), this.#arguments(), {
      cwd: this.dir,
      stdio: ['ignore', out, out],
    });
    fs.closeSync(out);
    await once(child, 'spawn');
    // A server that is merely up must not keep its starter alive.
    child.unref();
    this.#child = child;
    children.add(child);
    child.once('exit', () => {
      children.delete(child);
      if (this.#child === child) this.#child = null;
    });

    const gone = () => child.exitCode !== null || child.signalCode !== null;
    // On the unix socket nobody else answers, and it is the last thing that is opened, after the port.
    const up = async () => gone() || this.command('PING');
    try {
      await until(up, { timeout: START_TIMEOUT, what: 'redis-server answers' });
    } catch (error) {
      await this.kill();
      throw new Error(`${error.message}\n${fs.readFileSync(log, 'utf8')}`, { cause: error });
    }
    if (!gone()) return true;
    const said = fs.readFileSync(log, 'utf8');
    if (/address already in use/i.test(said)) return false;
    throw new Error(`redis-server ended while starting:\n${said}`);
  }

  /** @returns {Promise<number>} the port where what is sent arrives later */
  async #listenBefore(delay) {
    const port = await freePort();
    const child = fork(path.join(__dirname, 'delayed-port.js'), [port, this.#ownPort, delay].map(String), {
      execArgv: [],
    });
    this.#delayed = child;
    children.add(child);
    const ended = once(child, 'exit').then(() => ['it has ended']);
    child.once('exit', () => children.delete(child));
    const [said] = await Promise.race([once(child, 'message'), ended]);
    child.unref();
    child.channel?.unref();
    if (said === 'listening') return port;
    child.kill();
    // Somebody else has taken it meanwhile.
    if (said === 'EADDRINUSE') return this.#listenBefore(delay);
    throw new Error(`what is sent to a server can't be delayed: ${said}`);
  }

  #arguments() {
    const { requirepass, tls, args = [] } = this.#options;
    return [
      ...['--bind', HOST, '--unixsocket', this.socket],
      ...(tls ? tlsArguments(tls, this.#ownPort, this.dir) : ['--port', String(this.#ownPort)]),
      ...['--save', '', '--appendonly', 'no', '--dir', this.dir],
      ...(requirepass ? ['--requirepass', requirepass] : []),
      ...this.#admin.users.flatMap((user) => ['--user', ...user.split(' ')]),
      ...args,
    ];
  }

  async #end(signal) {
    const child = this.#child;
    if (!child) return;
    child.ref();
    const ended = once(child, 'exit');
    child.kill(signal);
    const force = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT);
    await ended;
    clearTimeout(force);
  }
}

const START_TIMEOUT = 10_000;
const STOP_TIMEOUT = 2000;

/** Again and again while the port turns out to be taken: by `restart`, until it is free once more. */
async function launchUntilUp(launch) {
  const deadline = performance.now() + START_TIMEOUT;
  while (!(await launch())) {
    if (performance.now() >= deadline) throw new Error(`the port was taken for ${START_TIMEOUT} ms`);
  }
}

const SOCKET = 'redis.sock';
/** The longest path a unix socket may have, in bytes; macOS allows the least. */
const LONGEST_SOCKET = 103;

function makeFolder() {
  const inTemp = path.join(os.tmpdir(), 'redlock-native-');
  const isTooLong = Buffer.byteLength(path.join(`${inTemp}XXXXXX`, SOCKET)) > LONGEST_SOCKET;
  return fs.mkdtempSync(isTooLong ? '/tmp/redlock-native-' : inTemp);
}

/**
 * How our own commands get in. Where the caller defines users, one more is ours, so that theirs may
 * be as narrow as they like.
 */
function adminOf({ requirepass, users = [] }) {
  if (!users.length) return { users, login: requirepass ? [['AUTH', requirepass]] : [] };
  const password = randomBytes(16).toString('hex');
  return { users: [...users, `harness on >${password} ~* &* +@all`], login: [['AUTH', 'harness', password]] };
}

/** `INFO`'s text as an object. */
function fields(info) {
  const lines = info.split('\r\n').filter((line) => line.includes(':'));
  return Object.fromEntries(lines.map((line) => line.split(/:(.*)/s)));
}

function programOf({ program }) {
  const found = program ?? findRedisServer();
  if (!found) throw new Error(HOW_TO_GET_ONE);
  return found;
}

// What must not outlive this process.
const children = new Set();
const folders = new Set();

function endAll() {
  for (const child of children) {
    child.kill('SIGCONT');
    child.kill('SIGKILL');
  }
  for (const folder of folders) fs.rmSync(folder, { recursive: true, force: true });
}

process.on('exit', endAll);
// A signal's default action ends the process without 'exit'.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, () => {
    endAll();
    process.kill(process.pid, signal);
  });
}

module.exports = { startServers, RedisServer };
