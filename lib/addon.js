'use strict';

/** The addon. All of lib/ loads it from here, so that one that can't be used is refused in one place. */

const fs = require('node:fs');

const { version } = require('../package.json');

/** @returns {typeof import('../binding')} */
function load() {
  let addon;
  let isFromSource = false;
  const stopLooking = refuseTorn();
  try {
    addon = require('../binding.js');
  } catch (error) {
    addon = compiledHere(error);
    isFromSource = true;
  } finally {
    stopLooking();
  }
  if (typeof addon?.Mailbox !== 'function') throw explained((why) => why.noAddon(addon, isFromSource));
  const own = typeof addon.version === 'function' ? addon.version() : undefined;
  if (own !== version) throw explained((why) => why.otherVersion(own, isFromSource));
  return addon;
}

/**
 * What the source package has made on this machine, where that is installed and nobody asks for another.
 *
 * @param {unknown} error why no platform's package will do
 */
function compiledHere(error) {
  try {
    // Deno may not allow to ask.
    if (!process.env.NAPI_RS_NATIVE_LIBRARY_PATH) {
      // @ts-ignore: it is not there but for those who need it.
      return require('redlock-native-source');
    }
  } catch (another) {
    throw explained((why) => why.notLoaded(error, another), error);
  }
  throw explained((why) => why.notLoaded(error), error);
}

/**
 * @param {(why: typeof import('./unloadable')) => Error} explain
 * @param {unknown} [cause]
 * @returns {Error}
 */
function explained(explain, cause) {
  try {
    return explain(require('./unloadable'));
  } catch (another) {
    // As where a process can open no more files.
    const message = `redlock-native can't use its addon, nor say why (${another})`;
    return Object.assign(new Error(message, { cause }), { code: 'ERR_REDLOCK_ADDON', reason: 'NOT_LOADED' });
  }
}

/**
 * Lets no addon be loaded that was cut off: Linux maps what a file says that it has, and ends the process (SIGBUS) that
 * reaches for what isn't there. Which file it is only the runtime knows, so that it is looked at where that loads it.
 *
 * @returns {() => void} ends this; nothing else runs until then
 */
function refuseTorn() {
  /** @type {[owner: any, name: string]} */
  const [owner, name] = process.versions.deno
    ? [/** @type {any} */ (require('node:module'))._extensions, '.node']
    : [process, 'dlopen'];
  const own = owner[name];
  Reflect.set(owner, name, (/** @type {any[]} */ ...args) => {
    requireWhole(args[1]);
    return own.apply(owner, args);
  });
  return () => void Reflect.set(owner, name, own);
}

/** How a file for Linux begins: `\x7fELF`, and that it is of 64 bits and little-endian. */
const ELF = 0x7f454c46_0201n;

/**
 * The table of its sections is the last of such a file. The loaders of macOS and Windows look for themselves.
 *
 * @param {string} file
 */
function requireWhole(file) {
  let opened;
  let torn;
  try {
    opened = fs.openSync(file, 'r');
    // What Node.js has not used by then takes a tenth of a millisecond when it is first used, as all of Buffer and fstat.
    const head = new DataView(new ArrayBuffer(64));
    fs.readSync(opened, head, 0, head.byteLength, 0);
    if (head.getBigUint64(0) >> 16n !== ELF) return;
    const whole = Number(head.getBigUint64(40, true)) + head.getUint16(58, true) * head.getUint16(60, true);
    const isThere = whole === 0 || fs.readSync(opened, head, 0, 1, whole - 1) === 1;
    if (!isThere) torn = new Error(`${file} has ${fs.fstatSync(opened).size} of ${whole} bytes`);
  } catch {
    // Whoever may not read it may be allowed to load it.
  } finally {
    if (opened !== undefined) fs.closeSync(opened);
  }
  if (torn) throw torn;
}

module.exports = load();
