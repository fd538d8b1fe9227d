/**
 * `node run.js NAME`: starts the servers that the example NAME needs, tells it their URLs by REDIS_URLS,
 * runs it, and stops them. Without a name: which there are.
 */

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');

const { startCluster, startSentinels } = require('../__test__/support/topologies');
const { findRedisServer, HOW_TO_GET_ONE } = require('../scripts/redis-server');
const { startServers } = require('../scripts/servers');

/** This, and what has a command of its own. */
const NOT_RUN = ['run.js', 'demo.js'];
const NOT_INSTALLED = 'The packages of the examples are missing: npm ci --prefix examples';

/** What an example is run on, where that isn't three servers. Each gives the URLs. */
const SETTINGS = {
  async sentinel(t) {
    const [master] = await servers(t, 1);
    const sentinels = await startSentinels(t, master);
    return [`redis+sentinel://${sentinels.map(({ host, port }) => `${host}:${port}`).join(',')}/main`];
  },
  async cluster(t) {
    return (await startCluster(t)).map(({ url }) => url);
  },
};

/** How what Node.js can't run by itself is run. */
const RUNNERS = {
  '.js': (file) => [file],
  '.mts': (file) => [compiled(file)],
  '.test.js': (file) => [require.resolve('jest/bin/jest'), '--rootDir', path.dirname(file), file],
};

async function main(name) {
  const file = examples().find((one) => nameOf(one) === name);
  const names = examples().map(nameOf).sort().join(', ');
  if (!file) throw new Error(`node examples/run.js NAME, where NAME is one of: ${names}`);
  if (!fs.existsSync(path.join(__dirname, 'node_modules', '.package-lock.json')))
    throw new Error(NOT_INSTALLED);
  if (!findRedisServer({ install: true })) throw new Error(HOW_TO_GET_ONE);
  const endings = [];
  try {
    const t = { after: (ending) => endings.unshift(ending) };
    const start = SETTINGS[name] ?? (async () => (await servers(t, 3)).map(({ url }) => url));
    process.exitCode = await run(file, await start(t));
  } finally {
    for (const end of endings) await end();
  }
}

async function servers(t, count) {
  const started = await startServers(count);
  t.after(() => Promise.all(started.map((server) => server.stop())));
  return started;
}

function examples() {
  const files = fs.readdirSync(__dirname).filter((file) => !NOT_RUN.includes(file));
  return files.filter((file) => kindOf(file) !== undefined).map((file) => path.join(__dirname, file));
}

function kindOf(file) {
  return ['.test.js', '.js', '.mts'].find((kind) => file.endsWith(kind));
}

function nameOf(file) {
  return path.basename(file, kindOf(file));
}

/** TypeScript as JavaScript, where `require` finds the same as beside it. */
function compiled(file) {
  const outfile = path.join(__dirname, 'node_modules', '.examples', `${nameOf(file)}.mjs`);
  require('esbuild').buildSync({
    entryPoints: [file],
    outfile,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
  });
  return outfile;
}

async function run(file, urls) {
  const args = RUNNERS[kindOf(file)](file);
  const env = { ...process.env, REDIS_URLS: urls.join(',') };
  const child = spawn(process.execPath, args, { stdio: 'inherit', cwd: __dirname, env });
  const [code, signal] = await once(child, 'exit');
  if (signal) console.error(`${path.basename(file)} was ended by ${signal}`);
  return code ?? 1;
}

main(process.argv[2]).catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
