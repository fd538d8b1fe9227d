// Shows a BullMQ worker whose jobs take locks by the ioredis client that it has anyway: one customer's jobs never overlap.
// Run it: node examples/run.js bullmq

const { setTimeout: sleep } = require('node:timers/promises');
const { Queue, QueueEvents, Worker } = require('bullmq');
const { Redis } = require('ioredis');
const Redlock = require('redlock-native');

const [url] = (process.env.REDIS_URLS ?? 'redis://localhost:6379').split(',');
const connection = new Redis(url, { maxRetriesPerRequest: null });
const redlock = new Redlock([connection], { retryCount: -1 });

const running = new Map();
let most = 0;

// A job that fails, as one whose lock is lost, is tried again by BullMQ.
function invoice({ data: { customer } }) {
  return redlock.using(`customer:${customer}`, 5000, async (signal) => {
    running.set(customer, (running.get(customer) ?? 0) + 1);
    most = Math.max(most, running.get(customer));
    await sleep(50, null, { signal });
    running.set(customer, running.get(customer) - 1);
  });
}

async function main() {
  const queue = new Queue('invoices', { connection });
  const events = new QueueEvents('invoices', { connection });
  await events.waitUntilReady();
  const worker = new Worker('invoices', invoice, { connection, concurrency: 6 });

  const customers = ['ann', 'bob', 'ann', 'bob', 'ann', 'bob'];
  const jobs = customers.map((customer) => ({ name: 'invoice', data: { customer }, opts: { attempts: 3 } }));
  const added = await queue.addBulk(jobs);
  await Promise.all(added.map((job) => job.waitUntilFinished(events)));
  console.log(`${added.length} jobs are done, at most ${most} at a time for one customer`);

  // What uses the client ends before the client does; quit() ends that, since it was passed.
  await worker.close();
  await events.close();
  await queue.close();
  await redlock.quit();
}

main();
