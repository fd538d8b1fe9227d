'use strict';

/** Whom a connection of ours trusts: whom Node's own does, with the same options, flags and environment. */

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const { createHash } = require('node:crypto');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { before, describe, test } = require('node:test');
const tls = require('node:tls');
const { promisify } = require('node:util');

const { makeCertificates } = require('../support/certificates');
const { startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');
const { verdictsOn } = require('../support/verdicts');

const suite = endOfSuite();
/** @type {import('../support/certificates').Certificates} */
let certificates;
/** @type {import('../../scripts/servers').RedisServer} */
let server;

before(async () => {
  certificates = await makeCertificates();
  [server] = await startServers(suite, 1);
});

/**
 * A front with TLS before the server.
 *
 * @param {string} name which certificate it shows
 * @param {import('node:tls').TlsOptions} [more]
 * @returns {Promise<number>} its port
 */
async function front(t, name, more) {
  const sockets = new Set();
  const listener = tls.createServer({ ...certificates[name], ...more }, (socket) => {
    const behind = net.connect(server.port, server.host);
    for (const one of [socket, behind]) {
      sockets.add(one);
      one.on('error', () => {});
    }
    socket.on('close', () => behind.destroy()).pipe(behind);
    behind.on('close', () => socket.destroy()).pipe(socket);
  });
  listener.listen(0, 'localhost');
  await once(listener, 'listening');
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => listener.close(resolve));
  });
  return /** @type {import('node:net').AddressInfo} */ (listener.address()).port;
}

/** @param {string} verdict */
function isAccepted(verdict) {
  return verdict === 'accepts';
}

describe('who names authorities', () => {
  /** Each certificate, what is named, and whether Node takes it. @type {[string, string, boolean][]} */
  const cases = [
    ['server', 'ca', true],
    ['server', 'unknownCa', false],
    ['expired', 'ca', false],
    ['early', 'ca', false],
    ['wrongName', 'ca', false],
    ['unknown', 'ca', false],
    ['own', 'own', true],
    ['ownPlain', 'ownPlain', true],
    ['own', 'ca', false],
    ['own', 'ownPlain', false],
    ['ownExpired', 'ownExpired', false],
    ['ownWrongName', 'ownWrongName', false],
    ['unknown', 'unknown', false],
  ];
  for (const [name, ca, isTaken] of cases) {
    test(`${isTaken ? 'accepts' : 'refuses'} "${name}" with "${ca}"`, async (t) => {
      const port = await front(t, name);
      const { node, ours } = await verdictsOn(port, { ca: certificates[ca].cert ?? certificates[ca] });
      assert.deepEqual([isAccepted(node), isAccepted(ours)], [isTaken, isTaken], `${node}; ${ours}`);
      if (!isTaken) assert.match(ours, /TLS: /);
    });
  }

  for (const [name, advice] of [
    ['nameless', /CN .* have one made with a subjectAltName, or pass a client of ioredis or node-redis/],
    ['version1', /version 1, .* have one of version 3 made, with a subjectAltName, or pass a client/],
  ]) {
    test(`who has a certificate that is "${name}" is told what to do`, async (t) => {
      const port = await front(t, name);
      const { node, ours } = await verdictsOn(port, { ca: certificates.ca });
      assert.equal(node, 'accepts');
      assert.match(ours, advice);
    });
  }
});

describe('rejectUnauthorized: false', () => {
  const names = ['server', 'expired', 'early', 'wrongName', 'unknown', 'own', 'ownExpired', 'nameless'];
  for (const name of [...names, 'version1']) {
    for (const version of /** @type {const} */ (['TLSv1.2', 'TLSv1.3'])) {
      test(`accepts "${name}" over ${version}`, async (t) => {
        const port = await front(t, name, { minVersion: version, maxVersion: version });
        const verdicts = await verdictsOn(port, { rejectUnauthorized: false });
        assert.deepEqual(verdicts, { node: 'accepts', ours: 'accepts' });
      });
    }
  }
});

