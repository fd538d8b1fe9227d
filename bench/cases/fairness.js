'use strict';

const { setTimeout: sleep } = require('node:timers/promises');

const { startServers } = require('../../scripts/servers');
const { Contender } = require('../contender');
const { Group } = require('../group');
const { nextName } = require('../tasks/names');
const { RETRIES } = require('./retries');
const { inRounds } = require('./rounds');

/** `c` in each of so many processes want one resource again and again, and hold it for 5 ms each time. Three servers. */

const HOLD = 5;

const figures = [
  { key: 'grantsPerSecond', title: 'grants/s', better: 'higher' },
  { key: 'leastShare', title: 'least share of a process, %', better: 'higher' },
  { key: 'again', title: 'again to the same process, %', better: 'lower' },
  { key: 'longestWait', title: 'longest wait, × the mean', better: 'lower' },
  { key: 'outOfOrder', title: 'out of order', better: 'lower' },
  { key: 'deadCost', title: 'a dead one costs, ms' },
  { key: 'stalls', title: 'times' },
  { key: 'failed', title: 'gave up' },
];

/** Who has asked so much earlier than another, in ms, has queued by the time that the other asks. */
const EARLIER = 20;
/** A dead one is waited for until its lease is over; whatever else is waited for is over sooner, in ms. */
const STALL = 1000;
/** Long enough to see a dead one's lease end, and what comes after it, in seconds. */
const SECONDS_WITH_A_DEAD_ONE = 10;

const title = ({ n, c, processes, seconds }) =>
  `${processes} processes × ${c} that contend for ${seconds} s, ${HOLD} ms each, N = ${n}`;

const plan = () => [
  { n: 3, c: 12, processes: 4, seconds: 10 },
  { n: 3, c: 1, processes: 20, seconds: 5 },
];

const WHO = ['url', 'fair', 'redlock-4-ioredis'];

const admits = ({ id }) => WHO.includes(id);

/** Once: a round is some hundred grants. */
async function compete(one, chosen, { program }) {
  const { n, processes } = one;
  const servers = await startServers(n, { program });
  const measured = new Map(chosen.map(({ id }) => [id, []]));
  try {
    await inRounds(chosen, 1, async (description) => {
      const group = new Group(processes, description, servers, RETRIES);
      try {
        await group.open();
        const told = await contend(group, one);
        const dead =
          description.id === 'fair' && one.c === 1
            ? await withADeadOne(group, one, new Contender(description, servers, RETRIES))
            : { deadCost: null, stalls: null };
        measured.get(description.id).push({ ...figuresOf(told, one), ...dead });
      } finally {
        await group.close();
      }
    });
    return measured;
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
}

function contend(group, { c, seconds }, resource = nextName()) {
  return group.run('turns', { resource, contenders: c, hold: HOLD, seconds });
}

function figuresOf(told, { c, seconds }) {
  const turns = byGrant(told.flatMap((one, process) => one.turns.map((turn) => ({ ...turn, process }))));
  const counts = told.map((one) => one.turns.length);
  // The first ones all asked at once.
  const later = told.flatMap((one) => one.turns.toSorted((a, b) => a.asked - b.asked).slice(c));
  const waits = later.map(({ asked, granted }) => granted - asked);
  return {
    grantsPerSecond: turns.length / seconds,
    leastShare: (100 * Math.min(...counts)) / turns.length,
    again:
      (100 * turns.filter(({ process }, at) => process === turns[at - 1]?.process).length) / turns.length,
    longestWait: Math.max(...waits) / (sum(waits) / waits.length),
    outOfOrder: overtaken(turns),
    failed: sum(told.map(({ failed }) => failed)),
  };
}

/** How many were granted the resource after somebody who had certainly asked for it later. */
function overtaken(turns) {
  let latest = 0;
  return turns.filter(({ asked }) => {
    latest = Math.max(latest, asked);
    return asked + EARLIER < latest;
  }).length;
}

/** One more queues and is killed while it waits. Between which grants then nothing happened, and how often. */
async function withADeadOne(group, one, dead) {
  const resource = nextName();
  const queueAndDie = async () => {
    await sleep(1000);
    const waiting = dead.run('wait', { resources: [resource] });
    await Promise.race([waiting, sleep(EARLIER)]);
    waiting.catch(() => {});
    await dead.close();
  };
  try {
    await dead.open();
    const [told] = await Promise.all([
      contend(group, { ...one, seconds: SECONDS_WITH_A_DEAD_ONE }, resource),
      queueAndDie(),
    ]);
    const grants = byGrant(told.flatMap(({ turns }) => turns));
    const gaps = grants.slice(1).map(({ granted }, at) => granted - grants[at].granted);
    return { deadCost: Math.max(...gaps), stalls: gaps.filter((gap) => gap > STALL).length };
  } finally {
    await dead.close();
  }
}

function byGrant(turns) {
  return turns.toSorted((a, b) => a.granted - b.granted);
}

function sum(numbers) {
  return numbers.reduce((all, one) => all + one, 0);
}

module.exports = { title, figures, plan, admits, compete };
