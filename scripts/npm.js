'use strict';

/**
 * npm, run by this Node.js itself: on Windows the program `npm` is a script, which only a shell could start, and a shell takes
 * spaces and signs in paths for its own.
 */

const { execFile, spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { promisify } = require('node:util');

/**
 * Runs npm in `folder` and resolves with its stdout; what it said on stderr is in the error.
 *
 * @param {string} folder
 * @param {string[]} args
 * @returns {Promise<string>}
 */
async function npm(folder, args) {
  const [program, ...rest] = [...npmCommand(), ...args];
  const { stdout } = await promisify(execFile)(program, rest, { cwd: folder });
  return stdout;
}

/**
 * Runs npm in `folder` where it can be seen and answered: it asks people who publish for a second factor.
 *
 * @param {string} folder
 * @param {string[]} args
 */
async function npmInSight(folder, args) {
  const [program, ...rest] = [...npmCommand(), ...args];
  const [status, signal] = await once(spawn(program, rest, { cwd: folder, stdio: 'inherit' }), 'exit');
  if (status !== 0) throw new Error(`npm ${args[0]} ended with ${status ?? signal}, and has said above why`);
}

/** @returns {string[]} what starts npm */
function npmCommand() {
  const found = placesOfNpm().find((file) => path.basename(file) === CLI && fs.existsSync(file));
  if (!found) throw new Error(`npm was found neither beside ${process.execPath} nor on PATH: install npm`);
  return [process.execPath, found];
}

const CLI = 'npm-cli.js';

/** The one that has started this; the one that this Node.js brought along; one on PATH, which is a link except on Windows. */
function placesOfNpm() {
  const node = path.dirname(process.execPath);
  const folders = (process.env.PATH ?? '').split(path.delimiter).filter(Boolean);
  const links = folders.map((folder) => path.join(folder, 'npm')).filter((file) => fs.existsSync(file));
  return [
    process.env.npm_execpath ?? '',
    ...[node, path.join(node, '..', 'lib'), ...folders].map((folder) =>
      path.join(folder, 'node_modules', 'npm', 'bin', CLI),
    ),
    ...links.map((file) => fs.realpathSync(file)),
  ];
}

module.exports = { npm, npmCommand, npmInSight };
