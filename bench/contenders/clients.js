'use strict';

const { once } = require('node:events');

/**
 * Connected clients of ioredis 5, one for each server.
 *
 * @param {string[]} urls
 * @param {object} [options]
 */
async function ioredis(urls, options = {}) {
  const Redis = require('ioredis');
  const clients = urls.map((url) => new Redis(url, options));
  // A server that hangs is part of what is measured.
  for (const client of clients) client.on('error', () => {});
  await Promise.all(clients.map((client) => once(client, 'ready')));
  return clients;
}

/**
 * Connected clients of node-redis 3, one for each server.
 *
 * @param {string[]} urls
 */
async function nodeRedis3(urls) {
  const redis = require('redis-3');
  const clients = urls.map((url) => redis.createClient(url));
  for (const client of clients) client.on('error', () => {});
  await Promise.all(clients.map((client) => once(client, 'ready')));
  return clients;
}

module.exports = { ioredis, nodeRedis3 };
