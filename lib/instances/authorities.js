'use strict';

/** The certificate authorities that Node trusts by default, by its flags and its environment. */

const fs = require('node:fs');
const path = require('node:path');

/**
 * As one PEM text, if there is any: what its flags (`--use-openssl-ca`, `--use-system-ca`, `--use-bundled-ca`)
 * say, and what NODE_EXTRA_CA_CERTS adds.
 *
 * @returns {string[]}
 */
function defaultAuthorities() {
  const authorities = trusted();
  return authorities.length ? [authorities.join('\n')] : [];
}

function trusted() {
  // OpenSSL's own store is read from its files: Node doesn't list it.
  if (isOn('--use-openssl-ca')) return [...opensslAuthorities(), ...extraAuthorities()];
  // Loaded only where it is asked for: it takes a while.
  const tls = require('node:tls');
  // Node 22.15 and later list them, with the system's and what setDefaultCACertificates has set.
  const { getCACertificates } = /** @type {{getCACertificates?: (type: string) => string[]}} */ (
    /** @type {unknown} */ (tls)
  );
  return getCACertificates?.('default') ?? [...tls.rootCertificates, ...extraAuthorities()];
}

/**
 * Whether Node was started with a flag, by its command line, which counts more, or NODE_OPTIONS.
 *
 * @param {string} flag
 */
function isOn(flag) {
  const given = [...(process.env.NODE_OPTIONS ?? '').split(/\s+/), ...process.execArgv];
  const bare = flag.slice('--'.length);
  // Node takes underscores for hyphens.
  const last = given
    .map((one) => one.replaceAll('_', '-'))
    .findLast((one) => one === flag || one === `--no-${bare}`);
  return last === flag;
}

/** What was read, by where: two of the environment's variables. @type {Map<string, string[]>} */
const read = new Map();

/** OpenSSL's store: a file, and directories in which each name is the hash of a subject's. */
function opensslAuthorities() {
  const { SSL_CERT_FILE, SSL_CERT_DIR } = process.env;
  const key = JSON.stringify([SSL_CERT_FILE, SSL_CERT_DIR]);
  const known = read.get(key);
  if (known) return known;
  const files = SSL_CERT_FILE ? [SSL_CERT_FILE] : homes().map((home) => path.join(home, 'cert.pem'));
  const folders = SSL_CERT_DIR
    ? SSL_CERT_DIR.split(path.delimiter)
    : homes().map((home) => path.join(home, 'certs'));
  const authorities = [...new Set([...files, ...folders.flatMap(hashedIn)].flatMap(certificatesOf))];
  read.set(key, authorities);
  return authorities;
}

/** Where OpenSSL has its files: Node's own OpenSSL in one place, the systems' in theirs. */
function homes() {
  const isSystems = /** @type {any} */ (process.config.variables).node_shared_openssl;
  return isSystems ? ['/etc/ssl', '/usr/lib/ssl', '/etc/pki/tls', '/usr/local/ssl'] : ['/etc/ssl'];
}

/** @param {string} folder */
function hashedIn(folder) {
  try {
    const names = fs.readdirSync(folder).filter((name) => /^[0-9a-f]{8}\.\d+$/.test(name));
    return names.map((name) => path.join(folder, name));
  } catch {
    // OpenSSL skips such a folder too.
    return [];
  }
}

function extraAuthorities() {
  const file = process.env.NODE_EXTRA_CA_CERTS;
  // Node warns at its start if it can't be read.
  return file ? certificatesOf(file) : [];
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * The certificates in a file, without keys and comments.
 *
 * @param {string} file
 * @returns {string[]}
 */
function certificatesOf(file) {
  try {
    return fs.readFileSync(file, 'utf8').match(CERTIFICATE) ?? [];
  } catch {
    return [];
  }
}

module.exports = { defaultAuthorities };
