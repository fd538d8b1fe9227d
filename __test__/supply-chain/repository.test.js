'use strict';

/** The addresses that are put into manifests when a pipeline packs. */

const assert = require('node:assert/strict');
const { test } = require('node:test');

const { withRepository } = require('../../scripts/package/repository');

const MANIFEST = { name: 'one', version: '1.0.0' };

test("a package that a pipeline packs names the pipeline's repository", () => {
  const env = { GITHUB_SERVER_URL: 'https://git.example', GITHUB_REPOSITORY: 'somebody/something' };
  assert.deepEqual(withRepository(MANIFEST, env), {
    ...MANIFEST,
    repository: { type: 'git', url: 'git+https://git.example/somebody/something.git' },
    bugs: 'https://git.example/somebody/something/issues',
    homepage: 'https://git.example/somebody/something#readme',
  });
});

test('a package that is packed elsewhere names none', () => {
  assert.deepEqual(withRepository(MANIFEST, {}), MANIFEST);
  assert.deepEqual(withRepository(MANIFEST, { GITHUB_REPOSITORY: 'somebody/something' }), MANIFEST);
});
