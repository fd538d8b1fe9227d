'use strict';

/**
 * Files of Debian's packages, for any machine, unpacked in target/. Nothing of the system's is changed, and nobody has
 * to be root; but the system must be a Debian, whose own package manager knows where they are and who signs them.
 */

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const { TOOLS, run } = require('./tools');

/** The first release with a musl that loads what Alpine Linux compiles nowadays (1.2.4), and with a qemu that needs no libraries. */
const RELEASE = 'trixie';
const MACHINES = ['amd64', 'arm64'];

/** Debian's own, which come with it. */
const KEYS = '/usr/share/keyrings/debian-archive-keyring.gpg';

const FOLDER = path.join(TOOLS, 'debian');
const STATE = path.join(FOLDER, 'apt');

/**
 * @param {string} name of the folder, of Debian's files for one machine
 * @param {string[]} packages each with its machine, as `musl:arm64`; none that they need comes along
 * @returns {string} the folder
 */
function unpackDebian(name, packages) {
  const folder = path.join(FOLDER, name);
  const done = path.join(folder, 'complete');
  if (fs.existsSync(done)) return folder;
  fs.rmSync(folder, { recursive: true, force: true });
  const downloads = path.join(folder, 'downloads');
  fs.mkdirSync(downloads, { recursive: true });
  // As in every Debian by now; paths in programs still have the shorter names.
  for (const short of ['bin', 'lib']) fs.symlinkSync(path.join('usr', short), path.join(folder, short));
  const options = aptOptions();
  run('apt-get', [...options, 'update', '-qq']);
  run('apt-get', [...options, 'download', '-qq', ...packages], { cwd: downloads });
  for (const file of fs.readdirSync(downloads)) {
    // dpkg would put a folder in place of the link.
    execFileSync('sh', [
      '-c',
      'dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C "$2"',
      'sh',
      path.join(downloads, file),
      folder,
    ]);
  }
  fs.rmSync(downloads, { recursive: true });
  fs.writeFileSync(done, '');
  return folder;
}

/** Has apt keep everything in a folder of our own, and look at one release only, at the mirror that this system uses. */
function aptOptions() {
  const sources = path.join(STATE, 'sources.list');
  for (const folder of ['lists/partial', 'cache/archives/partial']) {
    fs.mkdirSync(path.join(STATE, folder), { recursive: true });
  }
  const settings = `arch=${MACHINES.join(',')} signed-by=${KEYS}`;
  fs.writeFileSync(sources, `deb [${settings}] ${mirror()} ${RELEASE} main\n`);
  return [
    `Dir::Etc::sourcelist=${sources}`,
    'Dir::Etc::sourceparts=/dev/null',
    `Dir::State::lists=${path.join(STATE, 'lists')}`,
    `Dir::Cache=${path.join(STATE, 'cache')}`,
    ...MACHINES.map((machine) => `APT::Architectures::=${machine}`),
    // It would warn that only root's folders are for root.
    'APT::Sandbox::User=root',
  ].flatMap((setting) => ['-o', setting]);
}

function mirror() {
  const format = '$(REPO_URI) $(CODENAME)';
  const filters = ['Created-By: Packages', 'Origin: Debian', 'Component: main'];
  const said = execFileSync('apt-get', ['indextargets', '--format', format, ...filters], {
    encoding: 'utf8',
  });
  // Updates have a name with a hyphen.
  const own = said
    .split('\n')
    .map((line) => line.split(' '))
    .find(([, codename]) => /^[a-z]+$/.test(codename ?? ''));
  if (!own) throw new Error('apt knows no mirror of Debian’s');
  return own[0];
}

/** Why there is nothing of Debian's here; null if there is. */
function noDebian() {
  try {
    mirror();
    return null;
  } catch (error) {
    return /ENOENT/.test(error.message) ? 'this system has no apt' : error.message;
  }
}

module.exports = { noDebian, unpackDebian };
