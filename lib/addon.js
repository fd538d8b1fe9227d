'use strict';

/** The addon. All of lib/ loads it from here, so that one that can't be used is refused in one place. */

const { version } = require('../package.json');

/** @returns {typeof import('../binding')} */
function load() {
  let addon;
  try {
    addon = require('../binding.js');
  } catch (error) {
    throw require('./unloadable').notLoaded(error);
  }
  if (typeof addon?.Mailbox !== 'function') throw require('./unloadable').noAddon(addon);
  const own = typeof addon.version === 'function' ? addon.version() : undefined;
  if (own !== version) throw require('./unloadable').otherVersion(own);
  return addon;
}

module.exports = load();
