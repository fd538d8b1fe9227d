'use strict';

/** What publishes the packages, to a registry of the test's own. */

const assert = require('node:assert/strict');
const { execFile, execFileSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const { after, afterEach, before, beforeEach, describe, test } = require('node:test');
const { promisify } = require('node:util');

const { HOST } = require('../../scripts/free-port');
const { releaseIn } = require('../../scripts/package/release');
const { integrityOf, manifestIn } = require('../../scripts/package/tarball');
const { publishAll, tagFor } = require('../../scripts/publish');
const { setEnvironment } = require('../support/environment');
const { makeAddons, packRelease } = require('../support/tiny-release');
const { version } = require('../../package.json');

const SCRIPT = path.join(__dirname, '..', '..', 'scripts', 'publish.js');
const MAIN = 'redlock-native';
/** A line after any that there is. */
const LATER = '1000.0.0';

/** A registry that knows what was published, and no more. */
async function startRegistry() {
  /** In the order in which they came. @type {{name: string, version: string, tags: object}[]} */
  const published = [];
  /** @type {Map<string, {name: string, 'dist-tags': object, versions: Record<string, any>}>} */
  const documents = new Map();
  const server = http.createServer(async (request, response) => {
    const chunks = await request.toArray();
    const name = decodeURIComponent(request.url.split('?')[0].slice(1));
    if (request.method === 'PUT') {
      const { versions, 'dist-tags': tags } = JSON.parse(Buffer.concat(chunks).toString());
      published.push({ name, version: Object.keys(versions)[0], tags });
      add(name, versions, tags);
    } else if (!documents.has(name)) response.statusCode = 404;
    response.end(JSON.stringify(documents.get(name) ?? {}));
  });
  server.listen(0, HOST);
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return { server, published, add, host: `${HOST}:${port}` };

  /** What is there as if it had been published long ago. */
  function add(name, versions, tags) {
    const known = documents.get(name) ?? { name, versions: {}, 'dist-tags': {} };
    const document = { ...known, versions: { ...known.versions, ...versions } };
    documents.set(name, { ...document, 'dist-tags': { ...known['dist-tags'], ...tags } });
  }
}

describe('publishing', () => {
  /** Of the whole release. */
  let folder;
  let addons;
  let release;
  before(async () => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-native-publish-'));
    addons = makeFolder();
    makeAddons(addons);
    release = makeFolder();
    await packRelease(release, addons);
  });
  after(() => fs.rmSync(folder, { recursive: true }));

  const NPMS = ['npm_config_userconfig', 'npm_config_registry', 'npm_config_cache'];
  const unset = Object.fromEntries(NPMS.map((name) => [name, process.env[name]]));
  let registry;
  beforeEach(async () => {
    registry = await startRegistry();
    const config = path.join(makeFolder(), 'npmrc');
    fs.writeFileSync(config, `registry=http://${registry.host}/\n//${registry.host}/:_authToken=anybody\n`);
    setEnvironment({
      npm_config_userconfig: config,
      npm_config_registry: `http://${registry.host}/`,
      npm_config_cache: makeFolder(),
    });
  });
  afterEach(() => {
    setEnvironment(unset);
    registry.server.closeAllConnections();
    registry.server.close();
  });

  test('goes on where a run was cut short, and ends with the package that needs the others', async () => {
    const files = releaseIn(release);
    for (const file of files.slice(2)) if (!isMain(file)) addPublished(file);
    const { stdout } = await publish([]);
    const names = registry.published.map(({ name }) => name);
    assert.deepEqual(names, [files[0], files[1], files.at(-1)].map(nameOf));
    assert.match(stdout, new RegExp(`^${nameOf(files[2])} ${version} is there already$`, 'm'));
    const tag = tagFor(version, {});
    for (const { name, tags } of registry.published) assert.deepEqual(tags, { [tag]: version }, name);
  });

  test('of an older line leaves what people get by default', async () => {
    for (const file of releaseIn(release)) if (!isMain(file)) addPublished(file);
    const usual = tagFor(version, {});
    registry.add(MAIN, { [LATER]: { name: MAIN, version: LATER } }, { [usual]: LATER });
    const output = path.join(makeFolder(), 'output');
    await publish([], { GITHUB_OUTPUT: output });
    const tag = tagFor(version, { [usual]: LATER });
    assert.notEqual(tag, usual);
    assert.deepEqual(registry.published, [{ name: MAIN, version, tags: { [tag]: version } }]);
    assert.equal(fs.readFileSync(output, 'utf8'), `tag=${tag}\n`);
  });

  test('shows what npm says, and does nothing with --dry-run', async () => {
    const files = releaseIn(release);
    for (const file of files) if (!isMain(file)) addPublished(file);
    const { stdout } = await publish(['--dry-run']);
    assert.match(stdout, new RegExp(`^\\+ ${MAIN}@${version}$`, 'm'));
    assert.deepEqual(registry.published, []);
  });

  test('with --provenance fails where nothing vouches for the packages', async () => {
    await assert.rejects(
      publish(['--provenance'], { GITHUB_ACTIONS: undefined, CI: undefined }),
      ({ stderr }) => {
        assert.match(stderr, /provenance generation not supported/);
        return true;
      },
    );
    assert.deepEqual(registry.published, []);
  });

  test('does not begin if a part is published already, of another build', async () => {
    const files = releaseIn(release);
    const name = nameOf(files[3]);
    registry.add(name, { [version]: manifestOf(files[3], 'sha512-another') }, { latest: version });
    await assert.rejects(publishAll(release, []), {
      message: new RegExp(`^nothing is published\\. ${name} ${version}: published already, as another build`),
    });
    assert.deepEqual(registry.published, []);
  });

  test('does not begin if the packages don’t say where their sources are', async () => {
    const packages = makeFolder();
    await packRelease(packages, addons, {});
    await assert.rejects(publishAll(packages, []), {
      message:
        /^nothing is published\. .*no repository is named\. Set GITHUB_SERVER_URL .* and GITHUB_REPOSITORY/,
    });
    assert.deepEqual(registry.published, []);
  });

  const INCOMPLETE = {
    'without a platform': `${MAIN}-darwin-x64`,
    'without the source': `${MAIN}-source`,
    'without the main package': MAIN,
  };
  for (const [what, name] of Object.entries(INCOMPLETE)) {
    test(`does not begin ${what}`, async () => {
      const packages = copyOfRelease();
      fs.rmSync(path.join(packages, `${name}-${version}.tgz`));
      await assert.rejects(publishAll(packages, []), {
        message: new RegExp(`this is no release:\\n +${name}-${version}.tgz is missing$`),
      });
      assert.deepEqual(registry.published, []);
    });
  }

  test('does not begin with a package that is none of ours', async () => {
    const packages = copyOfRelease();
    fs.copyFileSync(path.join(packages, `${MAIN}-${version}.tgz`), path.join(packages, 'another-1.0.0.tgz'));
    await assert.rejects(publishAll(packages, []), { message: /another-1\.0\.0\.tgz is none of/ });
    assert.deepEqual(registry.published, []);
  });

  test('needs nothing that npm would have to install', () => {
    const modules = `require(${JSON.stringify(SCRIPT)}); console.log(Object.keys(require.cache).join('\\n'))`;
    const loaded = execFileSync(process.execPath, ['-e', modules], { encoding: 'utf8' });
    assert.doesNotMatch(loaded, /node_modules/);
  });

  /** Runs the script; resolves with what was said. */
  function publish(args, env = {}) {
    const all = { ...process.env, GITHUB_OUTPUT: undefined, ...env };
    return promisify(execFile)(process.execPath, [SCRIPT, ...args, release], { env: all });
  }

  /** @param {string} file */
  function addPublished(file) {
    registry.add(nameOf(file), { [version]: manifestOf(file, integrityOf(file)) }, { latest: version });
  }

  function copyOfRelease() {
    const copy = makeFolder();
    fs.cpSync(release, copy, { recursive: true });
    return copy;
  }

  function makeFolder() {
    return fs.mkdtempSync(path.join(folder, 'part-'));
  }
});

