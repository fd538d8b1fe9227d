'use strict';

const { startServers } = require('../../scripts/servers');
const { Contender } = require('../contender');
const { inRounds } = require('./rounds');

/** Many in one process want one resource and hold it for 5 ms each. Three servers. */

const CONTENDERS = 50;
const HOLD = 5;
/** Often enough to see what waiting costs; in ms. */
const RETRIES = { retryCount: 1000, retryDelay: 20, retryJitter: 10 };

const figures = [
  { key: 'total', title: 'ms in all', better: 'lower' },
  { key: 'timesIdeal', title: `of ${CONTENDERS * HOLD} ms`, better: 'lower' },
  { key: 'commands', title: 'commands', better: 'lower' },
  { key: 'processCpu', title: 'process µs a lock', better: 'lower' },
  { key: 'failed', title: 'gave up' },
  { key: 'together', title: 'held together' },
];

const title = ({ n, c }) => `${c} contenders of one name, ${HOLD} ms each, N = ${n}`;

const plan = () => [{ n: 3, c: CONTENDERS }];

const admits = ({ native, isAlone }) => !native && !isAlone;

async function compete({ n }, chosen, { rounds, program }) {
  const servers = await startServers(n, { program });
  const measured = new Map(chosen.map(({ id }) => [id, []]));
  try {
    await inRounds(chosen, rounds, async (description) => {
      const contender = new Contender(description, servers, RETRIES);
      try {
        await contender.open();
        await contender.run('contention', { contenders: 2, hold: 1 });
        const before = await commandsOf(description, servers);
        const result = await contender.run('contention', { contenders: CONTENDERS, hold: HOLD });
        const commands = (await commandsOf(description, servers)) - before;
        measured.get(description.id).push({ ...result, commands });
      } finally {
        await contender.close();
      }
    });
    return measured;
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
}

/** How many the contender itself has sent to all servers so far. */
async function commandsOf({ commands }, servers) {
  const stats = await Promise.all(servers.map((server) => server.info('commandstats')));
  const calls = stats.flatMap((one) =>
    commands.map((name) => Number(/calls=(\d+)/.exec(one[`cmdstat_${name}`] ?? '')?.[1] ?? 0)),
  );
  return calls.reduce((sum, one) => sum + one, 0);
}

module.exports = { title, figures, plan, admits, compete };
