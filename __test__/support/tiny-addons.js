'use strict';

/** Addons for every platform that have nothing but what packaging looks for, as they are compiled in no time. */

const fs = require('node:fs');
const path = require('node:path');

const { runZig } = require('../../scripts/package/tools');

/** As zig calls them. */
const TRIPLES = {
  'linux-x64-gnu': 'x86_64-linux-gnu.2.17',
  'linux-x64-musl': 'x86_64-linux-musl',
  'linux-arm64-gnu': 'aarch64-linux-gnu.2.17',
  'linux-arm64-musl': 'aarch64-linux-musl',
  'darwin-x64': 'x86_64-macos.11.0',
  'darwin-arm64': 'aarch64-macos.11.0',
  'win32-x64-msvc': 'x86_64-windows-gnu',
  'win32-arm64-msvc': 'aarch64-windows-gnu',
};

const BARE = ['-nostdlib'];

/**
 * @param {string} folder
 * @param {string} name of the target
 * @param {string} version
 * @param {{entry?: string, text?: string, code?: string, triple?: string, libraries?: string[]}} [options] what is otherwise
 *   than it should be
 * @returns {string} its path
 */
function compileAddon(folder, name, version, options = {}) {
  const { entry = 'napi_register_module_v1', text = `redlock-native@${version};` } = options;
  const { code = '', triple = TRIPLES[name], libraries = BARE } = options;
  const isWindows = triple.includes('windows');
  // What Windows calls in every library, and what would else come from one.
  const start = isWindows ? 'int DllMainCRTStartup(void) { return 1; }' : '';
  const shown = isWindows ? '__declspec(dllexport)' : '';
  const source = `${start}\n${code}\n${shown} const char *${entry}(void) { return ${JSON.stringify(text)}; }\n`;
  const stem = path.join(folder, `${name}-${fs.readdirSync(folder).length}`);
  fs.writeFileSync(`${stem}.c`, source);
  const flags = ['-shared', '-Os', '-s', '-fno-sanitize=all', ...libraries];
  runZig(['cc', '-target', triple, ...flags, '-o', `${stem}.node`, `${stem}.c`]);
  return `${stem}.node`;
}

module.exports = { BARE, compileAddon };
