'use strict';

const { startServers } = require('../../scripts/servers');
const { Contender } = require('../contender');

/** Many locks held at once by one process, on three servers. Once: bytes are not scattered as times are. */

const LOCKS = 100_000;

const figures = [
  { key: 'locks', title: 'locks' },
  { key: 'heapPerLock', title: 'heap bytes a lock', better: 'lower' },
  { key: 'residentPerLock', title: 'resident bytes a lock', better: 'lower' },
];

const title = ({ n }) => `${LOCKS.toLocaleString('en')} locks held, N = ${n}`;

const plan = () => [{ n: 3 }];

const admits = ({ native, isAlone }) => !native && !isAlone;

async function compete({ n }, chosen, { program }) {
  const servers = await startServers(n, { program });
  const measured = new Map();
  try {
    for (const description of chosen) {
      const contender = new Contender(description, servers);
      try {
        await contender.open();
        measured.set(description.id, [await contender.run('held', { locks: LOCKS })]);
      } finally {
        await contender.close();
        await Promise.all(servers.map((server) => server.command('FLUSHALL')));
      }
    }
    return measured;
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
}

module.exports = { title, figures, plan, admits, compete };
