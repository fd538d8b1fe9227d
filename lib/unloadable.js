'use strict';

/**
 * Why the addon can't be used, and what is to be done about exactly that. The generated loader keeps what it was told
 * and says something else, so its texts are read here; the rest is looked up where the package stands.
 *
 * @typedef {object} Trouble
 * @property {string} reason a word for programs
 * @property {string} what a sentence
 * @property {string} todo another
 */

const fs = require('node:fs');
const path = require('node:path');

const { name: OURS, version, napi } = /** @type {any} */ (require('../package.json'));

/** What there are packages for: the `napi.targets` of package.json, as npm names them. */
const TARGETS = [
  ...['linux-x64-gnu', 'linux-x64-musl', 'linux-arm64-gnu', 'linux-arm64-musl'],
  ...['darwin-x64', 'darwin-arm64', 'win32-x64-msvc', 'win32-arm64-msvc'],
];

/** What is compiled where it is installed, and what has to be there for that. */
const SOURCE = `${OURS}-source`;
const FROM_SOURCE = `npm install ${SOURCE}@${version} (it compiles the addon, and needs Rust's cargo and a C compiler)`;

const ROOT = path.join(__dirname, '..');

/**
 * @param {string} reason
 * @param {string} what
 * @param {string} todo
 * @returns {Trouble}
 */
function trouble(reason, what, todo) {
  return { reason, what, todo };
}

/**
 * The generated loader has thrown.
 *
 * @param {unknown} error
 * @param {unknown} [ofSource] what the source package has thrown
 */
function notLoaded(error, ofSource) {
  const said = textsOf(error);
  const target = said.flatMap(targetsIn).at(-1);
  const own = said.filter((text) => targetsIn(text).length > 0 || !SPEAKS_OF_OTHERS.test(text));
  const failure = own.find((text) => !IS_MISSING.test(text));
  const there = failure === undefined ? absent(said, target) : unsound(failure);
  const source = compiled(textsOf(ofSource).at(-1));
  return make(wanted(failure) ?? refused(failure, target) ?? source ?? there, target, own);
}

/**
 * What was loaded is something else.
 *
 * @param {unknown} loaded
 */
function noAddon(loaded) {
  const todo = isBundled() ? UNBUNDLE : 'Install the package anew.';
  const what = `what was loaded in its place is ${typeof loaded === 'string' ? 'the path of a file' : 'no addon'}`;
  return make(trouble('NO_ADDON', what, todo), undefined, []);
}

/**
 * @param {string | undefined} found what the addon says of itself, which the first ones didn't
 * @param {boolean} isFromSource
 */
function otherVersion(found, isFromSource) {
  const { NAPI_RS_NATIVE_LIBRARY_PATH: given } = process.env;
  const what =
    `the JavaScript is of version ${version} and the addon of ${found === undefined ? 'an older one' : found}; ` +
    'they must be the same';
  const todo = given
    ? `NAPI_RS_NATIVE_LIBRARY_PATH leads to it: ${JSON.stringify(given)}.`
    : isFromSource
      ? `Install the source of this version: ${FROM_SOURCE}.`
      : napi
        ? 'Build it anew: npm run build.'
        : `Delete node_modules and install again; a lockfile must name ${OURS} and its platform's package at one version.`;
  return make(trouble('OTHER_VERSION', what, todo), undefined, []);
}

/**
 * @param {Trouble} trouble
 * @param {string | undefined} target
 * @param {string[]} said
 */
function make({ reason, what, todo }, target, said) {
  const wanted = target === undefined ? undefined : `${OURS}-${target}`;
  const which = wanted === undefined ? '' : `, the package ${wanted} ${version}`;
  const message = `${OURS} can't use its addon${which} (${whereWeAre()}): ${what}. ${todo}`;
  const cause = said.length > 0 ? new Error(said.join('; ')) : undefined;
  if (cause) cause.stack = `${cause.name}: ${cause.message}`;
  const error = new Error(message, cause && { cause });
  return Object.assign(error, { code: 'ERR_REDLOCK_ADDON', reason, package: wanted });
}

// ---- what the loader was told

/** It tries what others than we may offer. */
const SPEAKS_OF_OTHERS = /wasi|wasm|Cannot find native binding|native binding package|Unsupported (OS|arch)/i;

/** Not there, in the words of Node.js, of Yarn's Plug'n'Play and of bundlers. */
const IS_MISSING =
  /^(Cannot find (module|package)|.* tried to access |Your application tried to access |A dependency seems valid but|Required package)/;

/**
 * The first line of everything that went wrong, in order.
 *
 * @param {any} error
 * @returns {string[]}
 */
function textsOf(error) {
  const texts = [];
  for (let one = error; one instanceof Error && texts.length < 20; one = one.cause) {
    texts.push(one.message.split('\n')[0].trim());
  }
  return texts.reverse();
}

/** @param {string} text */
function targetsIn(text) {
  const names = text.matchAll(/redlock-native[.-]([a-z0-9]+(?:-[a-z0-9]+)+)/g);
  return [...names].map(([, target]) => target).filter((target) => TARGETS.includes(target));
}

