'use strict';

/** TypeScript in an app, compiled as tsc does it. */

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const MODULES = path.join(__dirname, '..', '..', 'node_modules');
const OTHERS = path.join(__dirname, '..', 'runtimes', 'node_modules');

/** Where Node's types are in `node_modules`: of now, and of 2021. */
const NODE = '@types/node';
const NODE_14 = 'types-node-14';

/**
 * The compilers beside our own, which `npm ci --prefix __test__/runtimes` installs; null where it has not.
 *
 * @param {'typescript-4' | 'typescript-5' | 'typescript-7'} name
 */
function otherCompiler(name) {
  const folder = path.join(OTHERS, name);
  return fs.existsSync(folder) ? folder : null;
}

/**
 * Fails with what is wrong. Types of TypeScript and Node.js themselves are not looked over: that takes most of tsc's time.
 *
 * @param {string} app
 * @param {string[]} files
 * @param {Record<string, unknown>} options
 * @param {object} [by]
 * @param {string} [by.node] the folder of Node's types in `node_modules`
 * @param {string} [by.compiler] the folder of a TypeScript
 */
function compile(app, files, options, { node = NODE, compiler = path.join(MODULES, 'typescript') } = {}) {
  const types = path.join(app, 'types');
  fs.rmSync(types, { recursive: true, force: true });
  fs.mkdirSync(types);
  fs.symlinkSync(path.join(MODULES, node), path.join(types, 'node'), 'junction');
  const config = {
    compilerOptions: {
      target: 'es2023',
      lib: ['es2023'],
      strict: true,
      types: ['node'],
      typeRoots: [types],
      ...options,
    },
    files,
  };
  const { version } = require(path.join(compiler, 'package.json'));
  const isProgramOnly = Number.parseInt(version, 10) >= 7;
  assert.equal((isProgramOnly ? compileByProgram : compileInProcess)(app, config, compiler), '');
}

/**
 * @param {string} app
 * @param {object} config
 * @param {string} compiler
 * @returns {string} what is wrong
 */
function compileInProcess(app, config, compiler) {
  const ts = require(compiler);
  const parsed = ts.parseJsonConfigFileContent(config, ts.sys, app);
  const program = ts.createProgram(parsed.fileNames, parsed.options, hostFor(ts, parsed.options));
  const inApp = program
    .getSourceFiles()
    .filter(({ fileName }) => !path.relative(app, fileName).startsWith('..'));
  // The package's own types are among them.
  assert.ok(inApp.some(({ fileName }) => /\/node_modules\/redlock(-native)?\/.*\.d\.m?ts$/.test(fileName)));
  // One by one: together, all types would be looked over.
  const emitted = inApp.filter((file) => !file.isDeclarationFile).map((file) => program.emit(file));
  const wrong = [
    ...parsed.errors,
    ...program.getOptionsDiagnostics(),
    ...program.getGlobalDiagnostics(),
    ...inApp.flatMap((file) => [
      ...program.getSyntacticDiagnostics(file),
      ...program.getSemanticDiagnostics(file),
    ]),
    ...emitted.flatMap(({ diagnostics }) => diagnostics),
  ];
  const host = {
    getCanonicalFileName: (name) => name,
    getCurrentDirectory: () => app,
    getNewLine: () => '\n',
  };
  return ts.formatDiagnostics(wrong, host);
}

/** The types of TypeScript and Node.js, read once for all programs of the same options. @type {Map<string, any>} */
const readOnce = new Map();

/**
 * @param {any} ts
 * @param {object} options
 */
function hostFor(ts, options) {
  const host = ts.createCompilerHost(options);
  const { getSourceFile } = host;
  host.getSourceFile = (file, ...rest) => {
    if (!/\/node_modules\/(typescript(-\d)?\/lib|@types\/node|types-node-14)\//.test(file)) {
      return getSourceFile(file, ...rest);
    }
    const key = JSON.stringify([ts.version, file, options]);
    if (!readOnce.has(key)) readOnce.set(key, getSourceFile(file, ...rest));
    return readOnce.get(key);
  };
  return host;
}

/**
 * From TypeScript 7 on it is a program only, and fast enough to look over everything.
 *
 * @param {string} app
 * @param {object} config
 * @param {string} compiler
 * @returns {string} what is wrong
 */
function compileByProgram(app, config, compiler) {
  const file = path.join(app, 'tsconfig.json');
  fs.writeFileSync(file, JSON.stringify(config));
  const { error, status, stdout, stderr } = spawnSync(
    process.execPath,
    [path.join(compiler, 'bin', 'tsc'), '--project', file],
    { cwd: app, encoding: 'utf8' },
  );
  if (error) throw error;
  return status === 0 ? '' : `${stdout}${stderr}`;
}

module.exports = { compile, otherCompiler, NODE_14 };
