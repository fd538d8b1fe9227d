'use strict';

/** Whether an addon may be published: what it must be for its platform, and what it must not need or tell. */

const { compareVersions, glibcOf } = require('./binaries');

/** What every system of the kind has. */
const SYSTEM_LIBRARIES = {
  gnu: /^(libc|libm|libdl|libpthread|librt|ld-linux-(x86-64|aarch64))\.so\.\d+$/,
  // musl is one library, by whatever name it is asked for.
  musl: /^libc\.so$/,
  darwin: /^\/(usr\/lib|System\/Library)\//,
  win32:
    /^(kernel32|ntdll|advapi32|bcrypt|bcryptprimitives|crypt32|secur32|ws2_32|userenv|api-ms-win-[\w-]+|ucrtbase)\.dll$/i,
};

/**
 * @param {import('./targets').Target} target
 * @param {import('./binaries').Binary | undefined} binary
 * @param {string} version of the packages
 * @returns {string[]} what is wrong with it, a sentence each; empty if it may be published
 */
function problemsOf(target, binary, version) {
  if (!binary) return ['it is no binary'];
  const { format, machine } = binary;
  if (format !== target.format || machine !== target.machine) {
    return [`it is ${format} for ${machine}, not ${target.format} for ${target.machine}`];
  }
  return [
    ...problemsOfContents(target, binary, version),
    ...problemsOfNeeds(target, binary),
    ...problemsOnMac(target, binary),
  ];
}

function problemsOfContents({ megabytes }, { bytes, exports, version: own, paths }, version) {
  const problems = [];
  if (own !== version) problems.push(`it is of version ${own ?? 'unknown'}, the packages are of ${version}`);
  if (bytes > megabytes * 1e6) problems.push(`it has ${bytes} bytes, and may have ${megabytes} MB`);
  if (!exports.includes(ENTRY)) problems.push(`it doesn't export ${ENTRY}, which Node.js calls`);
  if (paths.length) problems.push(`it tells where it was built: ${paths.slice(0, 3).join(', ')}`);
  return problems;
}

const ENTRY = 'napi_register_module_v1';

function problemsOfNeeds(target, binary) {
  const problems = [];
  const known = SYSTEM_LIBRARIES[systemOf(target)];
  const unknown = binary.libraries.filter((library) => !known.test(library));
  if (unknown.length) problems.push(`it needs what not every system has: ${unknown.join(', ')}`);
  // Node.js' functions are looked up when it is loaded, so that whatever program Node.js is in may have them.
  const linked = binary.imports.filter((name) => /^(napi_|node_api_|uv_)/.test(name));
  if (linked.length) problems.push(`it is linked with Node.js: ${linked.join(', ')}`);
  const glibc = glibcOf(binary);
  if (glibc && compareVersions(glibc, target.glibc ?? '0') > 0) {
    problems.push(`it needs glibc ${glibc}, and may need ${target.glibc ?? 'none'}`);
  }
  return problems;
}

/** @param {import('./targets').Target} target */
function systemOf({ name, glibc }) {
  const [system] = name.split('-');
  if (system !== 'linux') return system;
  return glibc ? 'gnu' : 'musl';
}

function problemsOnMac({ macos, machine }, binary) {
  if (!macos) return [];
  const problems = [];
  if (!binary.macos || compareVersions(binary.macos, macos) > 0) {
    problems.push(`it needs macOS ${binary.macos ?? 'of any version'}, and may need ${macos}`);
  }
  // Apple silicon runs nothing without; the linker's own signature will do.
  if (!binary.isSigned && machine === 'arm64') problems.push('it has no code signature, or a wrong one');
  return problems;
}

module.exports = { problemsOf };
