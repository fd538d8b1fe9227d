'use strict';

/**
 * `npm run smoke`: the packed package, installed in a folder, on three real servers and on each runtime that
 * scripts/runtimes.js finds, as CommonJS and as ESM. Prints a line for each; the first that fails ends it.
 */

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { installOffline, linkModules } = require('./package/install');
const { pack } = require('./package/tarballs');
const { APP, runApp, runtimes } = require('./runtimes');

async function main() {
  const app = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-native-smoke-')));
  try {
    const { main: packed, platforms } = await pack(path.join(app, 'packages'));
    await installOffline(app, [packed, ...platforms]);
    linkModules(app, { bluebird: 'bluebird', ioredis: 'ioredis', redis: 'redis-5' });
    fs.cpSync(APP, app, { recursive: true });
    for (const runtime of runtimes()) {
      const said = await runApp(runtime, ['commonjs.cjs', 'module.mjs'], { cwd: app });
      console.log(`${runtime.name} ${runtime.version}: ${said}`);
    }
  } finally {
    fs.rmSync(app, { recursive: true });
  }
}

if (require.main === module) {
  main().catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
}
