'use strict';

const { execFile } = require('node:child_process');
const path = require('node:path');

const ROOT = path.join(__dirname, '..', '..');

/**
 * Runs JavaScript in a process of its own, where `require('redlock-native')` is this package, and
 * resolves with how that ended.
 *
 * @param {string} code
 * @param {{timeout?: number, flags?: string[], env?: Record<string, string>}} [options] killed after
 *   `timeout` ms, which `signal` then tells
 * @returns {Promise<{code: number | null, signal: string | null, stdout: string, stderr: string, ms: number}>}
 */
function runScript(code, { timeout = 15_000, flags = [], env = {} } = {}) {
  const started = performance.now();
  return new Promise((resolve) => {
    const options = { cwd: ROOT, timeout, env: { ...process.env, ...env } };
    const child = execFile(process.execPath, [...flags, '-e', code], options, (_error, stdout, stderr) => {
      const ms = performance.now() - started;
      resolve({ code: child.exitCode, signal: child.signalCode, stdout, stderr, ms });
    });
  });
}

module.exports = { runScript };
