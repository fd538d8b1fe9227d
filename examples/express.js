// Shows a lock per request in express: of two requests for one order, one is served and one is told to come back.
// Run it: node examples/run.js express

const express = require('express');
const { once } = require('node:events');
const { setTimeout: sleep } = require('node:timers/promises');
const Redlock = require('redlock-native');

const urls = (process.env.REDIS_URLS ?? 'redis://localhost:6379').split(',');
const redlock = new Redlock(urls, { retryCount: 0 });
const app = express();

app.post('/orders/:id/pay', async (request, response, next) => {
  try {
    const receipt = await redlock.using(`order:${request.params.id}`, 5000, (signal) =>
      pay(request.params.id, signal),
    );
    response.json(receipt);
  } catch (error) {
    next(error);
  }
});

// Held by another request: 409. The servers can't say, or the lock was lost meanwhile: 503. Both say when to come back.
app.use((error, _request, response, next) => {
  if (error.name !== 'LockError' && error.name !== 'AbortError') return next(error);
  const status = error.code === 'ERR_REDLOCK_HELD' ? 409 : 503;
  response.status(status).set('Retry-After', '1').json({ error: error.code });
});

// What is passed the signal ends when the lock is lost: nobody is charged without it.
async function pay(order, signal) {
  await sleep(300, null, { signal });
  return { order, paid: true };
}

async function main() {
  const server = app.listen(0);
  await once(server, 'listening');
  const ask = () => fetch(`http://localhost:${server.address().port}/orders/42/pay`, { method: 'POST' });
  for (const answer of await Promise.all([ask(), ask()])) {
    console.log(answer.status, answer.headers.get('retry-after') ?? '-', await answer.text());
  }
  server.closeAllConnections();
  server.close();
  await redlock.quit();
}

main();
