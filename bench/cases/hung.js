'use strict';

const { startServers } = require('../../scripts/servers');
const { Contender } = require('../contender');
const { inRounds } = require('./rounds');

/**
 * Five servers, `c` cycles under way; then the same with one of them stopped (SIGSTOP): the kernel takes bytes for it,
 * nothing answers. A process for each measurement, since some never get over it.
 */

const figures = [
  { key: 'up', title: 'cycles/s, all up', better: 'higher' },
  { key: 'hung', title: 'one hung', better: 'higher' },
  { key: 'kept', title: 'kept', better: 'higher' },
  { key: 'failed', title: 'failed' },
  { key: 'growth', title: 'at first, MB more', unit: 1e6 },
  { key: 'growthAfter', title: 'after 5 s, MB more', unit: 1e6 },
];

const SERVERS = 5;
/** At most so many seconds, so that JavaScript is compiled when it is measured. */
const WARM_UP = 2;

const title = ({ n, c }) => `One of ${n} hung, C = ${c}`;

const plan = ({ hungC }) => hungC.map((c) => ({ n: SERVERS, c }));

const admits = ({ native, isAlone }) => !native && !isAlone;

async function compete({ n, c }, chosen, { hungRounds, seconds, hungSeconds, program }) {
  const servers = await startServers(n, { program });
  const hung = servers.at(-1);
  const measured = new Map(chosen.map(({ id }) => [id, []]));
  try {
    await inRounds(chosen, hungRounds, async (description) => {
      const contender = new Contender(description, servers);
      try {
        await contender.open();
        const up = await contender.run('cycles', { c, warmUp: Math.min(WARM_UP, 3 * seconds), seconds });
        hung.pause();
        const { failed, cyclesPerSecond, growth, growthAfter } = await contender.run('load', {
          c,
          seconds: hungSeconds,
        });
        measured.get(description.id).push({
          up: up.cyclesPerSecond,
          hung: cyclesPerSecond,
          kept: cyclesPerSecond / up.cyclesPerSecond,
          failed,
          growth,
          growthAfter,
        });
      } finally {
        hung.resume();
        await contender.close();
        await hung.command('PING');
        await Promise.all(servers.map((server) => server.command('FLUSHALL')));
      }
    });
    return measured;
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
}

module.exports = { title, figures, plan, admits, compete };
