/**
 * `node run.js NAME`: starts the servers that the example NAME needs, tells it their URLs by REDIS_URLS,
 * runs it, and stops them. Without a name: which there are.
 */

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');

const { findRedisServer, HOW_TO_GET_ONE } = require('../scripts/redis-server');
const { startServers } = require('../scripts/servers');

const SERVERS = 3;
/** This, and what has a command of its own. */
const NOT_RUN = ['run.js', 'demo.js'];
const NOT_INSTALLED = 'The packages of the examples are missing: npm ci --prefix examples';

async function main(name) {
  if (!names().includes(name))
    throw new Error(`node examples/run.js NAME, where NAME is one of: ${names().join(', ')}`);
  if (!fs.existsSync(path.join(__dirname, 'node_modules'))) throw new Error(NOT_INSTALLED);
  if (!findRedisServer({ install: true })) throw new Error(HOW_TO_GET_ONE);
  const servers = await startServers(SERVERS);
  try {
    process.exitCode = await run(path.join(__dirname, `${name}.js`), servers);
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
}

function names() {
  const files = fs.readdirSync(__dirname).filter((file) => file.endsWith('.js') && !NOT_RUN.includes(file));
  return files.map((file) => path.basename(file, '.js')).sort();
}

async function run(file, servers) {
  const REDIS_URLS = servers.map((server) => server.url).join(',');
  const child = spawn(process.execPath, [file], { stdio: 'inherit', env: { ...process.env, REDIS_URLS } });
  const [code, signal] = await once(child, 'exit');
  if (signal) console.error(`${path.basename(file)} was ended by ${signal}`);
  return code ?? 1;
}

main(process.argv[2]).catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
