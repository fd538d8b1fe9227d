'use strict';

/**
 * A connection's `tls` option, in Node's terms, as native takes it: certificates and keys as PEM texts.
 */

const { defaultAuthorities } = require('./authorities');
const { wrongType, outOfRange, showSetting } = require('./errors');
const { copyOf, elementsOf, isArray } = require('./foreign');
const { namesIn } = require('./redact');

/**
 * @typedef {object} NativeTls
 * @property {string[]} ca
 * @property {string} [cert]
 * @property {string} [key]
 * @property {string} [servername]
 * @property {boolean} [rejectUnauthorized]
 */

/** What else Node's TLS takes and changes whom is trusted; to ignore it would be wrong. */
const UNSUPPORTED = [
  'pfx',
  'passphrase',
  'secureContext',
  'checkServerIdentity',
  'ciphers',
  'crl',
  'minVersion',
  'maxVersion',
  'pskCallback',
];

/**
 * @param {unknown} given `true`, or an object with some of Node's options
 * @param {string} name what to call it in an error
 * @returns {NativeTls | undefined}
 */
function readTls(given, name) {
  if (given === undefined || given === null || given === false) return undefined;
  if (given === true)
    return { ca: defaultAuthorities(), rejectUnauthorized: isAnyAllowed() ? false : undefined };
  if (typeof given !== 'object' || isArray(given)) {
    throw wrongType('INSTANCE', `${name} must be true or an object, not ${showSetting(given)}`);
  }
  const options = copyOf(given, unreadable(name));
  const unsupported = UNSUPPORTED.find((key) => options[key] !== undefined && options[key] !== null);
  if (unsupported) {
    throw outOfRange(
      'INSTANCE',
      `${name}.${unsupported} can't be used on a connection of our own: ` +
        'give ca, cert and key as PEM, the key unencrypted, and servername or rejectUnauthorized',
    );
  }
  warnOfUnknown(options, name);
  const { ca, cert, key, servername, rejectUnauthorized } = options;
  return {
    ca: isAbsent(ca) ? defaultAuthorities() : readPems(ca, `${name}.ca`),
    cert: isAbsent(cert) ? undefined : readPems(cert, `${name}.cert`).join('\n'),
    key: isAbsent(key) ? undefined : readPems(key, `${name}.key`).join('\n'),
    servername: isAbsent(servername) ? undefined : readName(servername, `${name}.servername`),
    rejectUnauthorized: isAbsent(rejectUnauthorized)
      ? isAnyAllowed()
        ? false
        : undefined
      : readFlag(rejectUnauthorized, `${name}.rejectUnauthorized`),
  };
}

/**
 * @param {string} name
 * @returns {(key?: string | number) => Error}
 */
function unreadable(name) {
  return (key) => {
    const what = key === undefined ? name : `${name}.${key}`;
    return wrongType('INSTANCE', `${what} can't be read: reading it throws`);
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
  process.emitWarning(
    `redlock-native: ${name} has unknown keys: ${namesIn(unknown).join(', ')} (ignored)`,
    'RedlockWarning',
    'REDLOCK_OPTIONS',
  );
}

/** Whether NODE_TLS_REJECT_UNAUTHORIZED says that any certificate will do where nothing else is said. */
function isAnyAllowed() {
  if (process.env.NODE_TLS_REJECT_UNAUTHORIZED !== '0') return false;
  if (!hasWarned) {
    hasWarned = true;
    process.emitWarning(
      'redlock-native: NODE_TLS_REJECT_UNAUTHORIZED is 0, so that connections with TLS are made to whoever answers',
      'RedlockWarning',
      'REDLOCK_TLS',
    );
  }
  return true;
}

let hasWarned = false;

/** @param {unknown} value */
function isAbsent(value) {
  return value === undefined || value === null;
}

/**
 * @param {unknown} given
 * @param {string} name
 * @returns {string[]}
 */
function readPems(given, name) {
  const list = isArray(given) ? elementsOf(given, unreadable(name)) : [given];
  return list.map((pem) => {
    if (typeof pem === 'string') return pem;
    if (ArrayBuffer.isView(pem)) {
      return Buffer.from(pem.buffer, pem.byteOffset, pem.byteLength).toString('utf8');
    }
    // It may be a key, so it isn't shown.
    throw wrongType('INSTANCE', `${name} must be PEM text or a Buffer of it, not of the type ${typeof pem}`);
  });
}

/**
 * @param {unknown} given
 * @param {string} name
 */
function readName(given, name) {
  if (typeof given === 'string' && given) return given;
  throw wrongType('INSTANCE', `${name} must be a host's name, not ${showSetting(given)}`);
}

/**
 * @param {unknown} given
 * @param {string} name
 */
function readFlag(given, name) {
  if (typeof given === 'boolean') return given;
  throw wrongType('INSTANCE', `${name} must be true or false, not ${showSetting(given)}`);
}

module.exports = { readTls };
