'use strict';

/** Builds the addon for another platform than this machine's, or for an older system than this one. */

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { fileOf } = require('./targets');
const { run, toolsEnvironment } = require('./tools');

const ROOT = path.join(__dirname, '..', '..');
/** Of its own: the flags are others than those of `npm run build`, which would compile everything anew each time. */
const BUILDS = path.join(ROOT, 'target', 'cross');

const LIBRARIES = {
  elf: 'libredlock_native.so',
  'mach-o': 'libredlock_native.dylib',
  pe: 'redlock_native.dll',
};

/**
 * @param {import('./targets').Target} target
 * @param {string} folder where the addon goes
 * @returns {string} its path
 */
function crossBuild(target, folder) {
  const triple = target.glibc ? `${target.rust}.${target.glibc}` : target.rust;
  const args = ['--release', '--locked', '--package', 'redlock-native-addon', '--target', triple];
  run('cargo', ['zigbuild', ...args, '--target-dir', BUILDS], {
    cwd: ROOT,
    env: { ...process.env, ...environment(target) },
  });
  fs.mkdirSync(folder, { recursive: true });
  const addon = path.join(folder, fileOf(target));
  fs.copyFileSync(path.join(BUILDS, target.rust, 'release', LIBRARIES[target.format]), addon);
  return addon;
}

/** @param {import('./targets').Target} target */
function environment(target) {
  const renamed = renamedFolders();
  const flags = renamed.map(([from, to]) => `--remap-path-prefix=${from}=${to}`);
  return {
    ...toolsEnvironment(),
    CARGO_ENCODED_RUSTFLAGS: [...flags, ...(target.flags ?? [])].join('\x1f'),
    // The parts in C name their files as well.
    CFLAGS: renamed.map(([from, to]) => `-ffile-prefix-map=${from}=${to}`).join(' '),
    CARGO_INCREMENTAL: '0',
    ...(target.macos && { MACOSX_DEPLOYMENT_TARGET: target.macos }),
    ...(target.format === 'pe' && { LIBNODE_PATH: emptyLibrary() }),
  };
}

/** What is a build machine's own, as it is called in the addon: panics name the file where they happened. */
function renamedFolders() {
  const home = os.homedir();
  return [
    [process.env.CARGO_HOME ?? path.join(home, '.cargo'), '/cargo'],
    [process.env.RUSTUP_HOME ?? path.join(home, '.rustup'), '/rustup'],
    [ROOT, '/redlock-native'],
  ];
}

/**
 * napi's build script wants a library of Node.js' to link with on Windows. The addon looks all of Node.js' functions up
 * when it is loaded (`dyn-symbols`), so that one with nothing in it will do.
 */
function emptyLibrary() {
  const folder = path.join(BUILDS, 'no-node');
  fs.mkdirSync(folder, { recursive: true });
  // It asks for the one, and the linker takes the other: an archive without members.
  fs.writeFileSync(path.join(folder, 'libnode.dll'), '');
  fs.writeFileSync(path.join(folder, 'libnode.a'), '!<arch>\n');
  return folder;
}

module.exports = { crossBuild };
