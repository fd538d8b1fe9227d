'use strict';

/**
 * One contender in a process of its own, so that its threads' CPU time is nobody else's. Started by
 * contender.js with the contender's id, its options and the servers' URLs; does a task whenever it is told to.
 */

const { contenders } = require('./contenders');

/** Each is given the contender and what it was told, and resolves with figures. */
const TASKS = {
  cycles: () => require('./tasks/cycles').measure,
  load: () => require('./tasks/load').measure,
  contention: () => require('./tasks/contention').measure,
  held: () => require('./tasks/held').measure,
  turns: () => require('./tasks/turns').measure,
  take: () => require('./tasks/waits').take,
  release: () => require('./tasks/waits').release,
  wait: () => require('./tasks/waits').wait,
  keep: () => require('./tasks/waits').keep,
  lost: () => require('./tasks/waits').lost,
};

const [id, options, ...urls] = process.argv.slice(2);

async function main() {
  const open = contenders.find((one) => one.id === id).load();
  const contender = await open(urls, JSON.parse(options));
  process.on('message', ({ task, ...told }) => {
    TASKS[task]()(contender, told).then(
      (result) => process.send({ result }),
      (error) => process.send({ error: error.stack ?? String(error) }),
    );
  });
  process.on('disconnect', () => process.exit());
  process.send({ result: 'open' });
}

main().catch((error) => process.send({ error: error.stack }, () => process.exit(1)));
