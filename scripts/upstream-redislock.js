'use strict';

/**
 * `node scripts/upstream-redislock.js`: redislock's own specs, unchanged, over `redlock-native/redislock`.
 *
 * They are fetched with npm into a temporary folder, where `lib/` leads to our entry. What they ask for
 * beside it are stand-ins: `redis` and its fake make clients to a server that is started for this, and
 * `rewire` has nothing to put inside of ours.
 */

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { npm } = require('./npm');
const { startServers } = require('./servers');

const ROOT = path.join(__dirname, '..');
const MODULES = path.join(ROOT, 'node_modules');

const RELEASE = 'redislock@1.3.0';
/** Each in a process of its own, as its README says. */
const SUITES = ['spec', 'spec/integration'];
const TESTS = 44;

/** Resolves if all of the specs have passed; rejects with what failed. */
async function upstreamRedislock() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-native-upstream-'));
  const [server] = await startServers(1);
  try {
    const specs = await unpack(folder);
    addStandIns(folder);
    let passed = 0;
    for (const suite of SUITES) passed += await runMocha(specs, suite, server.port);
    if (passed !== TESTS) throw new Error(`${RELEASE}: ${passed} tests passed instead of ${TESTS}`);
    return passed;
  } finally {
    await server.stop();
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

/** @param {string} folder */
async function unpack(folder) {
  await npm(folder, ['pack', '--silent', RELEASE]);
  const [tarball] = fs.readdirSync(folder).filter((file) => file.endsWith('.tgz'));
  const tar = spawn('tar', ['-xzf', tarball], { cwd: folder, stdio: 'inherit' });
  const [code] = await once(tar, 'exit');
  if (code !== 0) throw new Error(`${RELEASE} could not be unpacked: tar ended with ${code}`);
  // What is left of the package are its specs.
  const unpacked = path.join(folder, 'package');
  fs.rmSync(path.join(unpacked, 'lib'), { recursive: true });
  for (const file of ['redislock', 'lock', 'errors']) {
    write(
      path.join(unpacked, 'lib', `${file}.js`),
      `module.exports = require('redlock-native/redislock/lib/${file}');`,
    );
  }
  return unpacked;
}

/** By module: what it exports. */
const STAND_INS = {
  redis: `
    const redis = require('redis-3');
    exports.createClient = () => redis.createClient(Number(process.env.UPSTREAM_PORT), '127.0.0.1');`,
  // The specs take SET's options from what they call a fake; that needs no fake.
  fakeredis: `module.exports = require('redis');`,
  // A copy of the module, as rewire makes one; ours has no Shavaluator in whose place another could be put.
  rewire: `
    const { createRequire } = require('node:module');
    module.exports = (file) => {
      const load = createRequire(module.parent.filename);
      const files = [load.resolve(file), load.resolve('redlock-native/redislock/lib/lock')];
      const loaded = files.map((one) => load.cache[one]);
      for (const one of files) load.cache[one] = undefined;
      const copy = Object.assign(load(file), { __set__() {} });
      files.forEach((one, index) => {
        load.cache[one] = loaded[index];
      });
      return copy;
    };`,
  // In mocha 2, for which they were written, a test with a callback may return a promise too.
  mocha2: `
    const { Runnable } = require(process.env.UPSTREAM_MOCHA);
    const { run } = Runnable.prototype;
    Runnable.prototype.run = function (callback) {
      const { fn } = this;
      if (this.async) this.fn = function (done) { fn.call(this, done); };
      return run.call(this, callback);
    };`,
};

/** @param {string} folder */
function addStandIns(folder) {
  const modules = path.join(folder, 'node_modules');
  for (const [name, code] of Object.entries(STAND_INS)) write(path.join(modules, name, 'index.js'), code);
  for (const name of ['redis-3', 'bluebird', 'expect.js'])
    link(path.join(MODULES, name), path.join(modules, name));
  link(ROOT, path.join(modules, 'redlock-native'));
}

/**
 * @param {string} folder of the package
 * @param {string} suite
 * @param {number} port of the server
 * @returns {Promise<number>} how many have passed; rejects if any has failed
 */
async function runMocha(folder, suite, port) {
  const mocha = path.join(MODULES, 'mocha');
  const report = path.join(folder, 'report.json');
  const asMocha2 = path.join(folder, '..', 'node_modules', 'mocha2', 'index.js');
  // Their clients are never ended.
  const options = [
    '--exit',
    '--require',
    asMocha2,
    '--reporter',
    'json',
    '--reporter-option',
    `output=${report}`,
  ];
  const child = spawn(process.execPath, [path.join(mocha, 'bin', 'mocha.js'), ...options, suite], {
    cwd: folder,
    env: { ...process.env, UPSTREAM_PORT: String(port), UPSTREAM_MOCHA: mocha },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  await once(child, 'exit');
  const { stats, failures } = JSON.parse(fs.readFileSync(report, 'utf8'));
  fs.rmSync(report);
  if (failures.length) {
    const what = failures.map(
      (/** @type {any} */ { fullTitle, err }) => `${fullTitle}: ${err.message.slice(0, LONGEST)}`,
    );
    throw new Error(`${RELEASE}: ${failures.length} failed in ${suite}:\n${what.join('\n')}`);
  }
  return stats.passes;
}

/** Of a failure's message: some print whole clients. */
const LONGEST = 500;

/**
 * @param {string} file
 * @param {string} text
 */
function write(file, text) {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, `${text}\n`);
}

/**
 * @param {string} target a folder
 * @param {string} place
 */
function link(target, place) {
  fs.symlinkSync(fs.realpathSync(target), place, 'junction');
}

if (require.main === module) {
  upstreamRedislock().then(
    (passed) => console.log(`${RELEASE}: its ${passed} tests passed`),
    (error) => {
      console.error(error.stderr || error.message);
      process.exitCode = 1;
    },
  );
}

module.exports = { upstreamRedislock };
