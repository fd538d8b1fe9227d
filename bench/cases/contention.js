'use strict';

const { startServers } = require('../../scripts/servers');
const { Group } = require('../group');
const { nextName } = require('../tasks/names');
const { RETRIES } = require('./retries');
const { inRounds } = require('./rounds');

/** `c` in each of so many processes want one resource and hold it for 5 ms each. Three servers. */

const HOLD = 5;

const figures = [
  { key: 'total', title: 'ms in all', better: 'lower' },
  { key: 'timesIdeal', title: '× the least', better: 'lower' },
  { key: 'commands', title: 'commands', better: 'lower' },
  { key: 'processCpu', title: 'process µs a lock', better: 'lower' },
  { key: 'failed', title: 'gave up' },
  { key: 'together', title: 'held together' },
];

const title = ({ n, c, processes = 1 }) =>
  `${processes > 1 ? `${processes} processes × ` : ''}${c} contenders of one name, ${HOLD} ms each, N = ${n}`;

const plan = () => [
  { n: 3, c: 50, processes: 1 },
  { n: 3, c: 12, processes: 4 },
];

const admits = ({ native, isAlone }) => !native && !isAlone;

async function compete({ n, c, processes }, chosen, { rounds, program }) {
  const servers = await startServers(n, { program });
  const groups = chosen.map((one) => new Group(processes, one, servers, RETRIES));
  const measured = new Map(chosen.map(({ id }) => [id, []]));
  const contend = (group, contenders) =>
    group.run('contention', { resource: nextName(), contenders, hold: HOLD });
  try {
    const ready = await inRounds(groups, 1, async (group) => {
      await group.open();
      await contend(group, 2);
    });
    await inRounds(ready, rounds, async (group) => {
      const before = await commandsOf(group.description, servers);
      const told = await contend(group, c);
      const commands = (await commandsOf(group.description, servers)) - before;
      const round = { ...figuresOf(told, c), commands };
      measured.get(group.description.id).push(round);
      // Its figures stay; more rounds of it would tell the same and take the longest of all.
      if (round.failed) throw new Error(`${round.failed} of ${processes * c} gave up`);
    });
    return measured;
  } finally {
    await Promise.all(groups.map((group) => group.close()));
    await Promise.all(servers.map((server) => server.stop()));
  }
}

/** Of all processes together. */
function figuresOf(told, c) {
  const total = Math.max(...told.map(({ ended }) => ended)) - Math.min(...told.map(({ began }) => began));
  const holds = told.flatMap((one) => one.holds).sort(([a], [b]) => a - b);
  return {
    total,
    timesIdeal: total / (told.length * c * HOLD),
    processCpu: sum(told.map(({ processCpu }) => processCpu)) / (told.length * c),
    failed: sum(told.map(({ failed }) => failed)),
    together: holds.filter(([from], at) => at > 0 && from < holds[at - 1][1]).length,
  };
}

/** How many the contender itself has sent to all servers so far. */
async function commandsOf({ commands }, servers) {
  const stats = await Promise.all(servers.map((server) => server.info('commandstats')));
  const calls = stats.flatMap((one) =>
    commands.map((name) => Number(/calls=(\d+)/.exec(one[`cmdstat_${name}`] ?? '')?.[1] ?? 0)),
  );
  return sum(calls);
}

function sum(numbers) {
  return numbers.reduce((all, one) => all + one, 0);
}

module.exports = { title, figures, plan, admits, compete };
