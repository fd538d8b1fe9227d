// Shows a job that four processes have on their timetable, and that one of them runs at each tick.
// Run it: node examples/run.js cron

const { fork } = require('node:child_process');
const { once } = require('node:events');
const { setTimeout: sleep } = require('node:timers/promises');
const Redlock = require('redlock-native');

const PROCESSES = 4;
const TICKS = 3;
const INTERVAL = 1000;

async function worker(firstTick) {
  const urls = (process.env.REDIS_URLS ?? 'redis://localhost:6379').split(',');
  const redlock = new Redlock(urls);
  for (let tick = 1; tick <= TICKS; tick += 1) {
    await sleep(firstTick + tick * INTERVAL - Date.now());
    // The tick is part of the name, and the lock is left to end by itself, after every process's clock has
    // come past the tick: who is late finds it held although the job is done.
    const lock = await redlock.tryLock(`cron:report:${firstTick}:${tick}`, 10 * INTERVAL).catch((error) => {
      console.error(`tick ${tick}: ${error.code}: nobody can tell whose turn it is`);
      return null;
    });
    if (lock) console.log(`tick ${tick}: process ${process.pid} sends the report`);
  }
  await redlock.quit();
}

async function main() {
  const firstTick = Date.now() + INTERVAL;
  const workers = Array.from({ length: PROCESSES }, () => fork(__filename, [firstTick]));
  await Promise.all(workers.map((child) => once(child, 'exit')));
  console.log(`${PROCESSES} processes, ${TICKS} ticks`);
}

if (process.argv[2]) worker(Number(process.argv[2]));
else main();
