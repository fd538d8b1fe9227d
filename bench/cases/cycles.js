'use strict';

const { startServers } = require('../../scripts/servers');
const { Ceiling } = require('../ceiling');
const { Contender } = require('../contender');
const { busy, foreignCores } = require('../foreign');
const { serverCpu } = require('../server-cpu');
const { inRounds } = require('./rounds');

/** `n` servers, `c` cycles under way at once. A cycle is the lock and the unlock of a resource of its own. */

const figures = [
  { key: 'cyclesPerSecond', title: 'cycles/s', better: 'higher' },
  { key: 'p50', title: 'p50 µs', better: 'lower' },
  { key: 'p99', title: 'p99 µs', better: 'lower' },
  { key: 'jsCpu', title: 'JS thread µs', better: 'lower' },
  { key: 'processCpu', title: 'process µs', better: 'lower' },
  { key: 'serverCpu', title: 'servers µs', better: 'lower' },
  { key: 'memory', title: 'memory MB', better: 'lower', unit: 1e6 },
];

/** Once, in seconds, so that JavaScript is compiled. */
const FIRST_WARM_UP = 0.7;
/** And before each measurement, so that nothing is new to the caches and all cycles are under way. */
const WARM_UP = 0.2;

const title = ({ n, c }) => `N = ${n}, C = ${c}`;

const plan = ({ n, c }) => n.flatMap((servers) => c.map((under) => ({ n: servers, c: under })));

const admits = ({ isAlone }, { n }) => !isAlone || n === 1;

async function compete({ n, c }, chosen, { rounds, seconds, program }) {
  const servers = await startServers(n, { program });
  const running = chosen.map((one) => new (one.native ? Ceiling : Contender)(one, servers));
  const measured = new Map(chosen.map(({ id }) => [id, []]));
  try {
    const first = { c, warmUp: 0, seconds: Math.min(FIRST_WARM_UP, seconds) };
    const ready = await inRounds(running, 1, async (contender) => {
      await contender.open();
      if (!contender.description.native) await contender.run('cycles', first);
    });
    const warmUp = Math.min(WARM_UP, seconds);
    await inRounds(ready, rounds, async (contender) => {
      const [cpu, before, start] = [await serverCpu(servers), busy(), performance.now()];
      const result = await contender.run('cycles', { c, warmUp, seconds });
      const elapsed = performance.now() - start;
      const used = (await serverCpu(servers)) - cpu;
      const own = used + result.processCpu * result.cyclesInAll;
      const foreign = foreignCores({ before, own, elapsed });
      measured
        .get(contender.description.id)
        .push({ ...result, foreign, serverCpu: used / result.cyclesInAll });
    });
    return measured;
  } finally {
    await Promise.all(running.map((contender) => contender.close()));
    await Promise.all(servers.map((server) => server.stop()));
  }
}

module.exports = { title, figures, plan, admits, compete };
