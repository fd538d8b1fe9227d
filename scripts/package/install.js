'use strict';

/** The packages in a folder of their own, as an app has them. */

const fs = require('node:fs');
const path = require('node:path');

const { npm } = require('../npm');

const MODULES = path.join(__dirname, '..', '..', 'node_modules');

/**
 * Has npm install packages' files into a new app, with neither a network nor a cache.
 *
 * @param {string} app an empty folder
 * @param {string[]} specs paths of tarballs, or `name@file:path`
 */
async function installOffline(app, specs) {
  // Without one, npm would look for an app in the folders above.
  fs.writeFileSync(path.join(app, 'package.json'), '{ "private": true }\n');
  await npm(app, ['install', '--offline', '--cache', path.join(app, 'cache'), ...specs]);
  fs.rmSync(path.join(app, 'cache'), { recursive: true, force: true });
}

/**
 * Gives an app packages that this repository has, under the names that apps know them by.
 *
 * @param {string} app
 * @param {Record<string, string>} names in the app, and in node_modules here
 */
function linkModules(app, names) {
  for (const [name, ours] of Object.entries(names)) {
    fs.symlinkSync(path.join(MODULES, ours), path.join(app, 'node_modules', name), 'junction');
  }
}

module.exports = { installOffline, linkModules };
