'use strict';

/** Run by npm when this package is installed: compiles the addon for this machine, with its cargo. */

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const { rustVersion } = require('./package.json');

const CRATE = 'redlock-native-addon';
const ADDON = path.join(__dirname, 'redlock-native.node');
const HALF_DONE = path.join(__dirname, 'target');

function main() {
  const library = compile();
  // Not over a file that a process may have loaded.
  fs.rmSync(ADDON, { force: true });
  fs.copyFileSync(library, ADDON);
  // What is needed once only, and a hundred times as large.
  fs.rmSync(HALF_DONE, { recursive: true, force: true });
}

/** @returns {string} what cargo has made */
function compile() {
  const args = [
    'build',
    '--release',
    '--locked',
    '--package',
    CRATE,
    '--message-format',
    'json-render-diagnostics',
  ];
  const { error, status, stdout } = spawnSync('cargo', args, {
    cwd: __dirname,
    encoding: 'utf8',
    env: { CARGO_TARGET_DIR: HALF_DONE, ...process.env, ...(isMusl() && { RUSTFLAGS: dynamicFlags() }) },
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 1 << 28,
  });
  if (error) throw new Error(`cargo could not be started (${error.message})`);
  if (status !== 0) throw new Error(`cargo ended with ${status}, and has said above why`);
  const made = stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));
  const files = made.flatMap(({ target, filenames = [] }) =>
    target?.name === 'redlock_native' ? filenames : [],
  );
  const library = files.find((file) => /\.(so|dylib|dll)$/.test(file));
  if (!library) throw new Error('cargo has made no library');
  return library;
}

/** Rust links musl into what it makes, if it isn't told otherwise; a library would then have a libc of its own. */
function dynamicFlags() {
  return [process.env.RUSTFLAGS, '-Ctarget-feature=-crt-static'].filter(Boolean).join(' ');
}

function isMusl() {
  return process.platform === 'linux' && !process.report.getReport().header.glibcVersionRuntime;
}

try {
  main();
} catch (error) {
  console.error(
    `redlock-native-source could not be built: ${error.message}. ` +
      `It needs Rust's cargo, ${rustVersion} or newer, a C compiler, and the crates that Cargo.lock names.`,
  );
  process.exitCode = 1;
}
