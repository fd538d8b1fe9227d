'use strict';

/** A package as one file. Needs Node.js and tar alone, as what publishes does. */

const { execFileSync } = require('node:child_process');
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');

/** npm takes it along by itself. */
const LICENSE = 'LICENSE';
/** Of what is linked into an addon; a release is refused without. */
const NOTICES = 'THIRD-PARTY-NOTICES.txt';

/**
 * @param {string} tarball
 * @returns {Record<string, any>} its package.json
 */
function manifestIn(tarball) {
  return JSON.parse(String(tar(tarball, '-xzOf', 'package/package.json')));
}

/**
 * @param {string} tarball
 * @param {string} folder where its files are then; made if it isn't there
 */
function unpack(tarball, folder) {
  fs.mkdirSync(folder, { recursive: true });
  tar(tarball, '-xzf', '-C', path.resolve(folder), '--strip-components=1');
}

/**
 * @param {string} tarball
 * @param {string} action
 * @param {...string} rest
 */
function tar(tarball, action, ...rest) {
  // Some take what is before a colon, as in C:\, for a machine's name.
  return execFileSync('tar', [action, path.basename(tarball), ...rest], { cwd: path.dirname(tarball) });
}

/**
 * @param {string} tarball
 * @returns {string} what a registry has as `dist.integrity`
 */
function integrityOf(tarball) {
  return `sha512-${createHash('sha512').update(fs.readFileSync(tarball)).digest('base64')}`;
}

/**
 * @param {string} folder of a package
 * @returns {Record<string, any>}
 */
function readManifest(folder) {
  return JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
}

module.exports = { LICENSE, NOTICES, integrityOf, manifestIn, readManifest, unpack };
