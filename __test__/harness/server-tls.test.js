'use strict';

// TLS on the tests' own servers.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { before, describe, test } = require('node:test');
const tls = require('node:tls');

const { makeCertificates } = require('../support/certificates');
const { hasTls, needsTls, startServers } = require('../support/servers');

const PING = 'PING\r\n';
const PONG = '+PONG\r\n';

describe('a server with TLS', needsTls(), () => {
  /** @type {import('../support/certificates').Certificates} */
  let certificates;
  before(async () => {
    certificates = await makeCertificates();
  });

  test('speaks TLS on its port and nothing else', async (t) => {
    const [server] = await startServers(t, 1, { tls: certificates.server });
    assert.equal(server.url, `rediss://127.0.0.1:${server.port}`);
    assert.equal(await ping(server, { ca: certificates.ca }), PONG);

    const plain = net.connect(server.port, server.host);
    plain.on('error', () => {});
    plain.write(PING);
    const answer = await plain.toArray().catch(() => []);
    assert.doesNotMatch(Buffer.concat(answer).toString('latin1'), /PONG/);
  });

  test('takes our own commands, is restarted on its port, and stops', async (t) => {
    const [server] = await startServers(t, 1, { tls: certificates.server, requirepass: 'secret' });
    const { port } = server;
    await server.command('SET', 'k', 'v');
    assert.deepEqual(await server.keys(), ['k']);
    await server.restart();
    assert.equal(server.port, port);
    assert.deepEqual(await server.keys(), []);
    assert.match(await ping(server, { ca: certificates.ca }), /^-NOAUTH/);
    await server.stop();
    await assert.rejects(ping(server, { ca: certificates.ca }), { code: 'ECONNREFUSED' });
  });

  for (const [name, code] of [
    ['expired', /^CERT_HAS_EXPIRED$/],
    ['wrongName', /^ERR_TLS_CERT_ALTNAME_INVALID$/],
    ['unknown', /^UNABLE_TO_/],
  ]) {
    test(`shows the certificate that is "${name}" if it is told to`, async (t) => {
      const [server] = await startServers(t, 1, { tls: certificates[name] });
      await assert.rejects(ping(server, { ca: certificates.ca }), { code });
    });
  }

  for (const [clientAuth, { good, bad, none }] of Object.entries({
    yes: { good: true, bad: false, none: false },
    optional: { good: true, bad: false, none: true },
    no: { good: true, bad: true, none: true },
  })) {
    test(`looks at its clients' certificates: ${clientAuth}`, async (t) => {
      const { ca, server: credentials, client, unknown } = certificates;
      const [server] = await startServers(t, 1, { tls: { ...credentials, ca, clientAuth } });
      const isServed = (options) => ping(server, { ca, ...options }).then(isPong, () => false);
      assert.equal(await isServed(client), good);
      assert.equal(await isServed(unknown), bad);
      assert.equal(await isServed({}), none);
    });
  }

  test('says why it cannot start', async (t) => {
    const { server, client } = certificates;
    const mismatched = { cert: server.cert, key: client.key };
    await assert.rejects(startServers(t, 1, { tls: mismatched }), /Failed to load private key/);
  });
});

test('a redis-server that was built without TLS is told from others', { skip: isWindows() }, (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-native-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  const program = (name, says) => {
    const file = path.join(folder, name);
    fs.writeFileSync(file, `#!/bin/sh\necho "${says}"\nexit 1\n`, { mode: 0o755 });
    assert.equal(spawnSync(file).status, 1);
    return file;
  };
  assert.equal(hasTls(program('7.0', ">>> 'tls-port 1'\nBad directive or wrong number of arguments")), false);
  assert.equal(
    hasTls(program('7.2', 'Missing implement of connection type tls\nFailed finding TLS support.')),
    false,
  );
  assert.equal(hasTls(program('with', 'Failed to configure TLS. Check logs for more info.')), true);
});

/**
 * What the server answers to PING.
 *
 * @param {{host: string, port: number}} server
 * @param {tls.ConnectionOptions} options
 */
async function ping({ host, port }, options) {
  const socket = tls.connect({ host, port, ...options });
  try {
    await once(socket, 'secureConnect');
    socket.write(PING);
    // With TLS 1.3 a client hears only now that its certificate was refused.
    const [answer] = await once(socket, 'data');
    return answer.toString();
  } finally {
    socket.destroy();
  }
}

function isPong(answer) {
  return answer === PONG;
}

function isWindows() {
  return process.platform === 'win32';
}
