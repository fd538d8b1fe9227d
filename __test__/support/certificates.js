'use strict';

/**
 * A certificate authority for one test run: what a server and a client show each other when all is
 * well, and what goes wrong with it.
 */

const { createPrivateKey, sign } = require('node:crypto');

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
 * @property {Credentials} early as `server`, but not valid before an hour from now
 * @property {Credentials} nameless as `server`, but with its host in the CN alone
 * @property {Credentials} version1 the same of X.509 version 1, without extensions
 * @property {Credentials} own as `server`, but signed by itself, as an authority
 * @property {Credentials} ownPlain the same, but as none
 * @property {Credentials} ownExpired as `own`, but it ended an hour ago
 * @property {Credentials} ownWrongName as `own`, but for another host only
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
  const [server, client, expired, wrongName, unknown, early, nameless] = await Promise.all([
    authority.issue({ name: 'server', usages: [SERVER], hosts: HERE }),
    authority.issue({ name: 'client', usages: [CLIENT] }),
    authority.issue({ name: 'expired', usages: [SERVER], hosts: HERE, notAfter: hoursFromNow(-1) }),
    authority.issue({ name: 'wrong name', usages: [SERVER], hosts: [{ type: 'dns', value: WRONG_NAME }] }),
    stranger.issue({ name: 'unknown', usages: [SERVER, CLIENT], hosts: HERE }),
    authority.issue({ name: 'early', usages: [SERVER], hosts: HERE, notBefore: hoursFromNow(1) }),
    authority.issue({ name: 'localhost', usages: [SERVER] }),
  ]);
  const [own, ownPlain, ownExpired, ownWrongName] = await Promise.all([
    signItself({ isAuthority: true, hosts: HERE }),
    signItself({ isAuthority: false, hosts: HERE }),
    signItself({ isAuthority: true, hosts: HERE, notAfter: hoursFromNow(-1) }),
    signItself({ isAuthority: true, hosts: [{ type: 'dns', value: WRONG_NAME }] }),
  ]);
  const { cert: ca } = authority;
  const version1 = await authority.issueVersion1(nameless);
  const unusual = { early, nameless, version1, own, ownPlain, ownExpired, ownWrongName };
  return { ca, server, client, expired, wrongName, unknown, unknownCa: stranger.cert, ...unusual };
}

/**
 * As `openssl req -x509` does it.
 *
 * @param {{isAuthority: boolean, hosts: {type: string, value: string}[], notAfter?: Date}} what
 * @returns {Promise<Credentials>}
 */
async function signItself({ isAuthority, hosts, notAfter }) {
  const keys = await makeKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=localhost',
    keys,
    ...lifetime(notAfter),
    signingAlgorithm: SIGNATURE,
    extensions: [
      new x509.BasicConstraintsExtension(isAuthority, undefined, true),
      new x509.SubjectAlternativeNameExtension(hosts),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const key = await crypto.subtle.exportKey('pkcs8', keys.privateKey);
  return { cert: pem('CERTIFICATE', certificate.rawData), key: pem('PRIVATE KEY', key) };
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
   * @param {{name: string, usages: string[], hosts?: {type: string, value: string}[], notBefore?: Date,
   *   notAfter?: Date}} what
   * @returns {Promise<Credentials>}
   */
  async issue({ name, usages, hosts, notBefore, notAfter }) {
    const keys = await makeKeys();
    const certificate = await x509.X509CertificateGenerator.create({
      subject: `CN=${name}`,
      issuer: this.#certificate.subject,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      ...lifetime(notAfter, notBefore),
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

  /**
   * As `openssl x509 -req` does it without `-extfile`.
   *
   * @param {Credentials} like of whose name and key it is
   * @returns {Promise<Credentials>}
   */
  async issueVersion1({ cert, key }) {
    const [content, algorithm] = partsOf(new x509.X509Certificate(cert).rawData);
    const parts = partsOf(content).filter((part) => ![VERSION, EXTENSIONS].includes(part[0]));
    const signed = encode(SEQUENCE, ...parts);
    const own = Buffer.from(await crypto.subtle.exportKey('pkcs8', this.#keys.privateKey));
    const signature = sign('sha256', signed, createPrivateKey({ key: own, format: 'der', type: 'pkcs8' }));
    const whole = encode(SEQUENCE, signed, algorithm, encode(BIT_STRING, Buffer.of(0), signature));
    return { cert: pem('CERTIFICATE', whole), key };
  }
}

const [SEQUENCE, BIT_STRING, VERSION, EXTENSIONS] = [0x30, 0x03, 0xa0, 0xa3];

/**
 * The parts of what is encoded as DER.
 *
 * @param {ArrayBuffer | Buffer} der
 */
function partsOf(der) {
  const parts = [];
  const whole = Buffer.from(der);
  for (let at = lengthAt(whole, 0).head; at < whole.length; at += parts.at(-1).length) {
    const { head, length } = lengthAt(whole, at);
    parts.push(whole.subarray(at, at + head + length));
  }
  return parts;
}

/**
 * @param {Buffer} der
 * @param {number} at
 */
function lengthAt(der, at) {
  const first = der[at + 1];
  if (first < 0x80) return { head: 2, length: first };
  return { head: 2 + first - 0x80, length: der.readUIntBE(at + 2, first - 0x80) };
}

/**
 * @param {number} kind
 * @param {...Buffer} parts
 */
function encode(kind, ...parts) {
  const content = Buffer.concat(parts);
  const { length } = content;
  const head = length < 0x80 ? [kind, length] : [kind, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(head), content]);
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
function lifetime(notAfter = hoursFromNow(24), notBefore = hoursFromNow(-24)) {
  return { notBefore, notAfter };
}

function hoursFromNow(hours) {
  return new Date(Date.now() + hours * 3_600_000);
}

module.exports = { makeCertificates, WRONG_NAME };