describe('who names nobody trusts whom Node trusts', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-native-trust-'));
  suite.after(() => fs.rmSync(folder, { recursive: true }));
  const file = path.join(folder, 'ca.pem');
  const hashed = path.join(folder, 'hashed');
  const nothing = path.join(folder, 'nothing');
  before(() => {
    const { ca, own } = certificates;
    // What else stands there is none of it.
    fs.writeFileSync(file, `ours:\n${own.key}\n${ca}`);
    fs.mkdirSync(hashed);
    fs.writeFileSync(path.join(hashed, `${hashOf('redlock-native test ca')}.0`), ca);
    fs.writeFileSync(path.join(hashed, 'other.pem'), own.cert);
  });

  /**
   * @typedef {{what: string, flags?: string[], env?: Record<string, string>, options?: object, name?: string,
   *   isTaken: boolean}} Start
   * @type {Start[]}
   */
  const starts = [
    { what: 'nothing', isTaken: false },
    { what: 'NODE_EXTRA_CA_CERTS', env: { NODE_EXTRA_CA_CERTS: file }, isTaken: true },
    { what: 'SSL_CERT_FILE alone', env: { SSL_CERT_FILE: file }, isTaken: false },
    { what: '--use-openssl-ca', flags: ['--use-openssl-ca'], env: { SSL_CERT_FILE: file }, isTaken: true },
    {
      what: '--use-openssl-ca in NODE_OPTIONS',
      env: { NODE_OPTIONS: '--no-warnings --use-openssl-ca', SSL_CERT_FILE: file },
      isTaken: true,
    },
    {
      what: '--use-openssl-ca, and nothing there',
      flags: ['--use-openssl-ca'],
      env: { SSL_CERT_FILE: nothing, SSL_CERT_DIR: nothing },
      isTaken: false,
    },
    {
      what: '--use-openssl-ca and SSL_CERT_DIR',
      flags: ['--use-openssl-ca'],
      env: { SSL_CERT_FILE: nothing, SSL_CERT_DIR: [nothing, hashed].join(path.delimiter) },
      isTaken: true,
    },
    {
      what: '--use-openssl-ca, which takes no file without a hash',
      flags: ['--use-openssl-ca'],
      env: { SSL_CERT_FILE: nothing, SSL_CERT_DIR: hashed },
      name: 'own',
      isTaken: false,
    },
    { what: '--use-bundled-ca', flags: ['--use-bundled-ca'], env: { SSL_CERT_FILE: file }, isTaken: false },
    {
      what: '--use-openssl-ca and NODE_EXTRA_CA_CERTS',
      flags: ['--use-openssl-ca'],
      env: { SSL_CERT_FILE: nothing, SSL_CERT_DIR: nothing, NODE_EXTRA_CA_CERTS: file },
      isTaken: true,
    },
    { what: 'NODE_TLS_REJECT_UNAUTHORIZED=0', env: { NODE_TLS_REJECT_UNAUTHORIZED: '0' }, isTaken: true },
    {
      what: 'NODE_TLS_REJECT_UNAUTHORIZED=0, for an authority that is named too',
      env: { NODE_TLS_REJECT_UNAUTHORIZED: '0' },
      options: { ca: 'unknownCa' },
      isTaken: true,
    },
    {
      what: 'NODE_TLS_REJECT_UNAUTHORIZED=0, which an option overrides',
      env: { NODE_TLS_REJECT_UNAUTHORIZED: '0' },
      options: { rejectUnauthorized: true },
      isTaken: false,
    },
    { what: 'NODE_TLS_REJECT_UNAUTHORIZED=1', env: { NODE_TLS_REJECT_UNAUTHORIZED: '1' }, isTaken: false },
    {
      what: 'NODE_EXTRA_CA_CERTS, which an authority that is named overrides',
      env: { NODE_EXTRA_CA_CERTS: file },
      options: { ca: 'unknownCa' },
      isTaken: false,
    },
  ];
  if (process.allowedNodeEnvironmentFlags.has('--use-system-ca') && process.platform === 'linux') {
    const flags = ['--use-system-ca'];
    starts.push({ what: '--use-system-ca', flags, env: { SSL_CERT_FILE: file }, isTaken: true });
  }

  for (const { what, flags = [], env, options = {}, name = 'server', isTaken } of starts) {
    test(`${what}: ${isTaken ? 'accepts' : 'refuses'}`, async (t) => {
      const port = await front(t, name);
      const given = 'ca' in options ? { ...options, ca: certificates[String(options.ca)] } : options;
      const { node, ours } = await inProcess(flags, env, port, given);
      assert.deepEqual([isAccepted(node), isAccepted(ours)], [isTaken, isTaken], `${node}; ${ours}`);
    });
  }

  test('it is warned of connections to whoever answers', async (t) => {
    const port = await front(t, 'server');
    const { stderr } = await inProcess([], { NODE_TLS_REJECT_UNAUTHORIZED: '0' }, port, {});
    assert.equal(stderr.match(/REDLOCK_TLS/g)?.length, 1, stderr);
  });
});

/** Of whatever this process was started with, a child has nothing. */
const CLEAN = {
  NODE_OPTIONS: undefined,
  NODE_EXTRA_CA_CERTS: undefined,
  NODE_TLS_REJECT_UNAUTHORIZED: undefined,
  SSL_CERT_FILE: undefined,
  SSL_CERT_DIR: undefined,
};

/** @returns {Promise<import('../support/verdicts').Verdicts & {stderr: string}>} */
async function inProcess(flags, env, port, options) {
  const program = require.resolve('../support/verdicts');
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    [...flags, program, String(port), JSON.stringify(options)],
    { env: { ...process.env, ...CLEAN, ...env } },
  );
  return { ...JSON.parse(stdout), stderr };
}

/**
 * What OpenSSL calls the file of an authority whose subject is nothing but a CN.
 *
 * @param {string} name in small letters
 */
function hashOf(name) {
  const text = Buffer.from(name);
  const attribute = [0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, text.length, ...text];
  const canonical = Buffer.from([0x31, attribute.length + 2, 0x30, attribute.length, ...attribute]);
  const digest = createHash('sha1').update(canonical).digest();
  return digest.readUInt32LE(0).toString(16).padStart(8, '0');
}
