'use strict';

/**
 * `npm run notices [-- --check]`: writes THIRD-PARTY-NOTICES.txt, the licences of all that is linked into the addon and is not
 * ours; with `--check`, fails if what is there is not what would be written.
 */

const fs = require('node:fs');
const path = require('node:path');

const { linkedCrates } = require('./crates');
const { RUNTIMES } = require('./runtimes');

const ROOT = path.join(__dirname, '..', '..');
const FILE = path.join(ROOT, 'THIRD-PARTY-NOTICES.txt');
const LICENCES = path.join(__dirname, 'licences');

/** The licences of repositories whose crates come without: as their repositories have them. */
const OF_REPOSITORIES = { 'napi-rs/napi-rs': 'napi-rs.txt' };

/** What files are called that say who has which rights. */
const IS_LICENCE = /^(un)?licen[cs]es?\b|^copying|^copyright|^notice/i;

/** What a file is called that has only the licence of these names. */
const NAMES = {
  'Apache-2.0': /apache/i,
  'Apache-2.0 WITH LLVM-exception': /apache/i,
  'BSL-1.0': /boost|bsl/i,
  ISC: /isc$/i,
  Unlicense: /^unlicense/i,
  Zlib: /zlib$/i,
};

/** @param {import('./crates').Crate[]} crates */
function noticesOf(crates) {
  const foreign = crates.filter(({ sha256 }) => sha256 !== null);
  const head = `THIRD-PARTY NOTICES

The addon of redlock-native, a file that ends in .node, has in it what others have written: the crates of this list,
Rust's standard library, and parts of what compiles and links it. Which of them depends on the platform. Where
there is a choice of licences, MIT is taken if it is one of them. The licences follow, each with those it is of.

Made by \`npm run notices\`.

${foreign.map(({ name, version, license }) => `${name} ${version}: ${license}`).join('\n')}
`;
  const users = new Map();
  for (const crate of foreign) {
    for (const text of textsOf(crate, foreign)) add(users, text, `${crate.name} ${crate.version}`);
  }
  for (const { title, file } of RUNTIMES) add(users, kept(file), title);
  return [head, ...[...users.values()].map(({ text, names }) => section(text, names))].join('\n');
}

/** The same text in other lines is the same text. */
function add(users, text, name) {
  const key = text.replace(/\s+/g, ' ').trim();
  const entry = users.get(key) ?? { text, names: [] };
  if (!entry.names.includes(name)) entry.names.push(name);
  users.set(key, entry);
}

function section(text, names) {
  const lines = text.replace(/\r\n?/g, '\n').split('\n');
  const body = lines.map((line) => line.trimEnd()).join('\n');
  return `${'='.repeat(100)}\n${names.join('\n')}\n${'-'.repeat(100)}\n\n${body.replace(/^\n+|\n+$/g, '')}\n`;
}

/**
 * @param {import('./crates').Crate} crate
 * @param {import('./crates').Crate[]} all
 */
function textsOf(crate, all) {
  const own = licenceFiles(crate);
  if (own.length) return own.map(read);
  const repository = crate.repository?.replace(/\.git$/, '');
  const forRepository = Object.keys(OF_REPOSITORIES).find((name) => repository?.endsWith(`/${name}`));
  if (forRepository) return [kept(OF_REPOSITORIES[forRepository])];
  const siblings = all.filter((other) => other.repository?.replace(/\.git$/, '') === repository);
  const theirs = siblings.map(licenceFiles).find((files) => files.length);
  if (repository && theirs) return theirs.map(read);
  const where = path.relative(ROOT, LICENCES);
  throw new Error(
    `the crate ${crate.name} ${crate.version} comes without a licence: put that of ${repository} in ${where} and name it in OF_REPOSITORIES`,
  );
}

/** @param {import('./crates').Crate} crate */
function licenceFiles({ folder, license }) {
  const files = fs
    .readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.rs'))
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .filter((file) => file.split(path.sep).some((part) => IS_LICENCE.test(part)))
    .sort();
  return withoutOtherChoices(files, license).map((file) => path.join(folder, file));
}

function withoutOtherChoices(files, license) {
  const choices = license.split(' OR ');
  const hasText = files.some((file) => /mit(\.txt|\.md)?$/i.test(file));
  if (!choices.includes('MIT') || !hasText) return files;
  const others = choices.map((choice) => NAMES[choice]).filter(Boolean);
  return files.filter((file) => !others.some((name) => name.test(path.parse(file).name)));
}

function kept(file) {
  return read(path.join(LICENCES, file));
}

function read(file) {
  return fs.readFileSync(file, 'utf8');
}

function main(args) {
  const notices = noticesOf(linkedCrates());
  if (!args.includes('--check')) return fs.writeFileSync(FILE, notices);
  if (fs.existsSync(FILE) && read(FILE).replace(/\r\n/g, '\n') === notices) return;
  console.error(
    `${path.basename(FILE)} is not of the crates that are linked into the addon now: npm run notices, and look at what changes.`,
  );
  process.exitCode = 1;
}

if (require.main === module) main(process.argv.slice(2));

module.exports = { noticesOf };
