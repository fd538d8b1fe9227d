'use strict';

/** ioredis 4, 5 and 6, iovalkey, which came from it, and ioredis-mock. */

const { placeOf, placeOfUrl } = require('./address');
const { Client } = require('./client');
const { can, has, isReplaced, read, readAt } = require('./look');

/**
 * @param {any} client
 * @returns {Client | undefined}
 */
function recognise(client) {
  if (!can(client, 'defineCommand') || !can(client, 'eval')) return undefined;
  if (read(client, 'isCluster') === true && has(client, 'connectionPool') && has(client, 'startupNodes')) {
    return new IoredisClient(client, libraryOf(client), 'cluster');
  }
  if (['commandQueue', 'offlineQueue', 'connector', 'options'].every((key) => has(client, key))) {
    const topology = isFilled(readAt(client, 'options', 'sentinels')) ? 'sentinel' : 'single';
    return new IoredisClient(client, libraryOf(client), topology);
  }
  if (has(client, 'keyData') && has(client, 'shaScripts')) {
    return new MockClient(client, 'ioredis-mock', 'single');
  }
  // Its clusters keep their data in their nodes.
  if (has(client, 'clusterNodes') && has(client, 'keyspaceEvents')) {
    return new MockClient(client, 'ioredis-mock', 'cluster');
  }
  return undefined;
}

/**
 * By what the others don't have.
 *
 * @param {any} client
 */
function libraryOf(client) {
  if (has(client, '_addedScriptHashes')) return 'ioredis 4';
  if (has(read(client, 'options'), 'himportFieldsets')) return 'ioredis 6';
  return can(client, 'waitaof') ? 'iovalkey' : 'ioredis 5';
}

/** @param {unknown} value */
function isFilled(value) {
  return Array.isArray(value) && value.length > 0;
}

class IoredisClient extends Client {
  get db() {
    if (this.topology === 'cluster') return 0;
    return numberOf(readAt(this.client, 'condition', 'select') ?? readAt(this.client, 'options', 'db') ?? 0);
  }

  get keyPrefix() {
    const prefix = readAt(this.client, 'options', 'keyPrefix');
    return typeof prefix === 'string' && prefix ? prefix : undefined;
  }

  places() {
    const options = read(this.client, 'options');
    switch (this.topology) {
      case 'cluster': {
        const nodes = read(this.client, 'startupNodes');
        const tls = Boolean(readAt(options, 'redisOptions', 'tls'));
        return Array.isArray(nodes) ? { places: nodes.map(placeOfNode), tls } : undefined;
      }
      case 'sentinel': {
        const places = Array.from(read(options, 'sentinels'), (one) => placeOf(one, 26_379));
        return { places, service: String(read(options, 'name')), tls: Boolean(read(options, 'tls')) };
      }
      default:
        return { places: [placeOf(options)], tls: Boolean(read(options, 'tls')) };
    }
  }

  knowsDigests() {
    return can(this.client, 'evalsha') && !isReplaced(this.client, 'eval', 'evalsha');
  }

  /**
   * @param {string} text
   * @param {string[]} keys
   * @param {string[]} args
   */
  eval(text, keys, args) {
    return this.client.eval(text, keys.length, ...keys, ...args);
  }

  /**
   * @param {string} digest
   * @param {string[]} keys
   * @param {string[]} args
   */
  evalsha(digest, keys, args) {
    return this.client.evalsha(digest, keys.length, ...keys, ...args);
  }
}

class MockClient extends IoredisClient {
  places() {
    return undefined;
  }

  // Each of its methods is its instances' own: a stub of `eval` can't be told from its own.
  knowsDigests() {
    return false;
  }
}

/** @param {unknown} node */
function placeOfNode(node) {
  if (typeof node === 'object') return { ...placeOf(node), path: undefined };
  if (/^\d+$/.test(String(node))) return { host: 'localhost', port: node };
  const url = String(node);
  return placeOfUrl(url.includes('://') ? url : `redis://${url}`, 6379);
}

/** @param {unknown} value */
function numberOf(value) {
  const number = Number(value);
  return Number.isInteger(number) ? number : undefined;
}

module.exports = { recognise };
