/**
 * What a distributed lock does, told as it happens: `npm run demo`.
 *
 * Two contenders want one lock that lives on three Redis servers. The servers are real, started here
 * on free ports of this machine and stopped at the end; where there is no redis-server and none can
 * be installed, the story is told on three instances in this process's memory.
 */

const { setTimeout: sleep } = require('node:timers/promises');

const Redlock = require('..');
const { findRedisServer } = require('../scripts/redis-server');
const { startServers } = require('../scripts/servers');
const { until } = require('../scripts/until');

const RESOURCE = 'invoice:42';
const TTL = 2000;

async function story(instances, servers) {
  const alice = contender('alice', instances, { retryCount: 0 });
  const bob = contender('bob', instances, { retryCount: -1, retryDelay: 100, retryJitter: 50 });
  const hastyBob = contender('bob', instances, { retryCount: 0 });

  chapter('One gets it');
  let lock = await timed(
    (took) => `alice asks for "${RESOURCE}" for ${TTL} ms and has it after ${took}.`,
    () => alice.lock(RESOURCE, TTL),
  );
  const firstEnd = performance.now() + TTL;
  tell(`It is hers for another ${remaining(lock)} ms, even if she crashes now: then it ends by itself.`);

  const refusal = await timed(
    (took) => `bob asks once, without waiting, and is refused after ${took}:`,
    () => refused(hastyBob.lock(RESOURCE, TTL)),
  );
  tell(`  ${refusal.name} ${refusal.code ?? ''}: ${refusal.message}`);

  chapter('One extends, one waits');
  let bobHasIt = false;
  const bobsTurn = bob.lock(RESOURCE, TTL).finally(() => {
    bobHasIt = true;
  });
  tell('bob asks again, and this time he waits: he looks about every 100 ms.');
  await sleep(TTL * 0.6);
  lock = await timed(
    (took) => `alice needs longer and extends by ${TTL} ms; that took ${took}.`,
    () => lock.extend(TTL),
  );
  tell(`It is hers for another ${remaining(lock)} ms.`);

  await sleep(firstEnd - performance.now() + 300);
  expect(!bobHasIt, 'bob got the lock although alice had extended it');
  tell('Her first time is over by now. Thanks to the extension bob still waits.');

  await timed(
    (took) => `alice is done and unlocks; that took ${took}.`,
    () => lock.unlock(),
  );
  const released = performance.now();
  lock = await within(2000, bobsTurn, 'bob gets the lock that alice let go');
  tell(`bob has it, ${ms(performance.now() - released)} after she let go.`);

  if (servers) lock = await loseOne({ servers, alice, bob, lock });

  chapter('The end');
  await lock.unlock();
  for (const server of servers ?? []) {
    if (server.pid) expect((await server.keys()).length === 0, `a key was left on ${server.url}`);
  }
  tell(`The last lock is released${servers ? ' and no key was left on the servers' : ''}.`);
  await Promise.all([alice, bob, hastyBob].map((redlock) => redlock.quit()));
}

/** One of the three servers dies while bob holds the lock. */
async function loseOne({ servers, alice, bob, lock }) {
  const said = [];
  for (const redlock of [alice, bob]) {
    redlock.on('clientError', (error) => said.push(error.message));
  }

  chapter('A server dies');
  const victim = servers[1];
  await victim.kill();
  tell(`The server on port ${victim.port} was just killed. Two of three are left: still a majority.`);
  const bobs = await timed(
    (took) => `bob, who holds the lock, extends it all the same; that took ${took}.`,
    () => lock.extend(TTL),
  );
  await timed(
    (took) => `bob unlocks; that took ${took}.`,
    () => bobs.unlock(),
  );
  const alices = await timed(
    (took) => `alice asks for it anew and has it after ${took}.`,
    () => alice.lock(RESOURCE, TTL),
  );
  await until(() => said.length, { timeout: 2000, what: 'clientError tells of the dead server' });
  tell('Nobody had to wait for the dead server. What the "clientError" event said of it:');
  // Each of them hears of it for each thing it asks for; once is enough here.
  for (const message of new Set(said)) tell(`  ${message}`);
  return alices;
}

function contender(name, instances, options) {
  const redlock = new Redlock(instances, options);
  redlock.on('error', (error) => tell(`${name}: ${error.message}`));
  return redlock;
}

/** Milliseconds for which the lock can be relied on. */
function remaining(lock) {
  const left = Math.round(lock.expiration - Date.now());
  expect(left > 0 && left <= TTL, `a lock of ${TTL} ms has ${left} ms left`);
  return left;
}

/** The LockError that `attempt` is expected to end with. */
async function refused(attempt) {
  const outcome = await attempt.then(
    () => null,
    (error) => error,
  );
  expect(outcome instanceof Redlock.LockError, `a LockError was expected, not ${outcome ?? 'a lock'}`);
  return outcome;
}

async function within(timeout, promise, what) {
  const late = sleep(timeout, null, { ref: false }).then(() =>
    expect(false, `not within ${timeout} ms: ${what}`),
  );
  return Promise.race([promise, late]);
}

async function timed(sentence, action) {
  const start = performance.now();
  const result = await action();
  tell(sentence(ms(performance.now() - start)));
  return result;
}

function expect(condition, otherwise) {
  if (!condition) throw new Error(otherwise);
}

function ms(duration) {
  return `${duration.toFixed(duration < 10 ? 1 : 0)} ms`;
}

function chapter(title) {
  console.log(`\n${title}`);
}

const beginning = performance.now();

function tell(line) {
  const seconds = (performance.now() - beginning) / 1000;
  console.log(`${seconds.toFixed(2).padStart(7)} s  ${line}`);
}

async function main() {
  const program = findRedisServer({ install: true });
  if (!program) {
    chapter('Three instances in memory');
    tell('There is no redis-server here and none could be installed, so this is told on three');
    tell('instances in the memory of this one process. (With REDIS_SERVER=path you see the real thing,');
    tell('and one more chapter, in which a server dies.)');
    return story(['memory://a', 'memory://b', 'memory://c']);
  }

  chapter('Three servers');
  const servers = await startServers(3, { program });
  tell(`Three servers run on 127.0.0.1, ports ${servers.map((server) => server.port).join(', ')}.`);
  tell('They know nothing of each other. A lock is held by whom two of them, the majority, granted it.');
  try {
    await story(
      servers.map((server) => server.url),
      servers,
    );
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
  tell('The servers are stopped.');
}

// Stays 1 if the process ends, or is ended, before the end of the story.
process.exitCode = 1;
const patience = setTimeout(() => {
  console.error('\nThe demo did not come to its end within a minute.');
  process.exit();
}, 60_000);
main()
  .then(() => {
    process.exitCode = 0;
    console.log('\nAll went as told.');
  })
  .catch((error) => console.error('\nIt did not go as told:', error))
  .finally(() => clearTimeout(patience));
