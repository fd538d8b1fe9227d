'use strict';

/** No link of what is written for people is dead: the files that are linked exist, and the headings in them. */

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const { ROOT, anchorsOf, documents, linksOf, read } = require('../support/documents');

const IS_ELSEWHERE = /^[a-z]+:/;

for (const file of documents()) {
  test(`the links of ${file} lead somewhere`, async () => {
    const dead = [];
    for (const link of linksOf(file)) {
      if (!IS_ELSEWHERE.test(link) && !(await leadsSomewhere(file, link))) dead.push(link);
    }
    assert.deepEqual(dead, []);
  });
}

/**
 * @param {string} from
 * @param {string} link
 */
async function leadsSomewhere(from, link) {
  if (link === '') return false;
  const [to, anchor] = decodeURI(link).split('#');
  const file = to === '' ? from : path.posix.join(path.posix.dirname(from), to);
  if (!fs.existsSync(path.join(ROOT, file))) return false;
  return anchor === undefined || (await anchorsOf(file)).has(anchor);
}

test('every page of docs/ can be reached from the README', () => {
  const seen = new Set();
  const look = (file) => {
    if (seen.has(file)) return;
    seen.add(file);
    for (const link of linksOf(file)) {
      if (IS_ELSEWHERE.test(link)) continue;
      const to = path.posix.join(path.posix.dirname(file), link.split('#')[0]);
      if (to.endsWith('.md') && fs.existsSync(path.join(ROOT, to))) look(to);
    }
  };
  look('README.md');
  const pages = documents().filter((file) => file.startsWith('docs/'));
  assert.deepEqual(
    pages.filter((page) => !seen.has(page)),
    [],
  );
});

test('no link of a packed page leads out of the package, but for developers', () => {
  const { files } = require('../../package.json');
  const isPacked = (file) =>
    ['README.md', 'LICENSE'].includes(file) || files.some((one) => `${file}/`.startsWith(`${one}/`));
  const out = documents()
    .filter((file) => isPacked(file) && file !== 'CONTRIBUTING.md')
    .flatMap((file) =>
      linksOf(file)
        .filter((link) => !IS_ELSEWHERE.test(link) && !link.startsWith('#'))
        .map((link) => path.posix.join(path.posix.dirname(file), link.split('#')[0]))
        // npm's site shows the README, whose links lead to the repository there.
        .filter((to) => !isPacked(to) && !(file === 'README.md' && to.startsWith('examples/'))),
    );
  assert.deepEqual(out, []);
});

test('the README is for a person with a problem: short', () => {
  assert.ok(read('README.md').split('\n').length <= 180);
});
