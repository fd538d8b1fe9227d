'use strict';

/** What `npm test` is asked for. */

const { parseArgs } = require('node:util');

const SIDES = ['rust', 'js'];

/** @param {string} file */
const isTest = (file) => /\.test\.(c|m)?js$/.test(file);

/**
 * @param {string[]} argv `rust`, `js`, tests' files by their path or a part of it, `--grep` with a pattern, and `--late` with 0, 1 or 2
 * @param {string[]} all the files there are, as paths from the repository's root with `/`
 * @returns {{sides: string[], files: string[], grep?: string, late?: string}} which sides run; which files of the JavaScript side, and
 *   of these the tests whose names match `grep`; `late`: which one of three servers is told everything later
 * @throws {Error} where nothing is what was asked for; it says what there is
 */
function readTestArguments(argv, all) {
  const { positionals, values } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: { grep: { type: 'string' }, late: { type: 'string' } },
  });
  const { grep, late } = values;
  const named = positionals.filter((word) => !SIDES.includes(word));
  const files = new Set(named.flatMap((word) => filesOf(word, all)));
  const isPart = named.length > 0 || grep !== undefined;
  const sides = SIDES.filter((side) =>
    isPart ? side === 'js' || positionals.includes(side) : !positionals.length || positionals.includes(side),
  );
  if (grep !== undefined && sides.includes('rust')) {
    throw new Error('--grep is for JavaScript; for tests in Rust: cargo test --all-features NAME');
  }
  if (late !== undefined && !/^[012]$/.test(late)) throw new Error(`--late is 0, 1 or 2, not ${late}`);
  return { sides, files: named.length ? [...files] : all, grep, late };
}

/**
 * @param {string} word
 * @param {string[]} all
 */
function filesOf(word, all) {
  const path = word.replaceAll('\\', '/').replace(/^\.\//, '');
  const found = all.includes(path) ? [path] : all.filter((file) => file.includes(path));
  if (found.length) return found;
  const there = all.map((file) => `\n  ${file}`).join('');
  throw new Error(`there are no tests "${word}", only ${SIDES.join(', ')} and these files:${there}`);
}

module.exports = { readTestArguments, isTest };