/**
 * Somebody has asked for something in particular.
 *
 * @param {string | undefined} failure
 * @returns {Trouble | undefined}
 */
function wanted(failure) {
  const { NAPI_RS_NATIVE_LIBRARY_PATH: given, NAPI_RS_WASI_FLAVOR: flavor } = process.env;
  if (given) {
    const because = failure ? `: ${failure}` : ', where there is none';
    const what = `NAPI_RS_NATIVE_LIBRARY_PATH leads to ${JSON.stringify(given)}${because}`;
    return trouble('ENVIRONMENT', what, 'Unset it, or let it lead to the addon of this version.');
  }
  if (process.env.NAPI_RS_FORCE_WASI !== 'error' && !flavor) return undefined;
  const name = flavor ? 'NAPI_RS_WASI_FLAVOR' : 'NAPI_RS_FORCE_WASI';
  return trouble('ENVIRONMENT', `${name} asks for what this package doesn't have`, 'Unset it.');
}

/**
 * Node.js, or another runtime, may not load it.
 *
 * @param {string | undefined} failure
 * @param {string | undefined} target
 * @returns {Trouble | undefined}
 */
function refused(failure = '', target = '') {
  if (/addons is disabled/i.test(failure)) {
    if (/** @type {any} */ (process).permission === undefined) {
      const what = 'this process was started with --no-addons, which forbids every addon';
      return trouble('NO_ADDONS', what, 'Start it without: see NODE_OPTIONS, and execArgv of a Worker.');
    }
    const what = "Node.js' permission model is on, and allows no addons";
    return trouble('PERMISSION', what, 'Start it with --allow-addons.');
  }
  if (/API has been restricted/.test(failure)) {
    const what = "Node.js' permission model doesn't allow its file to be read";
    const todo = `Start it with --allow-fs-read for node_modules/${OURS}-${target} too.`;
    return trouble('PERMISSION', what, todo);
  }
  if (/--allow-ffi/.test(failure)) {
    return trouble('PERMISSION', 'Deno may not load addons', 'Start it with --allow-ffi.');
  }
  return undefined;
}

/**
 * The source package is installed, which nobody does who doesn't need it.
 *
 * @param {string} [failure]
 * @returns {Trouble | undefined}
 */
function compiled(failure) {
  const isThere =
    failure !== undefined && (!IS_MISSING.test(failure) || failure.includes('redlock-native.node'));
  if (!isThere || isBundled()) return undefined;
  const what = IS_MISSING.test(failure)
    ? `${SOURCE} is installed, but has not compiled it: its install script was not run, or failed`
    : `what ${SOURCE} has compiled can't be loaded (${failure})`;
  const todo = `Run npm rebuild ${SOURCE}, which needs Rust's cargo and a C compiler, and says what is missing.`;
  return trouble('SOURCE', what, todo);
}

/**
 * The file is there.
 *
 * @param {string} failure
 * @returns {Trouble}
 */
