'use strict';

/**
 * From a URL or a configuration to what native opens. Whatever is wrong is said here, and never with a
 * password in it.
 */

const { showSetting, mistypedInstance } = require('../errors');
const { get, isArray, isUrl } = require('../foreign');
const { isConfig, readConfig } = require('./config');
const { readUrl } = require('./url');

/**
 * @param {unknown} instance
 * @param {string} name what to call it in an error
 */
function readInstance(instance, name) {
  if (typeof instance === 'string') return readUrl(instance, name);
  if (isUrl(instance)) return readUrl(instance.href, name);
  if (typeof instance === 'object' && instance !== null && !isArray(instance)) {
    if (isThenable(instance)) throw mistypedInstance(`${name} is a promise: await it first`);
    return readConfig(instance, name);
  }
  const hint = instance === undefined ? ' (is an environment variable unset?)' : '';
  throw mistypedInstance(
    `${name} must be a URL or an object with a host, not ${showSetting(instance)}${hint}`,
  );
}

/** @param {object} instance */
function isThenable(instance) {
  try {
    return typeof get(instance, 'then') === 'function';
  } catch {
    return false;
  }
}

module.exports = { isConfig, readInstance, readConfig };
