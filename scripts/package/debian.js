'use strict';

/**
 * Files of Debian's packages, for any machine, unpacked in target/. Nothing of the system's is changed, and nobody has
 * to be root; but the system must be a Debian, whose own package manager knows where they are and who signs them.
 */

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const { TOOLS, make, run } = require('./tools');

/** The first release with a musl that loads what Alpine Linux compiles nowadays (1.2.4), and with a qemu that needs no libraries. */
const RELEASE = 'trixie';
const MACHINES = ['amd64', 'arm64'];

/** Debian's own, which come with it. */
const KEYS = '/usr/share/keyrings/debian-archive-keyring.gpg';

const STATE = path.join(TOOLS, 'apt');

/**
 * @param {string} name of the folder, of Debian's files for one machine
 * @param {string[]} packages each with its machine, as `musl:arm64`; none that they need comes along
 * @returns {string} the folder
 */
function unpackDebian(name, packages) {
  const folder = path.join(TOOLS, `debian-${RELEASE}-${name}`);
  make(folder, (system) => {
    // As in every Debian by now; paths in programs still have the shorter names.
    for (const short of ['bin', 'lib']) fs.symlinkSync(path.join('usr', short), path.join(system, short));
    const downloads = path.join(system, 'downloads');
    fs.mkdirSync(downloads);
    run('apt-get', [...aptOptions(), 'download', '-qq', ...packages], { cwd: downloads });
    for (const file of fs.readdirSync(downloads)) extract(path.join(downloads, file), system);
    fs.rmSync(downloads, { recursive: true });
  });
  return folder;
}

/** dpkg itself would put a folder in place of a link. */
function extract(file, system) {
  const extraction = 'dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C "$2"';
  execFileSync('sh', ['-c', extraction, 'sh', file, system]);
}

/** What apt is told so that it keeps everything in a folder of our own. */
let known;

/** Has apt look at one release only, at the mirror that this system uses, once per process. */
function aptOptions() {
  if (known) return known;
  const sources = path.join(STATE, 'sources.list');
  for (const folder of ['lists/partial', 'cache/archives/partial']) {
    fs.mkdirSync(path.join(STATE, folder), { recursive: true });
  }
  const settings = `arch=${MACHINES.join(',')} signed-by=${KEYS}`;
  fs.writeFileSync(sources, `deb [${settings}] ${mirror()} ${RELEASE} main\n`);
  const options = [
    `Dir::Etc::sourcelist=${sources}`,
    'Dir::Etc::sourceparts=/dev/null',
    `Dir::State::lists=${path.join(STATE, 'lists')}`,
    `Dir::Cache=${path.join(STATE, 'cache')}`,
    ...MACHINES.map((machine) => `APT::Architectures::=${machine}`),
    // It would warn that only root's folders are for root.
    'APT::Sandbox::User=root',
  ].flatMap((setting) => ['-o', setting]);
  run('apt-get', [...options, 'update', '-qq']);
  known = options;
  return known;
}

/** Where this system's own packages come from. */
function mirror() {
  const own = /^VERSION_CODENAME=(.*)$/m.exec(fs.readFileSync('/etc/os-release', 'utf8'))?.[1];
  // It says from where it would fetch, and fetches nothing.
  const said = execFileSync('apt-get', ['update', '--print-uris', '-q'], { encoding: 'utf8' });
  const uri = new RegExp(`^'(.*)/dists/${own}/InRelease'`, 'm').exec(said)?.[1];
  if (!uri || !fs.existsSync(KEYS)) throw new Error('this system is no Debian');
  return uri;
}

/** Why there is nothing of Debian's here; null if there is. */
function noDebian() {
  try {
    mirror();
    return null;
  } catch (error) {
    return error.code === 'ENOENT' ? 'this system is no Debian' : error.message;
  }
}

module.exports = { noDebian, unpackDebian };