function unsound(failure) {
  const needed = [...failure.matchAll(/version [`'](GLIBC_[\d.]+)' not found/g)].map(([, one]) => one);
  if (needed.length > 0) {
    const what = `it needs ${needed.join(' and ').replace(/_/g, ' ')} or newer, and this system's is older`;
    const todo = `Use a newer system or image (an Alpine image has a package of its own), or compile it there: ${FROM_SOURCE}.`;
    return trouble('GLIBC', what, todo);
  }
  if (OTHER_LIBC.test(failure)) {
    const todo =
      'Delete node_modules and install again here; it can not be copied from a system with another libc.';
    return trouble('LIBC', `it is for another libc than this system's (${failure})`, todo);
  }
  if (BROKEN.test(failure)) {
    const what = `its file is broken, or for another machine (${failure})`;
    return trouble('BROKEN', what, 'Delete node_modules and install again here.');
  }
  if (/failed to map segment|not permitted|permission denied/i.test(failure)) {
    const what = `its file may not be read and executed (${failure})`;
    const todo = 'Look at its permissions, and whether its disk is mounted noexec.';
    return trouble('NOT_EXECUTABLE', what, todo);
  }
  return trouble('NOT_LOADED', failure, 'Install it again here, or report this as a defect.');
}

/** musl is `libc.so`, which glibc has for compilers only: a text. */
const OTHER_LIBC = /musl-|ld-linux|ld-musl|(^|\/)libc\.so: /;

/** Of a file for another machine, glibc says that it isn't there. */
const BROKEN =
  /\.node: cannot open shared object|invalid ELF|file too short|ELF class|ELF file|exec format|wrong architecture|mach-o|Win32 application|truncated/i;

// ---- what is there instead

/**
 * @param {string[]} said
 * @param {string | undefined} target
 * @returns {Trouble}
 */
function absent(said, target) {
  if (isBundled()) {
    const what = `${OURS} was bundled, and the addon, which is a file of its own, was left behind`;
    return trouble('BUNDLED', what, UNBUNDLE);
  }
  if (napi || said.some((text) => /binding\.js'/.test(text))) {
    const todo =
      `Install the published package; or, with cargo, run npm ci && npm run build in ${ROOT}; ` +
      'or install the packages that npm run package makes there.';
    const what = 'this is the source, as from git or a folder, and the addon was not built';
    return trouble('NOT_BUILT', what, todo);
  }
  if (target === undefined) {
    const what = `there is none for this platform, but for ${TARGETS.join(', ')}`;
    return trouble('PLATFORM', what, `Run it on one of these, or compile it here: ${FROM_SOURCE}.`);
  }
  return notInstalled(`${OURS}-${target}`, said);
}

const UNBUNDLE =
  `Leave ${OURS} out of the bundle and install it beside (webpack: externals, esbuild: --external:${OURS}, ` +
  'Rollup and Vite: external, Next.js: serverExternalPackages).';

/** Whether this file is part of another one by now. */
function isBundled() {
  try {
    return JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8')).name !== OURS;
  } catch (error) {
    // It may be forbidden to look.
    return ['ENOENT', 'ENOTDIR'].includes(/** @type {any} */ (error).code);
  }
}

/**
 * @param {string} wanted
 * @param {string[]} said
 * @returns {Trouble}
 */
function notInstalled(wanted, said) {
  if (process.versions.pnp) {
    const todo = 'Name this platform in supportedArchitectures of .yarnrc.yml, and run yarn install here.';
    return trouble('NOT_INSTALLED', "Yarn's Plug'n'Play has not installed it", todo);
  }
  if (said.some((text) => text.includes(path.join(wanted, 'redlock-native.')))) {
    const what = 'its package is installed, but the addon in it is missing';
    const todo = 'Install it again, and let nothing delete *.node files from node_modules.';
    return trouble('BROKEN', what, todo);
  }
  const modules = path.dirname(ROOT);
  const other = namesIn(modules).find((name) => TARGETS.some((target) => name === `${OURS}-${target}`));
  if (other) {
    const what = `it is not installed, but ${other} is: node_modules was made on another platform`;
    const todo = 'Delete node_modules and install again here (in the image, not beside it).';
    return trouble('OTHER_PLATFORM', what, todo);
  }
  const lockfile = lockfileOver(modules);
  const entries = [`node_modules/${wanted}"`, `${wanted}@`];
  if (lockfile && !entries.some((entry) => lockfile.text.includes(entry))) {
    const what =
      'it is an optional dependency that is not installed, ' +
      `since ${lockfile.file} doesn't have it: it was written on another platform or without optional dependencies`;
    const todo =
      `Delete ${lockfile.name} and node_modules and install again; ` +
      `or install the package by its name: npm install --save-optional ${wanted}@${version}.`;
    return trouble('LOCKFILE', what, todo);
  }
  const what =
    'it is an optional dependency that was left out when installing (--omit=optional, --no-optional, or omit in .npmrc)';
  const todo =
    'Install with optional dependencies: npm ci --include=optional; ' +
    `or install it by its name: npm install ${wanted}@${version}.`;
  return trouble('OMITTED', what, todo);
}

/** @param {string} folder */
function namesIn(folder) {
  try {
    return fs.readdirSync(folder);
  } catch {
    return [];
  }
}

const LOCKFILES = ['package-lock.json', 'npm-shrinkwrap.json', 'yarn.lock', 'pnpm-lock.yaml', 'bun.lock'];

/**
 * The nearest lockfile.
 *
 * @param {string} folder
 */
function lockfileOver(folder) {
  for (let at = folder; at !== path.dirname(at); at = path.dirname(at)) {
    const name = LOCKFILES.find((one) => namesIn(at).includes(one));
    if (name === undefined) continue;
    const file = path.join(at, name);
    try {
      return { name, file, text: fs.readFileSync(file, 'utf8') };
    } catch {
      return undefined;
    }
  }
  return undefined;
}

// ---- where we are

function whereWeAre() {
  const { bun, deno, node } = process.versions;
  const runtime = bun ? `Bun ${bun}` : deno ? `Deno ${deno}` : `Node.js ${node}`;
  return [runtime, `${process.platform} ${process.arch}`, libc()].filter(Boolean).join(', ');
}

/** Of Linux. */
function libc() {
  if (process.platform !== 'linux') return undefined;
  try {
    const { report } = /** @type {any} */ (process);
    const before = report.excludeNetwork;
    // It would look up the name of every open connection.
    report.excludeNetwork = true;
    const { header } = report.getReport();
    report.excludeNetwork = before;
    if (header.glibcVersionRuntime) return `glibc ${header.glibcVersionRuntime}`;
  } catch {
    return undefined;
  }
  return muslVersion();
}

function muslVersion() {
  try {
    const installed = fs.readFileSync('/lib/apk/db/installed', 'utf8');
    const [, found] = /\nP:musl\nV:([\d.]+)/.exec(`\n${installed}`) ?? [];
    return found ? `musl ${found}` : 'musl';
  } catch {
    return 'musl';
  }
}

module.exports = { notLoaded, noAddon, otherVersion, TARGETS };
