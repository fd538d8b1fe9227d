import redlock5 = require('redlock-native/v5');

const { default: Redlock, ExecutionError } = redlock5;
const redlock: redlock5.default = new Redlock(['memory://v5-commonjs'], { retryCount: 0 });

async function main(): Promise<void> {
  const lock: redlock5.Lock = await redlock.acquire(['a'], 1000);
  const refused: unknown = await redlock.acquire(['a'], 1000).catch((error: unknown) => error);
  if (!(refused instanceof ExecutionError)) throw refused;
  await lock.release();
  await redlock.quit();
  console.log('released');
}

main();
