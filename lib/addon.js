'use strict';

/** The addon. All of lib/ loads it from here, so that one that can't be used is refused in one place. */

const { version } = require('../package.json');

/** @returns {typeof import('../binding')} */
function load() {
  let addon;
  let isFromSource = false;
  try {
    addon = require('../binding.js');
  } catch (error) {
    addon = compiledHere(error);
    isFromSource = true;
  }
  if (typeof addon?.Mailbox !== 'function') throw require('./unloadable').noAddon(addon);
  const own = typeof addon.version === 'function' ? addon.version() : undefined;
  if (own !== version) throw require('./unloadable').otherVersion(own, isFromSource);
  return addon;
}

/**
 * What the source package has made on this machine, where that is installed and nobody asks for another.
 *
 * @param {unknown} error why no platform's package will do
 */
function compiledHere(error) {
  if (process.env.NAPI_RS_NATIVE_LIBRARY_PATH) throw require('./unloadable').notLoaded(error);
  try {
    // @ts-ignore: it is not there but for those who need it.
    return require('redlock-native-source');
  } catch (another) {
    throw require('./unloadable').notLoaded(error, another);
  }
}

module.exports = load();
