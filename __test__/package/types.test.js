'use strict';

// The declarations of every entry, as they are published, by each way to resolve modules and compilers of several years.

const fs = require('node:fs');
const path = require('node:path');
const { before, describe, test } = require('node:test');

const { compile, otherCompiler, NODE_14 } = require('../support/compile');
const { appWith } = require('../support/packed-app');

/** Those that were told of in 2022, when Node's own types were of 2021. */
const OLD = { node: NODE_14, options: { target: 'es2022', lib: ['es2022'] } };

const COMPILERS = [
  { name: 'TypeScript 4.7', compiler: otherCompiler('typescript-4'), ...OLD, lacks: ['bundler'] },
  { name: 'TypeScript 5.0', compiler: otherCompiler('typescript-5'), ...OLD },
  { name: 'our TypeScript', options: { ignoreDeprecations: '6.0' } },
  { name: 'TypeScript 7', compiler: otherCompiler('typescript-7'), lacks: ['node10'] },
];

/** `node10` was called `node` before TypeScript 5.0, and still is. */
const RESOLUTIONS = [
  { name: 'node10', ending: /\.cts$/, options: { module: 'commonjs', moduleResolution: 'node' } },
  { name: 'node16', ending: /\.[cm]ts$/, options: { module: 'node16' } },
  { name: 'nodenext', ending: /\.[cm]ts$/, options: { module: 'nodenext' } },
  { name: 'bundler', ending: /\.mts$/, options: { module: 'esnext', moduleResolution: 'bundler' } },
];

let app;
let consumers;
before(async () => {
  app = await appWith('redlock-native');
  // The classic entries return its promises.
  const modules = path.join(__dirname, '..', '..', 'node_modules');
  for (const name of ['bluebird', '@types/bluebird']) {
    fs.cpSync(path.join(modules, name), path.join(app, 'node_modules', name), { recursive: true });
  }
  consumers = fs.readdirSync(app).filter((file) => /\.[cm]ts$/.test(file));
});

for (const { name, compiler, node, options: own = {}, lacks = [] } of COMPILERS) {
  const skip = compiler === null && 'npm ci --prefix __test__/runtimes';
  describe(`${name} finds the types of every entry`, { skip }, () => {
    for (const { name: resolution, ending, options } of RESOLUTIONS) {
      if (lacks.includes(resolution)) continue;
      test(`by ${resolution}`, () => {
        const files = consumers.filter((file) => ending.test(file));
        compile(app, files, { ...own, ...options, noEmit: true }, { node, compiler: compiler ?? undefined });
      });
    }
  });
}
