'use strict';

// The tests' own certificates: that the good ones are taken, and the bad ones refused for their one fault.

const assert = require('node:assert/strict');
const { X509Certificate } = require('node:crypto');
const { once } = require('node:events');
const { before, test } = require('node:test');
const tls = require('node:tls');

const { makeCertificates, WRONG_NAME } = require('../support/certificates');

const HOST = '127.0.0.1';

/** @type {import('../support/certificates').Certificates} */
let certificates;
before(async () => {
  certificates = await makeCertificates();
});

test('the server is localhost, by name and by both addresses, and nobody else', () => {
  const certificate = new X509Certificate(certificates.server.cert);
  assert.equal(certificate.checkHost('localhost'), 'localhost');
  assert.equal(certificate.checkIP(HOST), HOST);
  assert.equal(certificate.checkIP('::1'), '::1');
  assert.equal(certificate.checkHost(WRONG_NAME), undefined);
});

test('who knows the CA accepts the server', async (t) => {
  const { ca, server } = certificates;
  assert.equal(await handshake(t, server, { ca }), 'welcome');
});

test('who knows another CA refuses the server', async (t) => {
  const { server, unknownCa } = certificates;
  await assert.rejects(handshake(t, server, { ca: unknownCa }), isUnknownIssuer);
});

test('an expired certificate is refused for that', async (t) => {
  const { ca, expired } = certificates;
  await assert.rejects(handshake(t, expired, { ca }), { code: 'CERT_HAS_EXPIRED' });
});

test('a certificate for another host is refused, and accepted under its own name', async (t) => {
  const { ca, wrongName } = certificates;
  const refused = { code: 'ERR_TLS_CERT_ALTNAME_INVALID' };
  await assert.rejects(handshake(t, wrongName, { ca }), refused);
  assert.equal(await handshake(t, wrongName, { ca, servername: WRONG_NAME }), 'welcome');
});

test('a certificate of an unknown CA is refused, and accepted by who knows that one', async (t) => {
  const { ca, unknown, unknownCa } = certificates;
  await assert.rejects(handshake(t, unknown, { ca }), isUnknownIssuer);
  assert.equal(await handshake(t, unknown, { ca: unknownCa }), 'welcome');
});

test('a server tells its clients from strangers', async (t) => {
  const { ca, server, client, unknown } = certificates;
  const careful = { ...server, ca, requestCert: true, rejectUnauthorized: false };
  assert.equal(await handshake(t, careful, { ca, ...client }), 'welcome client');
  assert.match(await handshake(t, careful, { ca, ...unknown }), /UNABLE_TO/);
  assert.match(await handshake(t, careful, { ca }), /UNABLE_TO/);
  // It is no client's.
  assert.equal(await handshake(t, careful, { ca, ...server }), 'INVALID_PURPOSE');
});

function isUnknownIssuer({ code }) {
  return ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY'].includes(code);
}

/**
 * What the server says to a client that has accepted it: how it finds the client.
 *
 * @param {{after: (callback: () => unknown) => void}} t
 * @param {tls.TlsOptions} serving
 * @param {tls.ConnectionOptions} connecting
 * @returns {Promise<string>} rejected if the client doesn't accept it
 */
async function handshake(t, serving, connecting) {
  const server = tls.createServer(serving, (socket) => {
    socket.on('error', () => {});
    socket.end(greeting(serving, socket));
  });
  server.listen(0, HOST);
  t.after(() => server.close());
  await once(server, 'listening');

  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  const client = tls.connect({ port, host: HOST, ...connecting });
  client.setEncoding('utf8');
  return (await client.toArray()).join('');
}

function greeting({ requestCert }, socket) {
  if (!requestCert) return 'welcome';
  if (socket.authorized) return `welcome ${socket.getPeerCertificate().subject.CN}`;
  return String(socket.authorizationError);
}
