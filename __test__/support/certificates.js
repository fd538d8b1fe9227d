'use strict';

/**
 * A certificate authority for one test run: what a server and a client show each other when all is
 * well, and what goes wrong with it.
 */

// The decorators of @peculiar/x509 need it to be there first.
require('reflect-metadata');
const x509 = require('@peculiar/x509');

/**
 * @typedef {object} Credentials
 * @property {string} cert PEM
 * @property {string} key PEM, PKCS #8
 */

/**
 * @typedef {object} Certificates
 * @property {string} ca PEM: who signed `server`, `client`, `expired` and `wrongName`
 * @property {Credentials} server for localhost, 127.0.0.1 and ::1
 * @property {Credentials} client
 * @property {Credentials} expired as `server`, but it ended an hour ago
 * @property {Credentials} wrongName as `server`, but for another host (`WRONG_NAME`) only
 * @property {Credentials} unknown as `server` and `client` in one, but signed by `unknownCa`
 * @property {string} unknownCa PEM
 */

const HERE = [
  { type: 'dns', value: 'localhost' },
  { type: 'ip', value: '127.0.0.1' },
  { type: 'ip', value: '::1' },
];

/** A host that isn't there: nobody may own `.invalid`. */
const WRONG_NAME = 'elsewhere.invalid';

/** @type {Promise<Certificates> | undefined} */
let made;

/**
 * Made once per process.
 *
 * @returns {Promise<Certificates>}
 */
function makeCertificates() {
  made ??= make();
  return made;
}

async function make() {
  const [authority, stranger] = await Promise.all([
    Authority.make('redlock-native test CA'),
    Authority.make('nobody knows this CA'),
  ]);
  const [server, client, expired, wrongName, unknown] = await Promise.all([
    authority.issue({ name: 'server', usages: [SERVER], hosts: HERE }),
    authority.issue({ name: 'client', usages: [CLIENT] }),
    authority.issue({ name: 'expired', usages: [SERVER], hosts: HERE, notAfter: hoursFromNow(-1) }),
    authority.issue({ name: 'wrong name', usages: [SERVER], hosts: [{ type: 'dns', value: WRONG_NAME }] }),
    stranger.issue({ name: 'unknown', usages: [SERVER, CLIENT], hosts: HERE }),
  ]);
  const { cert: ca } = authority;
  return { ca, server, client, expired, wrongName, unknown, unknownCa: stranger.cert };
}

const { serverAuth: SERVER, clientAuth: CLIENT } = x509.ExtendedKeyUsage;

class Authority {
  #keys;
  #certificate;

  /** @param {string} name */
  static async make(name) {
    const keys = await makeKeys();
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      name: `CN=${name}`,
      keys,
      ...lifetime(),
      signingAlgorithm: SIGNATURE,
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    return new Authority(keys, certificate);
  }

  constructor(keys, certificate) {
    this.#keys = keys;
    this.#certificate = certificate;
  }

  get cert() {
    return pem('CERTIFICATE', this.#certificate.rawData);
  }

  /**
   * @param {{name: string, usages: string[], hosts?: {type: string, value: string}[], notAfter?: Date}} what
   * @returns {Promise<Credentials>}
   */
  async issue({ name, usages, hosts, notAfter }) {
    const keys = await makeKeys();
    const certificate = await x509.X509CertificateGenerator.create({
      subject: `CN=${name}`,
      issuer: this.#certificate.subject,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      ...lifetime(notAfter),
      signingAlgorithm: SIGNATURE,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension(usages),
        ...(hosts ? [new x509.SubjectAlternativeNameExtension(hosts)] : []),
        await x509.AuthorityKeyIdentifierExtension.create(this.#keys.publicKey),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    const key = await crypto.subtle.exportKey('pkcs8', keys.privateKey);
    return { cert: pem('CERTIFICATE', certificate.rawData), key: pem('PRIVATE KEY', key) };
  }
}

const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' };

/** A curve that every TLS library has, and that takes no time to make keys on. */
function makeKeys() {
  return crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
}

/** With a line's end, so that several can be put together as they are. */
function pem(label, der) {
  return `${x509.PemConverter.encode(der, label)}\n`;
}

/** From yesterday, so that `notAfter` may be past. */
function lifetime(notAfter = hoursFromNow(24)) {
  return { notBefore: hoursFromNow(-24), notAfter };
}

function hoursFromNow(hours) {
  return new Date(Date.now() + hours * 3_600_000);
}

module.exports = { makeCertificates, WRONG_NAME };
