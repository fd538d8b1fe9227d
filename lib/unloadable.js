'use strict';

/**
 * Why the addon can't be used, and what is to be done about exactly that. The generated loader keeps what it was told
 * and says something else, so its texts are read here; the rest is looked up where the package stands. Whatever can't be
 * looked up is left out: it is the first error that matters.
 *
 * @typedef {object} Trouble
 * @property {string} reason a word for programs
 * @property {string} what a sentence
 * @property {string} todo another
 */

const fs = require('node:fs');
const path = require('node:path');

const {
  name: OURS,
  version,
  napi,
  optionalDependencies = {},
} = /** @type {any} */ (require('../package.json'));

/** What there are packages for. The source, which has none of them, says so itself. */
const TARGETS = Object.keys(optionalDependencies)
  .filter((name) => name.startsWith(`${OURS}-`))
  .map((name) => name.slice(`${OURS}-`.length));

/** What is compiled where it is installed. */
const SOURCE = `${OURS}-source`;

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
  const target = said.flatMap(targetsIn).at(-1) ?? targetHere();
  const own = said.filter((text) => targetsIn(text).length > 0 || !SPEAKS_OF_OTHERS.test(text));
  const [mismatch] = own.flatMap((text) => MISMATCH.exec(text) ?? []).slice(1);
  if (mismatch) return otherVersion(mismatch, false);
  const failure = own.find((text) => !IS_MISSING.test(text));
  const there = failure === undefined ? absent(said, target) : unsound(failure);
  const source = compiled(textsOf(ofSource).at(-1));
  return make(wanted(failure) ?? refused(failure, target) ?? source ?? there, nameOf(target), { said: own });
}

/**
 * What was loaded is something else.
 *
 * @param {unknown} loaded
 * @param {boolean} isFromSource
 */
function noAddon(loaded, isFromSource) {
  const isPath = typeof loaded === 'string';
  const file = isPath ? undefined : fileOf(isFromSource);
  const instead = isPath ? `the path of a file (${loaded})` : 'no addon';
  const what = `what was loaded in its place is ${instead}${from(file)}`;
  const todo = isBundled() ? UNBUNDLE : (anotherAsked() ?? again());
  return make(trouble('NO_ADDON', what, todo), isFromSource ? SOURCE : nameOf(targetHere()), { file });
}

/**
 * @param {string | undefined} found what the addon says of itself, which the first ones didn't
 * @param {boolean} isFromSource
 */
function otherVersion(found, isFromSource) {
  const file = fileOf(isFromSource);
  const what =
    `the JavaScript is of version ${version} and the addon of ${found === undefined ? 'an older one' : found}` +
    `${from(file)}; they must be the same`;
  const ofThisVersion = isFromSource
    ? `Install the source of this version: ${fromSource()}.`
    : napi
      ? again()
      : `${again()} A lockfile must name ${OURS} and its platform's package at one version.`;
  const name = isFromSource ? SOURCE : nameOf(targetHere());
  return make(trouble('OTHER_VERSION', what, anotherAsked() ?? ofThisVersion), name, { file });
}

/**
 * @param {Trouble} trouble
 * @param {string | undefined} wanted the package that should have it
 * @param {{said?: string[], file?: string}} details
 */
function make({ reason, what, todo }, wanted, { said = [], file }) {
  const which = wanted === undefined ? '' : `, the package ${wanted} ${version}`;
  const message = `${OURS} can't use its addon${which} (${whereWeAre()}): ${what}. ${todo}`;
  const cause = said.length > 0 ? new Error(said.join('; ')) : undefined;
  if (cause) cause.stack = `${cause.name}: ${cause.message}`;
  const error = new Error(message, cause && { cause });
  return Object.assign(error, { code: 'ERR_REDLOCK_ADDON', reason, package: wanted, file });
}

/** @param {string | undefined} target */
function nameOf(target) {
  return target === undefined ? undefined : `${OURS}-${target}`;
}

/** @param {string | undefined} file */
function from(file) {
  return file === undefined ? '' : `, from ${file}`;
}

/**
 * From where it was loaded.
 *
 * @param {boolean} isFromSource
 */
function fileOf(isFromSource) {
  const given = setting('NAPI_RS_NATIVE_LIBRARY_PATH');
  if (given) return given;
  const here = platform();
  const names = [path.join(ROOT, `${OURS}.${here}.node`), `${OURS}-${here}`];
  for (const name of isFromSource ? [SOURCE] : names) {
    try {
      return require.resolve(name);
    } catch {
      // It is another one, or can't be found in this way.
    }
  }
  return undefined;
}

