'use strict';

/** What publishes the packages, to a registry of the test's own. */

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const { afterEach, beforeEach, describe, test } = require('node:test');

const { npm } = require('../../scripts/npm');
const { publishAll } = require('../../scripts/publish');

const WANTED = { name: 'one', version: '1.0.0' };

/** The main package's manifest. */
const main = (changes) => ({
  ...WANTED,
  optionalDependencies: { 'one-a': '1.0.0', 'one-b': '1.0.0' },
  ...changes,
});
/** Those that it needs. */
const addons = (changes) => ['one-a', 'one-b'].map((name) => ({ ...WANTED, name, ...changes }));

/** A registry that knows what was published, and no more. */
async function startRegistry() {
  const published = [];
  const server = http.createServer(async (request, response) => {
    const chunks = await request.toArray();
    const name = decodeURIComponent(request.url.split('?')[0].slice(1));
    const isThere = published.some((one) => one.name === name);
    if (request.method === 'PUT') {
      const said = JSON.parse(Buffer.concat(chunks).toString());
      published.push({ name, tags: said['dist-tags'], versions: said.versions });
    } else if (!isThere) response.statusCode = 404;
    const document = published.find((one) => one.name === name);
    response.end(JSON.stringify(document ? { ...document, 'dist-tags': document.tags } : {}));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, published, host: `127.0.0.1:${server.address().port}` };
}

describe('publishing', () => {
  const before = { ...process.env };
  let folder;
  let registry;
  beforeEach(async () => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'publish-'));
    registry = await startRegistry();
    const config = path.join(folder, 'npmrc');
    fs.writeFileSync(config, `registry=http://${registry.host}/\n//${registry.host}/:_authToken=anybody\n`);
    process.env.npm_config_userconfig = config;
    process.env.npm_config_registry = `http://${registry.host}/`;
    process.env.npm_config_cache = path.join(folder, 'cache');
  });
  afterEach(() => {
    for (const name of ['npm_config_userconfig', 'npm_config_registry', 'npm_config_cache']) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
    registry.server.closeAllConnections();
    registry.server.close();
    fs.rmSync(folder, { recursive: true });
  });

  /** A folder with these packages. */
  function packed(...manifests) {
    const packages = path.join(folder, 'packages');
    for (const each of [packages, path.join(folder, 'package')]) fs.mkdirSync(each);
    for (const manifest of manifests) {
      fs.writeFileSync(path.join(folder, 'package', 'package.json'), JSON.stringify(manifest));
      const file = `packages/${manifest.name}-${manifest.version}.tgz`;
      execFileSync('tar', ['-czf', file, 'package'], { cwd: folder });
    }
    return packages;
  }

  test('ends with the package that needs the others, and goes on where a run was cut short', async () => {
    const packages = packed(main(), ...addons());
    await npm(folder, ['publish', path.join(packages, 'one-a-1.0.0.tgz')]);
    await publishAll(packages, WANTED, []);
    assert.deepEqual(
      registry.published.map(({ name }) => name),
      ['one-a', 'one-b', 'one'],
    );
    for (const { name, tags } of registry.published) assert.deepEqual(tags, { latest: '1.0.0' }, name);
  });

  test('gives nobody a version before it is final who has not asked for it', async () => {
    const version = '1.1.0-rc.1';
    const packages = packed(main({ version }), ...addons({ version }));
    await publishAll(packages, { name: 'one', version }, []);
    for (const { name, tags } of registry.published) assert.deepEqual(tags, { next: version }, name);
  });

  const INCOMPLETE = {
    'without a platform': [[main(), addons()[0]], /one-b: not there, and one needs it/],
    'without the main package': [addons(), /there is no package one;/],
    'with a main package that needs no other': [[main({ optionalDependencies: {} })], /one needs no package/],
    'with a package of another version': [
      [main(), ...addons({ version: '0.9.0' })],
      /one-a 0\.9\.0, one-b 0\.9\.0: another version than 1\.0\.0/,
    ],
  };
  for (const [what, [manifests, message]] of Object.entries(INCOMPLETE)) {
    test(`does not begin ${what}`, async () => {
      await assert.rejects(publishAll(packed(...manifests), WANTED, []), { message });
      assert.deepEqual(registry.published, []);
    });
  }
});
