'use strict';

const { setTimeout: sleep } = require('node:timers/promises');

const { startServers } = require('../../scripts/servers');
const { Contender } = require('../contender');
const { nextName } = require('../tasks/names');
const { inRounds } = require('./rounds');

/** How many connections one process has to each server: after a lock and its unlock, and while it waits. Three servers. */

const figures = [
  { key: 'idle', title: 'connections a server', better: 'lower' },
  { key: 'waiting', title: 'while it waits' },
];

/** For so long something is waited for before it is counted, in ms. */
const SETTLED = 500;

const title = ({ n }) => `Connections of one process, N = ${n}`;

const plan = () => [{ n: 3 }];

const admits = ({ native, isAlone }) => !native && !isAlone;

async function compete({ n }, chosen, { program }) {
  const servers = await startServers(n, { program });
  const measured = new Map(chosen.map(({ id }) => [id, []]));
  try {
    // Once: it is counted and not measured. What the one before had is gone by the time that this one is ready.
    await inRounds(chosen, 1, async (description) => {
      const contender = new Contender(description, servers, { retryCount: 1000 });
      try {
        await contender.open();
        const resources = [nextName()];
        await contender.run('wait', { resources });
        const idle = (await connectionsTo(servers)) / n;
        await all(servers, 'SET', resources[0], 'somebody');
        const [waiting] = await Promise.all([
          countAndFree(servers, resources[0]),
          contender.run('wait', { resources }),
        ]);
        measured.get(description.id).push({ idle, waiting: waiting / n });
      } finally {
        await contender.close();
      }
    });
    return measured;
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
}

async function countAndFree(servers, resource) {
  await sleep(SETTLED);
  const count = await connectionsTo(servers);
  await all(servers, 'DEL', resource);
  return count;
}

/** Those over TCP: the count itself is asked for over a unix socket. */
async function connectionsTo(servers) {
  const lists = await all(servers, 'CLIENT', 'LIST', 'TYPE', 'normal');
  return lists.flatMap((list) => list.match(/ addr=[\d.]+:/g) ?? []).length;
}

function all(servers, ...command) {
  return Promise.all(servers.map((server) => server.command(...command)));
}

module.exports = { title, figures, plan, admits, compete };