/** What is to be done, if nothing else is because of the environment. */
function anotherAsked() {
  const given = setting('NAPI_RS_NATIVE_LIBRARY_PATH');
  return given && `NAPI_RS_NATIVE_LIBRARY_PATH leads to it: ${JSON.stringify(given)}.`;
}

/** @param {string} name of a variable, which Deno may not allow to be read */
function setting(name) {
  try {
    return process.env[name];
  } catch {
    return undefined;
  }
}

// ---- what the loader was told

/** It tries what others than we may offer; and what Deno forbids it to ask for concerns us. */
const SPEAKS_OF_OTHERS = /^(?!Requires ).*(wasi|wasm|Cannot find native binding|Unsupported (OS|arch))/i;

/** What NAPI_RS_ENFORCE_VERSION_CHECK lets it say. */
const MISMATCH = /Native binding package version mismatch, expected \S+ but got (\S+)\. /;

/** Not there, in the words of Node.js, of Yarn's Plug'n'Play and of bundlers. */
const IS_MISSING =
  /^(Cannot find (module|package)|.* tried to access |Your application tried to access |A dependency seems valid but|Qualified path resolution failed|Required (unplugged )?package missing from disk)/;

/** Yarn's Plug'n'Play says in a line of its own which one it speaks of. */
const SUBJECT = /^(Missing package|Source path): .*$/m;

/**
 * What everything that went wrong says of itself at first, in order.
 *
 * @param {any} error
 * @returns {string[]}
 */
