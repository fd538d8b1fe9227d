// Shows a job that takes longer than its ttl: `using` extends the lock meanwhile, and a job whose lock is lost stops.
// Run it: node examples/run.js long-job

const { setTimeout: sleep } = require('node:timers/promises');
const { Redis } = require('ioredis');
const Redlock = require('redlock-native');

const urls = (process.env.REDIS_URLS ?? 'redis://localhost:6379').split(',');
const redlock = new Redlock(urls, { retryCount: 0 });
const TTL = 2000;

// An on-call engineer wants to know of both; neither stops the process.
redlock.on('lost', (error) => console.log(`lost: ${error.code}`));
redlock.on('unlockError', (error) => console.error(`not unlocked: ${error.message}`));

async function importRows(count, signal) {
  for (let row = 1; row <= count; row += 1) {
    signal.throwIfAborted();
    await sleep(100, null, { signal });
  }
  return count;
}

// Stands for servers that were flushed, or restarted without their data.
async function loseKeys() {
  for (const url of urls) {
    const server = new Redis(url);
    await server.del('import');
    await server.quit();
  }
}

async function main() {
  const start = performance.now();
  const rows = await redlock.using('import', TTL, (signal) => importRows(30, signal));
  console.log(`${rows} rows in ${Math.round(performance.now() - start)} ms under a lock of ${TTL} ms`);

  try {
    await redlock.using('import', TTL, async (signal) => {
      await loseKeys();
      return importRows(30, signal);
    });
    console.log('the second import has ended');
  } catch (error) {
    console.log(`the second import has stopped: ${error.name}`);
  }
  await redlock.quit();
}

main();
