'use strict';

/** TLS on a redis-server: whether it can, and what its command line then says. */

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const { findRedisServer, HOW_TO_GET_ONE } = require('./redis-server');

/**
 * @typedef {object} ServerTls all texts are PEM
 * @property {string} cert the server's certificate, and whatever stands between it and its CA
 * @property {string} key
 * @property {string} [ca] who signs the certificates of clients; needed unless `clientAuth` is `'no'`
 * @property {'yes' | 'no' | 'optional'} [clientAuth] whether clients must show a certificate: they
 *   must, they need not and theirs isn't looked at, or it must be good if they do. Default `'no'`.
 * @property {{cert: string, key: string}} [client] what it shows to the other servers of its cluster and
 *   to its master
 */

/**
 * The arguments for listening on `port` with TLS, and on no port without. Writes the PEM files they
 * name into `folder`.
 *
 * @param {ServerTls} tls
 * @param {number} port
 * @param {string} folder
 */
function tlsArguments({ cert, key, ca, clientAuth = 'no', client }, port, folder) {
  const file = (name, text) => {
    const written = path.join(folder, name);
    fs.writeFileSync(written, text, { mode: 0o600 });
    return written;
  };
  return [
    ...['--port', '0', '--tls-port', String(port), '--tls-auth-clients', clientAuth],
    ...['--tls-cert-file', file('cert.pem', cert), '--tls-key-file', file('key.pem', key)],
    ...(ca ? ['--tls-ca-cert-file', file('ca.pem', ca)] : []),
    ...(client ? ['--tls-client-cert-file', file('client.pem', client.cert)] : []),
    ...(client ? ['--tls-client-key-file', file('client-key.pem', client.key)] : []),
  ];
}

/** Without TLS the options are unknown (to Redis 6 and 7.0), or known and refused (from 7.2 on). */
const CANNOT = /Bad directive|Failed finding TLS support/;

/** @type {Map<string, boolean>} */
const answers = new Map();

/**
 * Whether a redis-server was built with TLS.
 *
 * @param {string | null} [program] the one that is found by itself if left out
 */
function hasTls(program = findRedisServer()) {
  if (!program) throw new Error(HOW_TO_GET_ONE);
  let answer = answers.get(program);
  if (answer === undefined) {
    answer = askForTls(program);
    answers.set(program, answer);
  }
  return answer;
}

function askForTls(program) {
  // With no certificate it ends either way, before it listens; only the reason differs.
  const args = ['--port', '0', '--tls-port', '1', '--save', ''];
  const { stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8', timeout: 10_000 });
  if (error) throw error;
  return !CANNOT.test(stdout + stderr);
}

module.exports = { hasTls, tlsArguments };
