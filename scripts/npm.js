'use strict';

const { execFile } = require('node:child_process');
const { promisify } = require('node:util');

/**
 * Runs npm in `folder` and resolves with its stdout; what it said on stderr is in the error.
 *
 * @param {string} folder
 * @param {string[]} args
 * @returns {Promise<string>}
 */
async function npm(folder, args) {
  // npm is a script on Windows, which only a shell can start.
  const shell = process.platform === 'win32';
  const { stdout } = await promisify(execFile)('npm', args, { cwd: folder, shell });
  return stdout;
}

module.exports = { npm };
