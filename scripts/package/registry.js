'use strict';

/**
 * A registry on loopback: it has the packages of a folder, as if they had been published, and passes on to npm's own registry
 * whatever else is asked for. So an app is installed as its user will install it, before anything is published.
 */

const { createHash } = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');

const { HOST } = require('../free-port');
const { npm } = require('../npm');
const { integrityOf, manifestIn } = require('./tarball');

/** Long ago: package managers may be told to leave out what is new. */
const PUBLISHED = '2020-01-01T00:00:00.000Z';

/**
 * @param {string} folder of tarballs
 * @returns {Promise<{url: string, close(): void}>}
 */
async function startRegistry(folder) {
  const upstream = (await npm(folder, ['config', 'get', 'registry'])).trim();
  const files = fs.readdirSync(folder).filter((file) => file.endsWith('.tgz'));
  const server = http.createServer();
  await new Promise((resolve) => server.listen(0, HOST, () => resolve(undefined)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  const url = `http://${HOST}:${port}/`;
  const documents = new Map(files.map((file) => documentOf(path.join(folder, file), url)));
  server.on('request', (request, response) => {
    const asked = decodeURIComponent(/** @type {string} */ (request.url).slice(1));
    const document = documents.get(asked);
    const file = files.find((one) => asked.endsWith(`/-/${one}`));
    if (document) send(response, 200, JSON.stringify(document));
    else if (file) send(response, 200, fs.readFileSync(path.join(folder, file)));
    else passOn(request, response, upstream, url);
  });
  return {
    url,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/**
 * What the registry says of a package.
 *
 * @param {string} file
 * @param {string} url the registry's
 * @returns {[name: string, document: object]}
 */
function documentOf(file, url) {
  const manifest = manifestIn(file);
  const { name, version } = manifest;
  const dist = {
    tarball: `${url}${name}/-/${path.basename(file)}`,
    integrity: integrityOf(file),
    shasum: createHash('sha1').update(fs.readFileSync(file)).digest('hex'),
  };
  const document = {
    name,
    'dist-tags': { latest: version },
    versions: { [version]: { ...manifest, _id: `${name}@${version}`, dist } },
    time: { created: PUBLISHED, modified: PUBLISHED, [version]: PUBLISHED },
  };
  return [name, document];
}

/**
 * @param {http.IncomingMessage} request
 * @param {http.ServerResponse} response
 * @param {string} upstream
 * @param {string} url ours, by which tarballs are asked for too
 */
async function passOn(request, response, upstream, url) {
  if (request.method !== 'GET') return send(response, 404, '{}');
  try {
    const headers = { accept: request.headers.accept ?? '*/*' };
    const answer = await fetch(new URL(/** @type {string} */ (request.url).slice(1), upstream), { headers });
    const isDocument = answer.headers.get('content-type')?.includes('json');
    const body = isDocument
      ? (await answer.text()).replaceAll(upstream, url)
      : Buffer.from(await answer.arrayBuffer());
    send(response, answer.status, body);
  } catch (error) {
    send(response, 502, JSON.stringify({ error: `${upstream} can't be reached: ${error.message}` }));
  }
}

/**
 * @param {http.ServerResponse} response
 * @param {number} status
 * @param {string | Buffer} body
 */
function send(response, status, body) {
  const type = typeof body === 'string' ? 'application/json' : 'application/octet-stream';
  response.writeHead(status, { 'content-type': type }).end(body);
}

module.exports = { startRegistry };