describe('the tag of a version', () => {
  const TAGS = [
    ['the first one', '1.0.0', {}, 'latest'],
    ['the newest', '1.10.0', { latest: '1.9.0' }, 'latest'],
    ['one that is there already', '1.2.0', { latest: '1.2.0' }, 'latest'],
    ['an older line', '1.9.1', { latest: '2.0.0' }, 'latest-1'],
    ['an older line before 1.0', '0.9.1', { latest: '0.10.0' }, 'latest-0.9'],
    ['one that is not final', '2.0.0-rc.1', { latest: '1.0.0', next: '1.0.0-rc.3' }, 'next'],
    ['an older line that is not final', '1.1.0-rc.1', { latest: '1.0.0', next: '2.0.0-rc.1' }, 'next-1'],
  ];
  for (const [what, of, tags, tag] of TAGS) {
    test(`${what}: ${tag}`, () => assert.equal(tagFor(of, tags), tag));
  }
});

/** @param {string} file */
function isMain(file) {
  return nameOf(file) === MAIN;
}

/** @param {string} file */
function nameOf(file) {
  return path.basename(file, `-${version}.tgz`);
}

/** As a registry has it. */
function manifestOf(file, integrity) {
  return { ...manifestIn(file), dist: { integrity, tarball: 'http://nowhere.example/' } };
}
