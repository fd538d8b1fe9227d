'use strict';

/** The registry that our packages are tried from, before they are published. */

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');

const { freePort, HOST } = require('../../scripts/free-port');
const { npm } = require('../../scripts/npm');
const { startRegistry } = require('../../scripts/package/registry');
const { setEnvironment } = require('../support/environment');

describe('the registry on loopback', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-native-registry-'));
  const tarballs = path.join(folder, 'tarballs');
  const ours = path.join(tarballs, 'ours-1.2.3.tgz');
  let theirs;
  let registry;

  before(async () => {
    fs.mkdirSync(tarballs);
    makePackage('ours', { theirs: '1.0.0' }, ours);
    const tarball = path.join(folder, 'theirs-1.0.0.tgz');
    makePackage('theirs', {}, tarball);
    theirs = await startTheirs(tarball);
    registry = await startFor(theirs.url);
  });

  after(() => {
    registry.close();
    theirs.close();
    fs.rmSync(folder, { recursive: true });
  });

  test('says of our packages what a registry says', async () => {
    const answer = await fetch(`${registry.url}ours`);
    const { name, versions, 'dist-tags': tags } = await answer.json();
    assert.deepEqual([name, tags], ['ours', { latest: '1.2.3' }]);
    const { dist, dependencies } = versions['1.2.3'];
    assert.deepEqual(dependencies, { theirs: '1.0.0' });
    const bytes = Buffer.from(await (await fetch(dist.tarball)).arrayBuffer());
    assert.deepEqual(bytes, fs.readFileSync(ours));
    assert.equal(dist.integrity, `sha512-${createHash('sha512').update(bytes).digest('base64')}`);
  });

  test('passes on what is not ours, tarballs too, so that npm installs both', async () => {
    const app = path.join(folder, 'app');
    fs.mkdirSync(app);
    fs.writeFileSync(path.join(app, 'package.json'), '{ "private": true }\n');
    const own = ['--registry', registry.url, '--cache', path.join(folder, 'cache'), '--no-audit'];
    await npm(app, ['install', ...own, 'ours']);
    assert.equal(require(path.join(app, 'node_modules', 'ours')), 'theirs 1.0.0');
    assert.deepEqual(theirs.asked, ['/theirs', '/theirs/-/theirs-1.0.0.tgz']);
  });

  test('says so if a package is nowhere, or the other registry can’t be reached', async () => {
    assert.equal((await fetch(`${registry.url}nobodys`)).status, 404);
    const alone = await startFor(`http://${HOST}:${await freePort()}/`);
    const answer = await fetch(`${alone.url}nobodys`);
    alone.close();
    assert.equal(answer.status, 502);
    assert.match((await answer.json()).error, /can't be reached/);
  });

  /** @param {string} upstream what npm has for its registry */
  async function startFor(upstream) {
    const before = process.env.npm_config_registry;
    setEnvironment({ npm_config_registry: upstream });
    try {
      return await startRegistry(tarballs);
    } finally {
      setEnvironment({ npm_config_registry: before });
    }
  }

  /**
   * @param {string} name
   * @param {Record<string, string>} dependencies
   * @param {string} file
   */
  function makePackage(name, dependencies, file) {
    const version = /-(\d.*)\.tgz$/.exec(file)?.[1];
    const contents = path.join(folder, name, 'package');
    fs.mkdirSync(contents, { recursive: true });
    fs.writeFileSync(path.join(contents, 'package.json'), JSON.stringify({ name, version, dependencies }));
    const [needed] = Object.keys(dependencies);
    const exported = needed ? `require('${needed}')` : `'${name} ${version}'`;
    fs.writeFileSync(path.join(contents, 'index.js'), `module.exports = ${exported};\n`);
    execFileSync('tar', ['-czf', file, '-C', path.dirname(contents), 'package']);
  }
});

/** The registry that npm has, in place of the real one. @param {string} tarball */
async function startTheirs(tarball) {
  const asked = [];
  const server = http.createServer((request, response) => {
    asked.push(request.url);
    if (request.url === `/theirs/-/${path.basename(tarball)}`) {
      response.end(fs.readFileSync(tarball));
    } else if (request.url === '/theirs') {
      const dist = { tarball: `${url}theirs/-/${path.basename(tarball)}` };
      const versions = { '1.0.0': { name: 'theirs', version: '1.0.0', dist } };
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ name: 'theirs', 'dist-tags': { latest: '1.0.0' }, versions }));
    } else {
      response.writeHead(404).end('{}');
    }
  });
  await new Promise((resolve) => server.listen(0, HOST, () => resolve(undefined)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  const url = `http://${HOST}:${port}/`;
  return {
    url,
    asked,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