function textsOf(error) {
  const texts = [];
  for (let one = error; one instanceof Error && texts.length < 20; one = one.cause) {
    const [subject] = SUBJECT.exec(one.message) ?? [];
    const [first] = one.message.split('\n');
    texts.push([first.trim(), subject?.trim()].filter(Boolean).join(' '));
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
  const given = setting('NAPI_RS_NATIVE_LIBRARY_PATH');
  const flavor = setting('NAPI_RS_WASI_FLAVOR');
  if (given) {
    const because = failure ? `: ${failure}` : ', where there is none';
    const what = `NAPI_RS_NATIVE_LIBRARY_PATH leads to ${JSON.stringify(given)}${because}`;
    return trouble('ENVIRONMENT', what, 'Unset it, or let it lead to the addon of this version.');
  }
  if (setting('NAPI_RS_FORCE_WASI') !== 'error' && !flavor) return undefined;
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
function refused(failure = '', target) {
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
    const folder = target === undefined ? ROOT : `node_modules/${nameOf(target)}`;
    const todo = `Start it with --allow-fs-read for ${folder} too.`;
    return trouble('PERMISSION', what, todo);
  }
  const [, kind, flag] = /Requires (\w+) access.* (--allow-\w+) flag/.exec(failure) ?? [];
  if (kind === 'sys') {
    const todo = 'Start it with --allow-read=/usr/bin/ldd, or --allow-read.';
    return trouble('PERMISSION', 'Deno may not find out which libc there is', todo);
  }
  if (flag) return trouble('PERMISSION', `Deno allows it no ${kind} access`, `Start it with ${flag}.`);
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
  const todo = `Run ${manager().rebuild}${SOURCE}, which needs Rust's cargo and a C compiler, and says what is missing.`;
  return trouble('SOURCE', what, todo);
}

/**
 * The file is there.
 *
 * @param {string} failure
 * @returns {Trouble}
 */
function unsound(failure) {
  return (
    // Whatever a file is that may not be looked at.
    forbidden(failure) ??
    foreign(failure) ??
    broken(failure) ??
    trouble('NOT_LOADED', failure, 'Install it again here, or report this as a defect.')
  );
}

/**
 * The system doesn't let it be loaded.
 *
 * @param {string} failure
 * @returns {Trouble | undefined}
 */
function forbidden(failure) {
  if (NOT_READABLE.test(failure)) {
    const what = `it is installed, but may not be read (${failure})`;
    return trouble('NOT_READABLE', what, 'Look at the permissions and the owner of its files.');
  }
  if (/too many open files|cannot allocate memory(?! in static)|paging file/i.test(failure)) {
    const what = `the system has no more memory or files for this process (${failure})`;
    return trouble('RESOURCES', what, "Look at its limits: ulimit -a, and the container's.");
  }
  if (/code signature|library validation|disallowed by system policy/i.test(failure)) {
    const what = `macOS doesn't accept its signature in this program (${failure})`;
    const todo =
      "Sign the program with com.apple.security.cs.disable-library-validation, as Node.js' own are, " +
      'or the addon with the identity of the program.';
    return trouble('SIGNATURE', what, todo);
  }
  if (/failed to map segment|not permitted|permission denied|access is denied/i.test(failure)) {
    const what = `its file may not be read and executed (${failure})`;
    const todo = 'Look at its permissions, and whether its disk is mounted noexec.';
    return trouble('NOT_EXECUTABLE', what, todo);
  }
  return undefined;
}

/** In the words of glibc, of musl, of Yarn's Plug'n'Play and of Node.js. */
const NOT_READABLE =
  /cannot open shared object file: Permission denied|^Error loading shared library .*: Permission denied|^Required package exists but could not be accessed|^(EACCES|EPERM)\b/;

/**
 * It is for another libc.
 *
 * @param {string} failure
 * @returns {Trouble | undefined}
 */
function foreign(failure) {
  const needed = [...failure.matchAll(/version [`'](GLIBC_[\d.]+)' not found/g)].map(([, one]) => one);
  if (needed.length > 0) {
    const what = `it needs ${needed.join(' and ').replace(/_/g, ' ')} or newer, and this system's is older`;
    const todo = `Use a newer system or image (an Alpine image has a package of its own), or compile it there: ${fromSource()}.`;
    return trouble('GLIBC', what, todo);
  }
  if (OTHER_LIBC.test(failure)) {
    const what = `it is for another libc than this system's (${failure})`;
    return trouble('LIBC', what, `${again()} It can not be copied from a system with another libc.`);
  }
  return undefined;
}

/** musl is `libc.so`, which glibc has for compilers only: a text. */
const OTHER_LIBC = /ld-linux|ld-musl|libc\.musl-|(^|\/)libc\.so: /;

/**
 * It is no addon, or for another machine.
 *
 * @param {string} failure
 * @returns {Trouble | undefined}
 */
function broken(failure) {
  if (/ has \d+ of \d+ bytes$/.test(failure)) {
    return trouble('BROKEN', `its file was cut off (${failure})`, again());
  }
  if (/package\.json/.test(failure)) {
    return trouble('BROKEN', `its package.json is broken or missing (${failure})`, again());
  }
  if (BROKEN.test(failure)) {
    return trouble('BROKEN', `its file is broken, or for another machine (${failure})`, again());
  }
  return undefined;
}

/** Of a file for another machine, glibc says that it isn't there. */
const BROKEN =
  /\.node: cannot open shared object file: No such file|cannot read file data|invalid ELF|file too short|ELF class|ELF file|exec format|wrong architecture|mach-o|Win32 application|truncated/i;

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
    return trouble('PLATFORM', what, `Run it on one of these, or compile it here: ${fromSource()}.`);
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
  const isNamed = said.some((text) => text.replaceAll('\\', '/').includes(`/${wanted}/`));
  const there = halfThere(wanted) ?? (isNamed ? withoutAddon() : undefined);
  if (there) return there;
  const { add, install, optional, withOptional } = manager();
  if (process.versions.pnp) {
    const todo = `Run ${install} here; if that leaves it out, name this platform in supportedArchitectures of .yarnrc.yml.`;
    return trouble('NOT_INSTALLED', "Yarn's Plug'n'Play has not installed it here", todo);
  }
  const modules = path.dirname(ROOT);
  const installed = namesIn(modules);
  const other = TARGETS.map(nameOf).find((name) => name !== wanted && installed.includes(`${name}`));
  if (other) {
    const what = `it is not installed, but ${other} is: node_modules was made on another platform`;
    return trouble('OTHER_PLATFORM', what, `${again()} In the image, not beside it, if there is one.`);
  }
  const lockfile = lockfileOver(modules);
  const entries = [`node_modules/${wanted}"`, `${wanted}@`];
  const { text } = lockfile ?? {};
  if (lockfile && text !== undefined && !entries.some((entry) => text.includes(entry))) {
    const what =
      'it is an optional dependency that is not installed, ' +
      `since ${lockfile.file} doesn't have it: it was written on another platform or without optional dependencies`;
    const todo =
      `Delete ${lockfile.name} and node_modules and install again (${install}); ` +
      `or install the package by its name: ${add}${optional}${wanted}@${version}.`;
    return trouble('LOCKFILE', what, todo);
  }
  const what =
    'it is an optional dependency that was left out when installing (--omit=optional, --no-optional, --ignore-optional or a setting)';
  // Not as an optional one, which would be left out as well.
  const todo =
    `Install with optional dependencies: ${withOptional}; ` +
    `or install it by its name: ${add}${wanted}@${version}.`;
  return trouble('OMITTED', what, todo);
}

/**
 * Its folder is where Node.js looks, and yet Node.js has found nothing.
 *
 * @param {string} wanted
 * @returns {Trouble | undefined}
 */
function halfThere(wanted) {
  /** @type {string[]} */
  const folders = /** @type {any} */ (module).paths ?? [];
  const modules = folders.find((folder) => isThere(path.join(folder, wanted)));
  if (modules === undefined) return undefined;
  const manifest = path.join(modules, wanted, 'package.json');
  try {
    JSON.parse(fs.readFileSync(manifest, 'utf8'));
  } catch (error) {
    const { code, message } = /** @type {any} */ (error);
    return unsound(code === undefined ? `${manifest}: ${message}` : message);
  }
  return withoutAddon();
}

function withoutAddon() {
  const todo = `${again()} Let nothing delete *.node files.`;
  return trouble('BROKEN', 'its package is installed, but the addon in it is missing', todo);
}

/** @param {string} file */
function isThere(file) {
  try {
    fs.statSync(file);
    return true;
  } catch {
    return false;
  }
}

/** @param {string} folder */
function namesIn(folder) {
  try {
    return fs.readdirSync(folder);
  } catch {
    return [];
  }
}

// ---- who has installed it

/**
 * Commands.
 *
 * @typedef {object} Manager of packages
 * @property {string} install
 * @property {string} withOptional
 * @property {string} add followed by a package's name
 * @property {string} optional is between them, if it is to be an optional dependency
 * @property {string} rebuild followed by a package's name
 */

const NPM = {
  install: 'npm install',
  withOptional: 'npm install --include=optional',
  add: 'npm install ',
  optional: '--save-optional ',
  rebuild: 'npm rebuild ',
};
const YARN = {
  install: 'yarn install',
  withOptional: 'yarn install, without --ignore-optional',
  add: 'yarn add ',
  optional: '--optional ',
  rebuild: 'yarn rebuild ',
};
const PNPM = {
  install: 'pnpm install',
  withOptional: 'pnpm install, without --no-optional',
  add: 'pnpm add ',
  optional: '--save-optional ',
  rebuild: 'pnpm rebuild ',
};
const BUN = {
  install: 'bun install',
  withOptional: 'bun install, without --omit=optional',
  add: 'bun add ',
  optional: '--optional ',
  rebuild: 'bun pm trust ',
};
const DENO = {
  install: 'deno install',
  withOptional: 'deno install',
  add: 'deno add npm:',
  optional: '',
  rebuild: 'deno install --allow-scripts=npm:',
};

/** @type {Record<string, Manager>} */
const LOCKFILES = {
  ...{ 'package-lock.json': NPM, 'npm-shrinkwrap.json': NPM, 'yarn.lock': YARN, 'pnpm-lock.yaml': PNPM },
  ...{ 'bun.lock': BUN, 'bun.lockb': BUN, 'deno.lock': DENO },
};

/** @returns {Manager} */
function manager() {
  if (process.versions.pnp) return YARN;
  const { name } = lockfileOver(path.dirname(ROOT)) ?? {};
  return name === undefined ? NPM : LOCKFILES[name];
}

/** How to have it anew, as it should be. */
function again() {
  if (napi) return 'Build it anew: npm run build.';
  const { install } = manager();
  if (process.versions.pnp) return `Delete it in .yarn/unplugged and install again here: ${install}.`;
  return `Delete node_modules and install again here: ${install}.`;
}

/** How to have it compiled, and what has to be there for that. */
function fromSource() {
  return `${manager().add}${SOURCE}@${version} (it compiles the addon, and needs Rust's cargo and a C compiler)`;
}

/**
 * The nearest lockfile.
 *
 * @param {string} folder
 * @returns {{name: string, file: string, text?: string} | undefined} a text if it is one, and may be read
 */
function lockfileOver(folder) {
  for (let at = folder; at !== path.dirname(at); at = path.dirname(at)) {
    const name = Object.keys(LOCKFILES).find((one) => isThere(path.join(at, one)));
    if (name === undefined) continue;
    const file = path.join(at, name);
    try {
      return { name, file, text: name === 'bun.lockb' ? undefined : fs.readFileSync(file, 'utf8') };
    } catch {
      return { name, file };
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

/** As the package for this platform would be called, if there is one. */
function platform() {
  /** @type {Partial<Record<NodeJS.Platform, string>>} */
  const kinds = { linux: libc()?.startsWith('musl') ? 'musl' : 'gnu', win32: 'msvc' };
  return [process.platform, process.arch, kinds[process.platform]].filter(Boolean).join('-');
}

function targetHere() {
  const here = platform();
  return TARGETS.find((target) => target === here);
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

module.exports = { notLoaded, noAddon, otherVersion };
