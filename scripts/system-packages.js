'use strict';

/** Programs of the system's: where they are, and how its package manager brings them. */

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

/**
 * The path of a program that can be run; null if there is none.
 *
 * @param {string} program its name, or a path
 * @returns {string | null}
 */
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

/** In the order they are tried. Each `install` is given one package name after the other. */
const PACKAGE_MANAGERS = [
  {
    program: 'apt-get',
    platform: 'linux',
    needsRoot: true,
    update: ['update', '-q', '-o', 'Acquire::Retries=2'],
    install: ['install', '-q', '-y', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=60'],
  },
  {
    program: 'apk',
    platform: 'linux',
    needsRoot: true,
    update: ['update', '-q'],
    install: ['add', '-q'],
  },
  {
    program: 'dnf',
    platform: 'linux',
    needsRoot: true,
    install: ['install', '-q', '-y', '--setopt=install_weak_deps=False'],
  },
  {
    program: 'brew',
    platform: 'darwin',
    needsRoot: false,
    install: ['install', '-q'],
  },
];

const UPDATE_SECONDS = 120;
const INSTALL_SECONDS = 300;

/**
 * Has the system's package manager bring a program, if there is one and we may.
 *
 * @param {string} program what is missing, for people
 * @param {Record<string, string[]>} packages what may bring it, by the package manager, in the order they are tried
 * @param {() => string | null} find where the program is, once it is there
 * @returns {string | null} where it is now
 */
function installPackage(program, packages, find) {
  const manager = PACKAGE_MANAGERS.find(
    (one) => one.platform === process.platform && packages[one.program] && onPath(one.program),
  );
  if (!manager) return null;
  const asRoot = manager.needsRoot ? rootPrefix() : [];
  if (!asRoot) return null;

  say(`No ${program} found: installing one with ${[...asRoot, manager.program].join(' ')} …`);
  const run = (args, seconds) => runBounded(asRoot, [manager.program, ...args], seconds);
  // What fails here (a mirror that is down, say) need not keep a cached list from working.
  if (manager.update) run(manager.update, UPDATE_SECONDS);
  let failure = '';
  for (const name of packages[manager.program]) {
    const done = run([...manager.install, name], INSTALL_SECONDS);
    const found = done.status === 0 ? find() : null;
    if (found) return found;
    failure ||= reasonOf(done);
  }
  say(`${manager.program} did not bring one: ${failure}`);
  return null;
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

/** To stderr: stdout is for whatever the caller has to tell. */
function say(line) {
  process.stderr.write(`${line}\n`);
}

module.exports = { installPackage, onPath };
