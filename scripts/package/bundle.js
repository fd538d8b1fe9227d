'use strict';

/**
 * The package's JavaScript as one file, so that `require` reads one and not eighty. Nothing is renamed or made smaller: stacks
 * read as in the source. Every entry, and every file in lib/ that is left, has its part of that one file: there is one of each
 * class and one registry, however many entries an app uses.
 */

const fs = require('node:fs');
const path = require('node:path');

const esbuild = require('esbuild');

const ROOT = path.join(__dirname, '..', '..');
const BUNDLE = 'lib/bundle.js';

/** What looks for its neighbours in the package, and what says that they aren't there. */
const BY_THEMSELVES = ['lib/addon.js', 'lib/unloadable.js'];

/**
 * @param {string} folder of a package, with all of the source; afterwards only what is used is left
 */
function bundle(folder) {
  const entries = entriesOf(folder);
  esbuild.buildSync({
    stdin: { contents: entries.map(partOf).join('\n'), resolveDir: folder },
    absWorkingDir: folder,
    outfile: path.join(folder, BUNDLE),
    bundle: true,
    platform: 'node',
    target: 'node20',
    legalComments: 'none',
    external: BY_THEMSELVES.map((file) => `./${file}`),
    // What an app has or has not.
    packages: 'external',
    logLevel: 'error',
  });
  const left = new Set([BUNDLE, ...BY_THEMSELVES, ...entries]);
  for (const file of sourcesIn(folder)) if (!left.has(file)) fs.rmSync(path.join(folder, file));
  for (const entry of entries) fs.writeFileSync(path.join(folder, entry), stubOf(entry));
}

/**
 * The files that apps may require.
 *
 * @param {string} folder
 * @returns {string[]}
 */
function entriesOf(folder) {
  const { exports } = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
  const targets = targetsIn(exports).map((target) => target.slice('./'.length).split('*'));
  return ['index.js', ...sourcesIn(folder)].filter((file) =>
    targets.some(([before, after]) =>
      after === undefined ? file === before : file.startsWith(before) && file.endsWith(after),
    ),
  );
}

/**
 * @param {unknown} exports what package.json has there, or a part of it
 * @returns {string[]}
 */
function targetsIn(exports) {
  return typeof exports === 'string' ? [exports] : Object.values(exports).flatMap(targetsIn);
}

/**
 * @param {string} folder
 * @returns {string[]} of lib/, compat/ and otel/, with slashes, as seen from there
 */
function sourcesIn(folder) {
  const files = ['lib', 'compat', 'otel'].flatMap((name) =>
    fs
      .readdirSync(path.join(folder, name), { recursive: true, encoding: 'utf8' })
      .map((file) => path.posix.join(name, file.split(path.sep).join('/'))),
  );
  // Declarations in lib/ are for comments in its files.
  return files.filter((file) => file.endsWith('.js') || /^lib\/.*\.d\.ts$/.test(file));
}

/** @param {string} entry */
function partOf(entry) {
  return `exports['${entry}'] = () => require('./${entry}');`;
}

/**
 * Who reads modules without running them, as Node.js does for `import` and TypeScript's tools do, finds the names of what is
 * exported there too.
 *
 * @param {string} entry
 */
function stubOf(entry) {
  const bundle = path.posix.relative(path.posix.dirname(entry), BUNDLE);
  const exported = require(path.join(ROOT, entry));
  const names = Object.keys(exported).filter((name) => name !== 'default');
  const lines = [
    "'use strict';\n",
    `const parts = require('${bundle.startsWith('.') ? bundle : `./${bundle}`}');`,
    `const entry = parts['${entry}']();`,
    'module.exports = entry;',
    ...(names.length > 0 ? [`0 && (module.exports = { ${names.join(', ')} });`] : []),
  ];
  return `${lines.join('\n')}\n`;
}

module.exports = { bundle };
