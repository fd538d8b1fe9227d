'use strict';

/**
 * `node scripts/package/install-as-user.js [folder]`: what a new user does. The packages of that folder (target/packages/) are
 * served by a registry on loopback; in empty folders outside of this repository, with no cargo to be found, npm, pnpm and
 * yarn, with node_modules and with Plug'n'Play, install them; and apps in CommonJS, ESM and TypeScript are run on three real servers and on each
 * runtime. Prints a line for each pair; the first that fails ends it.
 */

const { execFile } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { promisify } = require('node:util');

const { HOST } = require('../free-port');
const { npmCommand } = require('../npm');
const { APP, MODULES, runApp, runtimes } = require('../runtimes');
const { startRegistry } = require('./registry');

const ROOT = path.join(__dirname, '..', '..');
const PACKAGES = path.join(ROOT, 'target', 'packages');

/** What the apps have beside the package, at the versions that are tested here. */
const OTHERS = {
  ...{ bluebird: 'bluebird', ioredis: 'ioredis', redis: 'redis-5', typescript: 'typescript' },
  ...{ '@types/bluebird': '@types/bluebird', '@types/node': '@types/node' },
};

const COMPILER = {
  compilerOptions: { module: 'nodenext', target: 'es2023', strict: true, types: ['node'] },
  files: ['typed.mts'],
};
const SCRIPTS = ['commonjs.cjs', 'module.mjs', 'typed.mjs'];

/**
 * @typedef {object} Manager of packages
 * @property {string} name
 * @property {string[]} command
 * @property {(registry: string) => Record<string, string>} files its configuration, by the files' names
 * @property {string[]} [nodeOptions] what Node.js, which alone can, has to be told to find what it has installed
 */

const HERE = `${process.platform}-${process.arch}`;
/** Programs of this machine alone are in __test__/runtimes, of which npm leaves out what is another's. */
const PNPM = [path.join(MODULES, '@pnpm', `exe.${HERE}`, 'pnpm')];
const YARN = [process.execPath, path.join(MODULES, '@yarnpkg', 'cli-dist', 'bin', 'yarn.js')];

/** @type {Manager[]} */
const MANAGERS = [
  { name: 'npm', command: npmCommand(), files: (registry) => ({ '.npmrc': `registry=${registry}\n` }) },
  {
    name: 'pnpm',
    command: PNPM,
    files: (registry) => ({ '.npmrc': `registry=${registry}\n` }),
  },
  { name: 'yarn', command: YARN, files: (registry) => yarnFiles(registry, ['nodeLinker: node-modules']) },
  {
    name: "yarn with Plug'n'Play",
    command: YARN,
    files: (registry) => yarnFiles(registry, ['nodeLinker: pnp', 'pnpEnableEsmLoader: true']),
    nodeOptions: ['--require=./.pnp.cjs', '--experimental-loader=./.pnp.loader.mjs'],
  },
];

/**
 * @param {string} registry
 * @param {string[]} settings
 */
function yarnFiles(registry, settings) {
  const whole = [
    `npmRegistryServer: '${registry}'`,
    `unsafeHttpWhitelist: ['${HOST}']`,
    'enableTelemetry: false',
    ...settings,
  ];
  // Without a lockfile, yarn would look for an app in the folders above.
  return { '.yarnrc.yml': `${whole.join('\n')}\n`, 'yarn.lock': '' };
}

/** @param {string} folder of the packages */
async function installAsUser(folder) {
  const registry = await startRegistry(folder);
  const outside = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-native-user-')));
  try {
    for (const manager of MANAGERS) {
      if (isHere(manager)) await installWith(manager, registry.url, outside);
      else console.log(`${manager.name}: not tried, as __test__/runtimes has none for ${HERE}`);
    }
  } finally {
    registry.close();
    fs.rmSync(outside, { recursive: true });
  }
}

/** @param {Manager} manager */
function isHere({ name, command }) {
  const isThere = command.every((part) => !path.isAbsolute(part) || fs.existsSync(part));
  if (!isThere && HERE === 'linux-x64') {
    throw new Error(`${name} is missing in ${MODULES}: run npm ci --prefix __test__/runtimes`);
  }
  return isThere;
}

/**
 * @param {Manager} manager
 * @param {string} registry
 * @param {string} outside
 */
async function installWith({ name, command, files, nodeOptions }, registry, outside) {
  const app = fs.mkdtempSync(path.join(outside, 'app-'));
  for (const [file, text] of Object.entries({
    'package.json': '{ "private": true }\n',
    ...files(registry),
  })) {
    fs.writeFileSync(path.join(app, file), text);
  }
  const env = environment(path.join(outside, 'home'));
  const started = performance.now();
  await run([...command, 'add', 'redlock-native', ...otherSpecs()], { cwd: app, env });
  console.log(`${name}: installed in ${((performance.now() - started) / 1000).toFixed(1)} s`);

  fs.cpSync(APP, app, { recursive: true });
  fs.writeFileSync(path.join(app, 'tsconfig.json'), JSON.stringify(COMPILER));
  await run([...command, 'exec', 'tsc'], { cwd: app, env });
  const able = runtimes().filter((runtime) => !nodeOptions || runtime.name === 'Node.js');
  const told = nodeOptions ? { ...env, NODE_OPTIONS: nodeOptions.join(' ') } : env;
  for (const runtime of able) {
    const said = await runApp(runtime, SCRIPTS, { cwd: app, env: told });
    console.log(`${name}, ${runtime.name} ${runtime.version}: ${said}`);
  }
}

/**
 * A user's who has nothing of ours: neither cargo, nor caches, nor settings.
 *
 * @param {string} home
 * @returns {NodeJS.ProcessEnv}
 */
function environment(home) {
  fs.mkdirSync(home, { recursive: true });
  const folders = (process.env.PATH ?? '').split(path.delimiter);
  const isCargos = (folder) => fs.existsSync(path.join(folder, 'cargo'));
  const PATH = folders.filter((folder) => folder !== '' && !isCargos(folder)).join(path.delimiter);
  return { PATH, HOME: home, LANG: 'C.UTF-8', TMPDIR: os.tmpdir() };
}

function otherSpecs() {
  return Object.entries(OTHERS).map(([name, ours]) => `${name}@${versionOf(ours)}`);
}

/** @param {string} name in our node_modules */
function versionOf(name) {
  const file = path.join(ROOT, 'node_modules', name, 'package.json');
  return JSON.parse(fs.readFileSync(file, 'utf8')).version;
}

/**
 * @param {string[]} command
 * @param {import('node:child_process').ExecFileOptions} options
 */
async function run([program, ...args], options) {
  try {
    await promisify(execFile)(program, args, options);
  } catch (error) {
    const said = `${error.stdout ?? ''}${error.stderr ?? ''}`;
    throw new Error(`${[path.basename(program), ...args].join(' ')} failed: ${error.message}\n${said}`, {
      cause: error,
    });
  }
}

if (require.main === module) {
  installAsUser(process.argv[2] ?? PACKAGES).catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
}

module.exports = { installAsUser };
