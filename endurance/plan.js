'use strict';

/** Which fault happens when, and to whom: the same for the same seed. */

const { Random } = require('../scripts/random');

/**
 * @typedef {object} Fault
 * @property {number} at in ms from the start
 * @property {string} kind a key of KINDS
 * @property {number} target which server or process
 * @property {number} span how long it lasts, in ms; 0 = a moment
 * @property {number} [delay] of each reply, in ms
 */

/**
 * `whom` it happens to: a `server`, the `path` to it that some processes take, or a `process`. `isOut`: it votes
 * for nobody, or for some only, for as long as that lasts; `mayBeMost`: so may a majority at once, for a moment.
 *
 * @type {Record<string, {whom: 'server' | 'path' | 'process', isOut?: true, mayBeMost?: true, span?: [number, number]}>}
 */
const KINDS = {
  'SIGSTOP of a server': { whom: 'server', isOut: true, mayBeMost: true, span: [100, 3000] },
  // It comes back empty, so later than the longest ttl: its span is added to that.
  'kill -9 of a server': { whom: 'server', isOut: true, span: [500, 2000] },
  'CLIENT PAUSE': { whom: 'server', isOut: true, mayBeMost: true, span: [100, 2000] },
  'CLIENT KILL': { whom: 'server' },
  'SCRIPT FLUSH': { whom: 'server' },
  lag: { whom: 'path', isOut: true, span: [300, 3000] },
  'dropped replies': { whom: 'path', isOut: true, mayBeMost: true, span: [100, 1500] },
  'connections reset': { whom: 'path', isOut: true, mayBeMost: true, span: [0, 300] },
  'connections refused': { whom: 'path', isOut: true, mayBeMost: true, span: [100, 1500] },
  'connections hang': { whom: 'path', isOut: true, mayBeMost: true, span: [100, 2500] },
  // For longer than the ttl: the span is added to it.
  'event loop blocked': { whom: 'process', span: [100, 1000] },
  'SIGSTOP of a process': { whom: 'process', span: [100, 1000] },
};

/** Kinds that last for as long as the ttl and their span. */
const OUTLAST_THE_TTL = ['kill -9 of a server', 'event loop blocked', 'SIGSTOP of a process'];

/** How long it is until the next fault, in ms. */
const PAUSE = [100, 900];

/** Every how many faults, more or less, a majority is out. */
const MOST_OUT_EVERY = 25;

/** For how long a majority may be out at once, in ms. */
const MOST_OUT_FOR = 600;

/** The delay of each reply under lag, in ms. */
const LAG = [5, 700];

/**
 * @param {{seed: number, seconds: number, servers: number, processes: number, ttl: number}} terms
 * @returns {Fault[]} by time; all are over before the time is
 */
function makePlan({ seed, seconds, servers, processes, ttl }) {
  const random = new Random(seed);
  const end = seconds * 1000;
  const everyServer = [...Array(servers).keys()];
  const minority = Math.ceil(servers / 2) - 1;
  /** Until when each server and process is busy with its last fault. */
  const busy = { server: Array(servers).fill(0), process: Array(processes).fill(0) };
  /** @type {Fault[]} */
  const plan = [];

  const add = (
    /** @type {number} */ at,
    /** @type {string} */ kind,
    /** @type {number} */ target,
    most = Infinity,
  ) => {
    const { whom, span: [least, longest] = [0, 0] } = KINDS[kind];
    const extra = OUTLAST_THE_TTL.includes(kind) ? ttl : 0;
    const span = Math.min(extra + random.between(least, longest), most);
    if (at + span > end) return;
    plan.push({ at, kind, target, span, ...(kind === 'lag' && { delay: random.between(LAG[0], LAG[1]) }) });
    busy[whom === 'process' ? 'process' : 'server'][target] = at + span + SETTLED;
  };

  for (let at = random.between(PAUSE[0], PAUSE[1]); at < end; at += random.between(PAUSE[0], PAUSE[1])) {
    if (random.between(1, MOST_OUT_EVERY) === 1) {
      // Once all are back, so that it is this majority and no more.
      at = Math.max(at, ...busy.server);
      const kind = random.pick(Object.keys(KINDS).filter((name) => KINDS[name].mayBeMost));
      for (const target of random.sample(everyServer, minority + 1)) add(at, kind, target, MOST_OUT_FOR);
      at = Math.max(at, ...busy.server);
      continue;
    }
    const kind = random.pick(Object.keys(KINDS));
    // With a minority out already, it has to wait until one of these is back.
    if (KINDS[kind].isOut) at = Math.max(at, busy.server.toSorted((one, other) => other - one)[minority - 1]);
    const place = KINDS[kind].whom === 'process' ? 'process' : 'server';
    const free = [...busy[place].keys()].filter((target) => busy[place][target] <= at);
    if (free.length) add(at, kind, random.pick(free));
  }
  return plan;
}

/** How long after a fault the next may happen at the same place, in ms. */
const SETTLED = 50;

module.exports = { KINDS, makePlan, MOST_OUT_FOR };
