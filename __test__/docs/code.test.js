'use strict';

/**
 * The code of README and docs/ runs as it is written: each block in a process of its own, on three real servers that
 * stand in for the addresses of the examples. What a block takes for granted is in an HTML comment before it, that readers
 * don't see: `<!-- with: const pages = []; -->`. A block without import and require has `redlock` too. What a block prints
 * after `// →` must be printed. TypeScript is checked, JSON read, and what shells are told to run must exist.
 */

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { before, describe, test } = require('node:test');
const { promisify } = require('node:util');

const ts = require('typescript');

const { ROOT, blocksOf, documents } = require('../support/documents');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');

/** Its blocks are index.d.ts itself. */
const IS_MADE = (file) => file === 'docs/api.md';

const blocks = documents()
  .filter((file) => !IS_MADE(file))
  .flatMap((file) => blocksOf(file).map((block) => ({ ...block, file, title: `${file}:${block.line}` })));
const inLanguage = (...languages) => blocks.filter(({ language }) => languages.includes(language));

/** In ms. A block that does not end is a failure. */
const TIMEOUT = 60_000;

describe('JavaScript runs', { concurrency: 4 }, () => {
  const suite = endOfSuite();
  // Inside the repository, so that `redlock-native` is this package, and clients are found.
  const folder = path.join(ROOT, 'target', `docs-${process.pid}`);
  let servers;

  before(async () => {
    fs.mkdirSync(path.join(folder, 'node_modules'), { recursive: true });
    suite.after(() => fs.rmSync(folder, { recursive: true, force: true }));
    fs.symlinkSync(
      path.join(ROOT, 'node_modules', 'redis-5'),
      path.join(folder, 'node_modules', 'redis'),
      'junction',
    );
    // A database for each block, so that none finds another's locks.
    servers = await startServers(suite, 3, { args: ['--databases', String(blocks.length + 1)] });
  });

  const diffs = inLanguage('diff').map((block) => ({ ...block, code: afterDiff(block.code) }));
  for (const [index, { title, code, note }] of [...inLanguage('js'), ...diffs].entries()) {
    test(title, async () => {
      const isCommonJs = /\brequire\(/.test(code);
      const hasImports = isCommonJs || /^import /m.test(code);
      const file = path.join(folder, `${index}.${isCommonJs ? 'cjs' : 'mjs'}`);
      const whole = [
        hasImports ? '' : "import Redlock from 'redlock-native';",
        /^with:/.test(note) ? note.slice('with:'.length) : '',
        hasImports ? '' : `const redlock = new Redlock([${EXAMPLES.map((one) => `'${one}'`)}]);`,
        // In a block, as a block of the text may name things as the lines above do.
        hasImports ? code : `{\n${code}\n}\nawait redlock.quit();`,
      ];
      fs.writeFileSync(file, onServers(whole.join('\n'), servers, index + 1));
      const said = await run(file);
      for (const expected of code.matchAll(/\/\/ → (.*)/g)) assert.ok(said.includes(expected[1]), said);
    });
  }
});

/** The addresses of the examples. The first is `localhost` too. */
const EXAMPLES = ['redis://10.0.0.1:6379', 'redis://10.0.0.2:6379', 'redis://10.0.0.3:6379'];

/**
 * @param {string} code
 * @param {{url: string}[]} servers
 * @param {number} database
 */
function onServers(code, servers, database) {
  const here = code.replaceAll('redis://localhost:6379', EXAMPLES[0]);
  return EXAMPLES.reduce(
    (text, one, index) => text.replaceAll(one, `${servers[index].url}/${database}`),
    here,
  );
}

/** What stands there when a diff was applied. @param {string} diff */
function afterDiff(diff) {
  const kept = diff.split('\n').filter((line) => !line.startsWith('-'));
  return kept.map((line) => line.slice(1)).join('\n');
}

/** @param {string} file */
async function run(file) {
  const env = { ...process.env };
  // A test of an example's own would report to this one's runner.
  delete env.NODE_TEST_CONTEXT;
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [file], { env, timeout: TIMEOUT });
  return stdout + stderr;
}

describe('TypeScript is checked', () => {
  const examples = inLanguage('ts');
  const names = examples.map((_, index) => path.join(ROOT, '__test__', 'docs', `example-${index}.mts`));
  const host = ts.createCompilerHost({});
  const { readFile, fileExists } = host;
  host.readFile = (file) => examples[names.indexOf(file)]?.code ?? readFile(file);
  host.fileExists = (file) => names.includes(file) || fileExists(file);
  const own = host.getSourceFile;
  host.getSourceFile = (file, ...more) =>
    names.includes(file)
      ? ts.createSourceFile(file, examples[names.indexOf(file)].code, ts.ScriptTarget.ES2023)
      : own(file, ...more);
  const options = {
    target: ts.ScriptTarget.ES2023,
    lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
    module: ts.ModuleKind.NodeNext,
    types: ['node'],
    // Wherever the tests are started.
    typeRoots: [path.join(ROOT, 'node_modules', '@types')],
    strict: true,
    noEmit: true,
    skipLibCheck: true,
  };
  const program = examples.length > 0 ? ts.createProgram(names, options, host) : undefined;
  for (const [index, { title }] of examples.entries()) {
    test(title, () => {
      const found = ts.getPreEmitDiagnostics(program, program.getSourceFile(names[index]));
      assert.deepEqual(
        found.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n')),
        [],
      );
    });
  }
});

describe('JSON can be read', () => {
  for (const { title, code } of inLanguage('json')) test(title, () => JSON.parse(code));
});

describe('what shells are told to run exists', () => {
  const { scripts } = require('../../package.json');
  for (const { title, code } of inLanguage('', 'sh', 'bash')) {
    test(title, () => {
      for (const [, script] of code.matchAll(/\bnpm run ([\w:-]+)/g)) assert.ok(scripts[script], script);
      for (const [, file] of code.matchAll(/\bnode (?:--\S+ )*([\w./-]+\.js)\b/g)) {
        assert.ok(fs.existsSync(path.join(ROOT, file)), file);
      }
    });
  }
});

test('every block is of a language that is looked at', () => {
  const known = ['js', 'diff', 'ts', 'json', '', 'sh', 'bash', 'mermaid'];
  assert.deepEqual(
    blocks.filter(({ language }) => !known.includes(language)).map(({ title }) => title),
    [],
  );
});
