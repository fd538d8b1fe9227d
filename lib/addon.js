'use strict';

/** The addon. All of lib/ loads it from here, so that one that can't be used is refused in one place. */

const fs = require('node:fs');

const { version } = require('../package.json');

/** @returns {typeof import('../binding')} */
function load() {
  let addon;
  let isFromSource = false;
  try {
    addon = wholeOnly(() => require('../binding.js'));
  } catch (error) {
    addon = compiledHere(error);
    isFromSource = true;
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
      return wholeOnly(() => require('redlock-native-source'));
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
 * Loads no addon that was cut off: Linux maps what a file says that it has, and ends the process (SIGBUS) that reaches
 * for what isn't there. Which file it is only the runtime knows, so that it is looked at where that loads it.
 *
 * @template T
 * @param {() => T} required
 * @returns {T}
 */
function wholeOnly(required) {
  /** @type {[owner: any, name: string]} */
  const [owner, name] = process.versions.deno
    ? [/** @type {any} */ (require('node:module'))._extensions, '.node']
    : [process, 'dlopen'];
  const own = owner[name];
  // Nothing else runs meanwhile.
  Reflect.set(owner, name, (/** @type {any[]} */ ...args) => {
    refuseTorn(args[1]);
    return own.apply(owner, args);
  });
  try {
    return required();
  } finally {
    Reflect.set(owner, name, own);
  }
}

/** How a file for Linux begins: ELF, of 64 bits, little-endian. */
const ELF = '\x7fELF\x02\x01';

/**
 * The table of its sections is the last of such a file. The loaders of macOS and Windows look for themselves.
 *
 * @param {string} file
 */
function refuseTorn(file) {
  let bytes = 0;
  let whole = 0;
  try {
    const opened = fs.openSync(file, 'r');
    try {
      const head = Buffer.alloc(64);
      fs.readSync(opened, head, 0, head.length, 0);
      if (head.toString('latin1', 0, ELF.length) !== ELF) return;
      bytes = fs.fstatSync(opened).size;
      whole = Number(head.readBigUInt64LE(40)) + head.readUInt16LE(58) * head.readUInt16LE(60);
    } finally {
      fs.closeSync(opened);
    }
  } catch {
    // Whoever may not read it may be allowed to load it.
  }
  if (bytes < whole) throw new Error(`${file} has ${bytes} of ${whole} bytes`);
}

module.exports = load();
