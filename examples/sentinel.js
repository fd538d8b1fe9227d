// Shows a lock on the master that sentinels name, whichever server that is by now.
// Run it: node examples/run.js sentinel

const Redlock = require('redlock-native');

const url = process.env.REDIS_URLS ?? 'redis+sentinel://localhost:26379/main';
const redlock = new Redlock([url]);

// The sentinels are asked each second: after a failover the new master is taken. A failover may lose a lock, as replication is
// not waited for; of three such groups in one array only one is lost with it.
redlock.on('connection', ({ state, lastError }) => {
  if (state === 'down') console.error(`the master is out of reach: ${lastError?.message}`);
});

async function main() {
  const done = await redlock.using('report:7', 5000, async () => 'the report is made');
  const [{ topology, state }] = redlock.connections;
  console.log(`${done}, by a ${topology} that is ${state}`);
  await redlock.quit();
}

main();
