'use strict';

/**
 * What a compiled addon is, needs and offers.
 *
 * @typedef {object} Binary
 * @property {string} format as in `Target`
 * @property {string} machine as in `Target`
 * @property {string[]} libraries that the system must have
 * @property {string[]} imports functions of others
 * @property {string[]} exports its own
 * @property {string[]} [versions] of ELF: of those libraries' functions
 * @property {string} [macos] of Mach-O: the oldest that it is for
 * @property {boolean} [isSigned] of Mach-O
 * @property {number} bytes
 * @property {string | undefined} version of the package that it was compiled from
 * @property {string[]} paths that were a build machine's
 */

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { installReader, runPython } = require('./tools');

const ROOT = path.join(__dirname, '..', '..');

/**
 * @param {string[]} files
 * @returns {(Binary | undefined)[]} of each; nothing of what is no binary
 */
function readBinaries(files) {
  installReader();
  const reader = path.join(__dirname, 'read-binaries.py');
  const said = JSON.parse(String(runPython([reader, ...files], { stdio: ['ignore', 'pipe', 'inherit'] })));
  return files.map((file, index) => {
    if (said[index] === null) return undefined;
    const text = fs.readFileSync(file, 'latin1');
    return { ...said[index], bytes: text.length, version: versionIn(text), paths: pathsIn(text) };
  });
}

/** @param {string} text see `IMPRINT` in src/binding/addon.rs */
function versionIn(text) {
  return /redlock-native@(\d[\w.+-]*);/.exec(text)?.[1];
}

/** Where people and machines keep their files. */
const HOMES = [ROOT, os.homedir(), '/root', '/home', '/Users', 'C:\\Users'];

/** @param {string} text */
function pathsIn(text) {
  const found = new Set();
  for (const home of HOMES) {
    for (let at = text.indexOf(home); at >= 0; at = text.indexOf(home, at + 1)) {
      const [whole] = /^[\x21-\x7e]*/.exec(text.slice(at, at + LONGEST)) ?? [''];
      if (/[/\\]/.test(whole[home.length])) found.add(whole);
    }
  }
  return [...found];
}

/** What is told of a path. */
const LONGEST = 200;

/**
 * The oldest glibc with all that it wants; none where it wants nothing of glibc's.
 *
 * @param {Binary} binary
 */
function glibcOf({ versions = [] }) {
  return versions
    .filter((one) => one.startsWith('GLIBC_'))
    .map((one) => one.slice('GLIBC_'.length))
    .sort(compareVersions)
    .at(-1);
}

/**
 * @param {string} one
 * @param {string} other
 */
function compareVersions(one, other) {
  return one.localeCompare(other, 'en', { numeric: true });
}

module.exports = { compareVersions, glibcOf, readBinaries };
