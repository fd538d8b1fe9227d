'use strict';

/**
 * A connection's `tls` option, in Node's terms, as native takes it: certificates and keys as PEM texts.
 */

const { defaultAuthorities } = require('./authorities');
const { showSetting, unreadable, warnOfIgnored, mistypedInstance, unusableInstance } = require('../errors');
const { copyOf, elementsOf, isArray, isThere } = require('../foreign');
const { namesIn } = require('../redact');

/**
 * @typedef {object} NativeTls
 * @property {string[]} ca
 * @property {string} [cert]
 * @property {string} [key]
 * @property {string} [servername]
 * @property {boolean} [rejectUnauthorized]
 */

/** Options of Node's that change who is trusted, and that we can't follow: ignoring them would be wrong. */
const UNSUPPORTED = [
  ...['pfx', 'passphrase', 'secureContext', 'checkServerIdentity', 'ciphers', 'crl', 'pskCallback'],
  ...['minVersion', 'maxVersion'],
];

/**
 * @param {unknown} given `true`, or an object with some of Node's options
 * @param {string} name what to call it in an error
 * @returns {NativeTls | undefined}
 */
function readTls(given, name) {
  if (given === undefined || given === null || given === false) return undefined;
  if (given === true) return { ca: defaultAuthorities(), rejectUnauthorized: rejectByDefault() };
  if (typeof given !== 'object' || isArray(given)) {
    throw mistypedInstance(`${name} must be true or an object, not ${showSetting(given)}`);
  }
  const options = copyOf(given, unreadable('INSTANCE', name));
  const unsupported = UNSUPPORTED.find((key) => isThere(options[key]));
  if (unsupported) {
    throw unusableInstance(
      `${name}.${unsupported} can't be used on a connection of our own: ` +
        'give ca, cert and key as PEM, the key unencrypted, and servername or rejectUnauthorized',
    );
  }
  warnOfUnknown(options, name);
  const { ca, cert, key, servername, rejectUnauthorized } = options;
  return {
    ca: isThere(ca) ? readPems(ca, `${name}.ca`) : defaultAuthorities(),
    cert: isThere(cert) ? readPems(cert, `${name}.cert`).join('\n') : undefined,
    key: isThere(key) ? readPems(key, `${name}.key`).join('\n') : undefined,
    servername: isThere(servername) ? readName(servername, `${name}.servername`) : undefined,
    rejectUnauthorized: isThere(rejectUnauthorized)
      ? readFlag(rejectUnauthorized, `${name}.rejectUnauthorized`)
      : rejectByDefault(),
  };
}

const KNOWN = ['ca', 'cert', 'key', 'servername', 'rejectUnauthorized'];

/**
 * @param {object} options
 * @param {string} name
 */
function warnOfUnknown(options, name) {
  const unknown = Object.keys(options).filter((key) => !KNOWN.includes(key));
  if (unknown.length === 0) return;
  warnOfIgnored(`${name} has unknown keys: ${namesIn(unknown).join(', ')}`);
}

/** Node's own default: NODE_TLS_REJECT_UNAUTHORIZED may say that any certificate will do. */
function rejectByDefault() {
  if (process.env.NODE_TLS_REJECT_UNAUTHORIZED !== '0') return undefined;
  if (!hasWarned) {
    hasWarned = true;
    process.emitWarning(
      'redlock-native: NODE_TLS_REJECT_UNAUTHORIZED is 0, so that connections with TLS are made to whoever answers',
      'RedlockWarning',
      'REDLOCK_TLS',
    );
  }
  return false;
}

let hasWarned = false;

/**
 * @param {unknown} given
 * @param {string} name
 * @returns {string[]}
 */
function readPems(given, name) {
  const list = isArray(given) ? elementsOf(given, unreadable('INSTANCE', name)) : [given];
  return list.map((pem) => {
    if (typeof pem === 'string') return pem;
    if (ArrayBuffer.isView(pem)) {
      return Buffer.from(pem.buffer, pem.byteOffset, pem.byteLength).toString('utf8');
    }
    // It may be a key, so it isn't shown.
    throw mistypedInstance(`${name} must be PEM text or a Buffer of it, not of the type ${typeof pem}`);
  });
}

/** @type {(given: unknown, name: string) => string} */
function readName(given, name) {
  if (typeof given === 'string' && given) return given;
  throw mistypedInstance(`${name} must be a host's name, not ${showSetting(given)}`);
}

/** @type {(given: unknown, name: string) => boolean} */
function readFlag(given, name) {
  if (typeof given === 'boolean') return given;
  throw mistypedInstance(`${name} must be true or false, not ${showSetting(given)}`);
}

module.exports = { readTls };
