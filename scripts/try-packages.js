'use strict';

/**
 * `node scripts/try-packages.js [folder]`: installs what `npm run package` left in target/packages/ (or a folder), the main
 * package and this platform's, into an app that has nothing else, and takes a lock there. Needs Node.js and npm alone.
 */

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { npm } = require('./npm');

const PACKAGES = path.join(__dirname, '..', 'target', 'packages');
const { version } = require('../package.json');

const APP = `
const Redlock = require('redlock-native');
const redlock = new Redlock(['memory://a', 'memory://b', 'memory://c'], { retryCount: 0 });

async function main() {
  const lock = await redlock.lock('try', 10_000);
  await redlock.lock('try', 10_000).then(
    () => Promise.reject(new Error('two have the lock')),
    (error) => { if (error.name !== 'LockError') throw error; },
  );
  await lock.extend(20_000);
  await lock.unlock();
  await (await redlock.lock('try', 10_000)).unlock();
  await redlock.quit();
  console.log('a lock was taken, refused, extended and given back');
}

main();
`;

async function main(folder) {
  const app = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-native-try-')));
  try {
    fs.writeFileSync(path.join(app, 'package.json'), '{ "private": true }\n');
    const files = filesForHere(fs.readdirSync(folder)).map((file) => path.resolve(folder, file));
    // What is installed is what is here: nothing is looked for elsewhere.
    await npm(app, ['install', '--offline', '--cache', path.join(app, 'cache'), ...files]);
    fs.writeFileSync(path.join(app, 'app.js'), APP);
    const said = execFileSync(process.execPath, ['app.js'], { cwd: app, encoding: 'utf8', timeout: 30_000 });
    console.log(`Node.js ${process.versions.node}, ${process.platform} ${process.arch}: ${said.trim()}`);
  } finally {
    fs.rmSync(app, { recursive: true });
  }
}

/** @param {string[]} files */
function filesForHere(files) {
  const main = `redlock-native-${version}.tgz`;
  const isGlibc = process.report?.getReport().header.glibcVersionRuntime !== undefined;
  const libc = process.platform === 'linux' ? (isGlibc ? '-gnu' : '-musl') : '';
  const here = files.find((file) =>
    file.startsWith(`redlock-native-${process.platform}-${process.arch}${libc}`),
  );
  if (!files.includes(main) || !here) {
    throw new Error(`there is no ${main}, or none for ${process.platform} ${process.arch}: npm run package`);
  }
  return [main, here];
}

main(process.argv[2] ?? PACKAGES).catch((error) => {
  console.error(error.stderr || error.message);
  process.exitCode = 1;
});
