'use strict';

/** The package that compiles the addon where it is installed: the sources, and what runs cargo on them. */

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const ROOT = path.join(__dirname, '..', '..');
const OWN = path.join(__dirname, 'source');

const NAME = 'redlock-native-source';

/** What of the workspace is about the addon; the rest is about tests and benchmarks. */
const SECTIONS = ['workspace.dependencies', 'profile.release'];

/**
 * @param {string} folder made here
 * @param {Record<string, any>} manifest the repository's
 */
function stageSource(folder, { version, license, author, engines, repository, bugs, homepage }) {
  fs.cpSync(OWN, folder, { recursive: true });
  for (const name of ['src', 'addon', 'Cargo.lock']) {
    fs.cpSync(path.join(ROOT, name), path.join(folder, name), { recursive: true, filter: isNoCorpus });
  }
  const workspace = fs.readFileSync(path.join(ROOT, 'Cargo.toml'), 'utf8');
  const kept = sectionsOf(workspace).filter(({ name }) => SECTIONS.includes(name));
  const parts = ['[workspace]\nresolver = "3"\nmembers = ["addon"]\n', ...kept.map(({ text }) => text)];
  fs.writeFileSync(path.join(folder, 'Cargo.toml'), parts.join('\n'));
  // The crates that only the rest needs go from the lockfile, which would be out of date else. It has to see those of every
  // platform for that, and may not look for newer ones.
  cargo(ROOT, 'fetch', '--locked');
  cargo(folder, 'metadata', '--offline', '--format-version', '1');
  const [, rustVersion] = /^rust-version = "(.*)"$/m.exec(workspace);
  const own = {
    name: NAME,
    version,
    description: 'The addon of redlock-native as source, compiled with cargo when it is installed',
    ...{ license, author, repository, bugs, homepage, engines },
    main: 'index.js',
    scripts: { install: 'node build.js' },
    rustVersion,
    files: ['index.js', 'build.js', 'Cargo.toml', 'Cargo.lock', 'addon', 'src'],
  };
  fs.writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(own, null, 2)}\n`);
}

/** Inputs that fuzzing has found lie beside the sources. @param {string} file */
function isNoCorpus(file) {
  return path.basename(file) !== '__fuzz__';
}

/**
 * @param {string} folder
 * @param {...string} args
 */
function cargo(folder, ...args) {
  execFileSync('cargo', args, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
}

/**
 * Of a file in TOML, without what is said before the next one about that.
 *
 * @param {string} text
 */
function sectionsOf(text) {
  return text.split(/^(?=\[)/m).map((section) => ({
    name: /^\[(.*)\]/.exec(section)?.[1],
    text: section.replace(/(\n|#.*)*$/, '\n'),
  }));
}

module.exports = { NAME, stageSource };
