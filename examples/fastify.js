// Shows a lock per request in fastify: of two requests for one order, one is served and one is told to come back.
// Run it: node examples/run.js fastify

const { setTimeout: sleep } = require('node:timers/promises');
const fastify = require('fastify');
const Redlock = require('redlock-native');

const urls = (process.env.REDIS_URLS ?? 'redis://localhost:6379').split(',');
const redlock = new Redlock(urls, { retryCount: 0 });
const app = fastify();

app.post('/orders/:id/pay', ({ params }) =>
  redlock.using(`order:${params.id}`, 5000, (signal) => pay(params.id, signal)),
);

// Held by another request: 409. The servers can't say, or the lock was lost meanwhile: 503. Both say when to come back.
app.setErrorHandler((error, _request, reply) => {
  if (error.name !== 'LockError' && error.name !== 'AbortError') throw error;
  const status = error.code === 'ERR_REDLOCK_HELD' ? 409 : 503;
  reply.code(status).header('Retry-After', '1').send({ error: error.code });
});

app.addHook('onClose', () => redlock.quit());

// What is passed the signal ends when the lock is lost: nobody is charged without it.
async function pay(order, signal) {
  await sleep(300, null, { signal });
  return { order, paid: true };
}

async function main() {
  const url = await app.listen({ port: 0 });
  const ask = () => fetch(`${url}/orders/42/pay`, { method: 'POST' });
  for (const answer of await Promise.all([ask(), ask()])) {
    console.log(answer.status, answer.headers.get('retry-after') ?? '-', await answer.text());
  }
  await app.close();
}

main();
