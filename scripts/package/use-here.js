'use strict';

/**
 * `node scripts/package/use-here.js [folder]`: installs what `npm run package` left in target/packages/ (or a folder), the main
 * package and this platform's, into an app that has nothing else, and takes a lock there, in memory. Needs Node.js and npm
 * alone, so that it can be run on any machine of a platform.
 */

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { installOffline } = require('./install');
const { ownTarget } = require('./targets');
const { version } = require('../../package.json');

const PACKAGES = path.join(__dirname, '..', '..', 'target', 'packages');
const SCRIPT = 'lock-there.js';
const URLS = ['memory://a', 'memory://b', 'memory://c'];

/** @param {string} folder of the packages */
async function useHere(folder) {
  const app = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-native-use-')));
  try {
    await installOffline(app, filesForHere(folder));
    fs.copyFileSync(path.join(__dirname, SCRIPT), path.join(app, SCRIPT));
    const args = [SCRIPT, URLS.join(',')];
    return execFileSync(process.execPath, args, { cwd: app, encoding: 'utf8', timeout: 30_000 }).trim();
  } finally {
    fs.rmSync(app, { recursive: true });
  }
}

/** @param {string} folder */
function filesForHere(folder) {
  const names = ['redlock-native', `redlock-native-${ownTarget()}`];
  const files = names.map((name) => path.resolve(folder, `${name}-${version}.tgz`));
  const missing = files.filter((file) => !fs.existsSync(file));
  if (missing.length) throw new Error(`there is no ${missing.join(', and no ')}: npm run package makes them`);
  return files;
}

if (require.main === module) {
  useHere(process.argv[2] ?? PACKAGES).then(
    (said) => console.log(`Node.js ${process.versions.node}, ${said}`),
    (error) => {
      console.error(error.stderr || error.message);
      process.exitCode = 1;
    },
  );
}

module.exports = { useHere };
