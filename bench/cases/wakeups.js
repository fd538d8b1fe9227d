'use strict';

const { setTimeout: sleep } = require('node:timers/promises');

const { startServers } = require('../../scripts/servers');
const { now } = require('../clock');
const { Contender } = require('../contender');
const { contenders } = require('../contenders');
const { Group } = require('../group');
const { Proxies } = require('../proxies');
const { median } = require('../statistics');
const { nextName } = require('../tasks/names');
const { inRounds } = require('./rounds');

/**
 * Somebody waits for locks, which redlock 4 holds and releases; or keeps locks, whose keys are deleted. How long it takes
 * until that is noticed. Three servers.
 */

const figures = [
  { key: 'median', title: 'ms, median', better: 'lower' },
  { key: 'most', title: 'ms, at most', better: 'lower', isMost: true },
  { key: 'commands', title: 'commands a waiter', better: 'lower' },
  { key: 'failed', title: 'never' },
];

/**
 * `processes` wait for `locks` locks each, all for the same ones, and the first one that has it counts. `hold` ms go by
 * before the first is released, and `apart` between each and the next, so that they meet a poll at any of its points.
 *
 * @typedef {object} Scene
 * @property {string} title
 * @property {string[]} who
 * @property {number} [processes]
 * @property {number} locks
 * @property {number} hold
 * @property {number} apart
 * @property {number} mostRounds
 * @property {import('../proxies').Fault} [fault] between them and the servers; what they send is counted then
 * @property {boolean} [isKept] they keep the locks and don't wait for them
 */

const MANY = { locks: 50, hold: 1000, apart: 40, mostRounds: 2 };

/** @type {Record<string, Scene>} */
const SCENES = {
  lag: {
    title: '20 processes behind 20 ms of lag wait for a lock that is released after 5 s',
    who: ['url', 'redlock-4-ioredis'],
    ...{ processes: 20, locks: 1, hold: 5000, apart: 0, mostRounds: 3 },
    fault: { lag: 10 },
  },
  released: {
    title: 'released by redlock 4, one waits',
    who: ['url', 'promoted', 'redlock-4-ioredis'],
    ...MANY,
  },
  dropped: {
    title: 'the same, all messages dropped, the connections alive',
    who: ['url', 'redlock-4-ioredis'],
    ...MANY,
    fault: { drop: true },
  },
  cut: {
    title: 'the same, the connections for messages cut, each time',
    who: ['url', 'unwoken', 'redlock-4-ioredis'],
    ...MANY,
    fault: { cut: true },
  },
  deleted: {
    title: 'keys of kept locks (ttl 30 s) deleted on two servers',
    who: ['url', 'promoted'],
    ...MANY,
    isKept: true,
  },
};

const SETTING_UP = ['HELLO', 'CLIENT', 'INFO'];

const KEPT_TTL = 30_000;

/** Everything else is each one's default. */
const RETRIES = { retryCount: 1000 };

const HOLDER = contenders.find(({ id }) => id === 'redlock-4-ioredis');

const title = ({ n, scene }) => `Noticed after: ${SCENES[scene].title}, N = ${n}`;

const plan = () => Object.keys(SCENES).map((scene) => ({ n: 3, scene }));

const admits = ({ id }, { scene }) => SCENES[scene].who.includes(id);

async function compete({ n, scene: id }, chosen, { rounds, program }) {
  const scene = SCENES[id];
  const servers = await startServers(n, { program });
  const holder = new Contender(HOLDER, servers);
  const waiters = chosen.map((description) => new Waiters(scene, description, servers));
  const measured = new Map(chosen.map((description) => [description.id, []]));
  try {
    await holder.open();
    const ready = await inRounds(waiters, 1, (one) => one.open());
    await inRounds(ready, Math.min(rounds, scene.mostRounds), async (one) => {
      const resources = Array.from({ length: scene.locks }, nextName);
      const round = scene.isKept ? one.keep(servers, resources) : one.wait(holder, resources);
      measured.get(one.description.id).push(await round);
    });
    return measured;
  } finally {
    await Promise.all([holder, ...waiters].map((one) => one.close()));
    await Promise.all(servers.map((server) => server.stop()));
  }
}

/** The processes of one contender, and what stands between them and the servers. */
class Waiters {
  #scene;
  #servers;
  #group;
  #proxies;

  /**
   * @param {Scene} scene
   * @param {import('../contenders').Description} description
   * @param {import('../../scripts/servers').RedisServer[]} servers
   */
  constructor(scene, description, servers) {
    this.#scene = scene;
    this.#servers = servers;
    this.description = description;
    this.name = description.name;
    this.#proxies = scene.fault && new Proxies(scene.fault, servers);
  }

  async open() {
    const servers = this.#proxies ? await this.#proxies.open() : this.#servers;
    this.#group = new Group(this.#scene.processes ?? 1, this.description, servers, RETRIES);
    await this.#group.open();
  }

  /** @param {Contender} holder @param {string[]} resources */
  async wait(holder, resources) {
    const { hold, apart, locks, processes = 1 } = this.#scene;
    await holder.run('take', { resources });
    const before = await this.#proxies?.commands();
    const releaseLater = async () => {
      await sleep(hold);
      const after = await this.#proxies?.commands();
      const sent = after ? difference(after, before) : null;
      return { sent, released: await holder.run('release', { resources, apart }) };
    };
    const [{ sent, released }, granted] = await Promise.all([
      releaseLater(),
      this.#group.run('wait', { resources }),
    ]);
    return { ...delays(released, granted), sent, commands: sent && total(sent) / (processes * locks) };
  }

  /** @param {import('../../scripts/servers').RedisServer[]} servers @param {string[]} resources */
  async keep(servers, resources) {
    const { hold, apart } = this.#scene;
    await this.#group.run('keep', { resources, ttl: KEPT_TTL });
    const deleteLater = async () => {
      await sleep(hold);
      const deleted = [];
      for (const resource of resources) {
        await sleep(apart);
        deleted.push(now());
        await Promise.all(majority(servers).map((server) => server.command('DEL', resource)));
      }
      return deleted;
    };
    const [deleted, told] = await Promise.all([deleteLater(), this.#group.run('lost', { resources })]);
    return { ...delays(deleted, told), commands: null };
  }

  async close() {
    await this.#group?.close();
    await this.#proxies?.close();
  }
}

/** From each event to when the first of all processes noticed it; without those that nobody ever did. */
function delays(events, noticed) {
  const all = events.map((event, at) => {
    const when = noticed.map((one) => one[at]).filter((time) => time !== null);
    return when.length ? Math.min(...when) - event : null;
  });
  const known = all.filter((one) => one !== null);
  return {
    median: median(known),
    most: known.length ? Math.max(...known) : null,
    failed: noticed.flat().filter((time) => time === null).length,
  };
}

/** By command; without those that set a connection up, which are no part of what waiting costs. */
function difference(after, before) {
  const more = (name) => (after[name] ?? 0) - (before[name] ?? 0);
  const names = Object.keys(after).filter((name) => !SETTING_UP.includes(name));
  const counts = Object.fromEntries(names.map((name) => [name, more(name)]));
  // Ours greets a server with one before its HELLO.
  if (counts.PING) counts.PING = Math.max(0, counts.PING - more('HELLO'));
  return counts;
}

function total(counts) {
  return Object.values(counts).reduce((sum, one) => sum + one, 0);
}

function majority(servers) {
  return servers.slice(0, Math.floor(servers.length / 2) + 1);
}

module.exports = { title, figures, plan, admits, compete };
