'use strict';

/**
 * Where a redis-server is on this machine. Used by the tests, the demo and the benchmark, and as a
 * command that prints the path: `node scripts/redis-server.js`.
 */

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const NAMES = ['redis-server', 'valkey-server'];

const HOW_TO_GET_ONE =
  'No redis-server was found. Install redis or valkey with your package manager, or set REDIS_SERVER to the path of one.';

/**
 * The path of a redis-server (or valkey-server): `REDIS_SERVER`, else one on PATH, else, with
 * `install`, one that the system's package manager brings. Null where there is none.
 *
 * @param {{install?: boolean}} [options]
 * @returns {string | null}
 */
function findRedisServer({ install = false } = {}) {
  const asked = process.env.REDIS_SERVER;
  if (asked) {
    const found = onPath(asked);
    if (!found) throw new Error(`REDIS_SERVER is "${asked}", which is not a program that can be run`);
    return found;
  }
  return firstOnPath() ?? (install && installOne() ? firstOnPath() : null);
}

function firstOnPath() {
  for (const name of NAMES) {
    const found = onPath(name);
    if (found) return found;
  }
  return null;
}

function onPath(program) {
  if (program.includes(path.sep)) return isProgram(program) ? path.resolve(program) : null;
  // A package manager may put servers where an ordinary user's PATH doesn't lead.
  const folders = [
    ...(process.env.PATH ?? '').split(path.delimiter),
    '/usr/sbin',
    '/usr/local/bin',
    '/opt/homebrew/bin',
  ];
  const found = folders.filter(Boolean).map((folder) => path.resolve(folder, program));
  return found.find(isProgram) ?? null;
}

function isProgram(file) {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
}

/**
 * In the order they are tried. Each `install` is given one package name after the other, since what
 * brings a server is called differently from release to release.
 */
const PACKAGE_MANAGERS = [
  {
    program: 'apt-get',
    platform: 'linux',
    needsRoot: true,
    update: ['update', '-q', '-o', 'Acquire::Retries=2'],
    install: ['install', '-q', '-y', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=60'],
    packages: ['redis-server', 'valkey-server'],
  },
  {
    program: 'apk',
    platform: 'linux',
    needsRoot: true,
    update: ['update', '-q'],
    install: ['add', '-q'],
    packages: ['redis', 'valkey'],
  },
  {
    program: 'dnf',
    platform: 'linux',
    needsRoot: true,
    install: ['install', '-q', '-y', '--setopt=install_weak_deps=False'],
    packages: ['valkey', 'redis'],
  },
  {
    program: 'brew',
    platform: 'darwin',
    needsRoot: false,
    install: ['install', '-q'],
    packages: ['redis', 'valkey'],
  },
];

const UPDATE_SECONDS = 120;
const INSTALL_SECONDS = 300;

function installOne() {
  const manager = PACKAGE_MANAGERS.find((one) => one.platform === process.platform && onPath(one.program));
  if (!manager) return false;
  const asRoot = manager.needsRoot ? rootPrefix() : [];
  if (!asRoot) return false;

  say(`No redis-server found: installing one with ${[...asRoot, manager.program].join(' ')} …`);
  const run = (args, seconds) => runBounded(asRoot, [manager.program, ...args], seconds);
  // What fails here (a mirror that is down, say) need not keep a cached list from working.
  if (manager.update) run(manager.update, UPDATE_SECONDS);
  let failure = '';
  for (const name of manager.packages) {
    const done = run([...manager.install, name], INSTALL_SECONDS);
    if (done.status === 0 && firstOnPath()) return true;
    failure ||= reasonOf(done);
  }
  say(`${manager.program} did not bring one: ${failure}`);
  return false;
}

/** What to put before a command so that it runs as root; null where we may not. */
function rootPrefix() {
  if (process.getuid?.() === 0) return [];
  if (!onPath('sudo')) return null;
  // -n: never ask for a password, fail instead.
  const allowed = spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore', timeout: 10_000 }).status === 0;
  return allowed ? ['sudo', '-n'] : null;
}

const ENVIRONMENT = [
  'DEBIAN_FRONTEND=noninteractive',
  // Keeps Debian's package from starting a server of the system's own beside ours.
  'RUNLEVEL=1',
  'HOMEBREW_NO_AUTO_UPDATE=1',
];

function runBounded(asRoot, command, seconds) {
  // An ordinary user can't end what sudo started, so the bound is set on sudo's far side; macOS has
  // no `timeout`, but brew needs no sudo either. `env`, because sudo drops most of the environment.
  const bound = process.platform === 'linux' ? ['timeout', String(seconds)] : [];
  const [program, ...args] = [...asRoot, ...bound, 'env', ...ENVIRONMENT, ...command];
  return spawnSync(program, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: (seconds + 5) * 1000,
  });
}

function reasonOf({ error, status, stderr }) {
  return error?.message ?? (stderr?.trim().split('\n').at(-1) || `it ended with ${status}`);
}

/** To stderr: stdout is for the path alone. */
function say(line) {
  process.stderr.write(`${line}\n`);
}

if (require.main === module) {
  const found = findRedisServer({ install: true });
  if (found) {
    process.stdout.write(`${found}\n`);
  } else {
    say(HOW_TO_GET_ONE);
    process.exitCode = 1;
  }
}

module.exports = { findRedisServer, HOW_TO_GET_ONE };
