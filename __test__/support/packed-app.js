'use strict';

/** Apps in which the package is installed as it is published, with what package/consumers has for them. */

const { after } = require('node:test');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { installOffline } = require('../../scripts/package/install');
const { pack } = require('../../scripts/package/tarballs');

const CONSUMERS = path.join(__dirname, '..', 'package', 'consumers');

const folders = [];
after(() => {
  for (const folder of folders) fs.rmSync(folder, { recursive: true });
});

/** @type {Promise<{main: string, platforms: string[]}> | undefined} */
let packages;

/** By the package's name in them. @type {Map<string, Promise<string>>} */
const apps = new Map();

/**
 * A new app that has the package under that name, and the consumers of it. npm is asked once for each name.
 *
 * @param {string} name
 */
async function appWith(name) {
  if (!apps.has(name)) apps.set(name, install(name));
  const app = makeFolder();
  fs.cpSync(await apps.get(name), app, { recursive: true, verbatimSymlinks: true });
  for (const file of fs.readdirSync(CONSUMERS)) {
    const text = fs.readFileSync(path.join(CONSUMERS, file), 'utf8');
    fs.writeFileSync(path.join(app, file), text.replaceAll("'redlock-native", `'${name}`));
  }
  return app;
}

/** @param {string} name */
async function install(name) {
  packages ??= pack(makeFolder());
  const { main, platforms } = await packages;
  const app = makeFolder();
  await installOffline(app, [name === 'redlock-native' ? main : `${name}@file:${main}`, ...platforms]);
  return app;
}

function makeFolder() {
  const folder = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-native-pack-')));
  folders.push(folder);
  return folder;
}

module.exports = { appWith };
