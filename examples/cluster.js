// Shows locks in a cluster, where resources that are locked together need one slot: the same {tag} in their names.
// Run it: node examples/run.js cluster

const Redlock = require('redlock-native');

const cluster = (process.env.REDIS_URLS ?? 'redis://localhost:7000').split(',');
// One member of the quorum, however many nodes it has. An ioredis or node-redis cluster client may stand here as well.
const redlock = new Redlock([{ cluster }]);

async function main() {
  const lock = await redlock.lock(['{order:7}:items', '{order:7}:payment'], 5000);
  console.log(`locked ${lock.resource.join(' and ')}`);
  await lock.unlock();

  const error = await redlock.lock(['order:7', 'order:8'], 5000).catch((reason) => reason);
  const [{ error: cause }] = error.votes;
  console.log(`refused: ${cause.code}`);
  await redlock.quit();
}

main();
