// Shows a Lambda function: its code is bundled, and redlock-native, whose addon is a file, is installed beside the bundle.
// Run it: node examples/run.js lambda

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { build } = require('esbuild');

const HANDLER = `
  import Redlock from 'redlock-native';

  // Outside of the handler: one for all invocations of this instance. An idle connection keeps nothing awake.
  const redlock = new Redlock(process.env.REDIS_URLS.split(','), { retryCount: 0 });

  export async function handler({ order }, context) {
    try {
      // The time that is left is the longest that the lock can be of use.
      const ttl = Math.min(5000, context.getRemainingTimeInMillis());
      return { statusCode: 200, body: await redlock.using('order:' + order, ttl, async () => 'paid') };
    } catch (error) {
      if (error.code !== 'ERR_REDLOCK_HELD') throw error; // Lambda tries it again
      return { statusCode: 409, headers: { 'Retry-After': '1' }, body: error.code };
    }
  }
`;

async function main() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'lambda-'));
  const outfile = path.join(folder, 'index.mjs');
  const stdin = { contents: HANDLER, resolveDir: __dirname };
  await build({
    stdin,
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    external: ['redlock-native'],
  });
  // Stands for: npm install --prefix FOLDER --os=linux --cpu=arm64 --libc=glibc redlock-native
  fs.mkdirSync(path.join(folder, 'node_modules'));
  fs.symlinkSync(path.join(__dirname, '..'), path.join(folder, 'node_modules', 'redlock-native'), 'junction');

  const { handler } = await import(outfile);
  const context = { getRemainingTimeInMillis: () => 3000 };
  const answers = await Promise.all([handler({ order: 7 }, context), handler({ order: 7 }, context)]);
  for (const { statusCode, body } of answers) console.log(statusCode, body);
  console.log((await handler({ order: 7 }, context)).statusCode, 'when it is invoked again');
  fs.rmSync(folder, { recursive: true });
}

main();
