'use strict';

/** How each fault of a plan is brought about, and ended. */

const { setTimeout: sleep } = require('node:timers/promises');

const { KINDS } = require('./plan');

/**
 * @typedef {import('./plan').Fault} Fault
 * @typedef {object} Places
 * @property {import('../scripts/servers').RedisServer[]} servers
 * @property {any[]} paths the proxies, one before each server
 * @property {import('./processes').Contender[]} processes
 */

/** Each resolves once the fault is over. @type {Record<string, (places: Places, fault: Fault) => Promise<unknown>>} */
const BRING_ABOUT = {
  async 'SIGSTOP of a server'({ servers }, { target, span }) {
    servers[target].pause();
    await sleep(span);
    servers[target].resume();
  },
  async 'kill -9 of a server'({ servers }, { target, span }) {
    await servers[target].kill();
    await sleep(span);
    await servers[target].restart();
  },
  async 'CLIENT PAUSE'({ servers }, { target, span }) {
    await servers[target].command('CLIENT', 'PAUSE', span);
    await sleep(span);
  },
  'CLIENT KILL': ({ servers }, { target }) => servers[target].command('CLIENT', 'KILL', 'TYPE', 'normal'),
  'SCRIPT FLUSH': ({ servers }, { target }) => servers[target].command('SCRIPT', 'FLUSH'),
  lag: (places, fault) => onPath(places, fault, (path) => path.late(fault.delay)),
  'dropped replies': (places, fault) => onPath(places, fault, (path) => path.dropReply()),
  'connections reset': (places, fault) => onPath(places, fault, (path) => path.reset()),
  'connections refused': (places, fault) => onPath(places, fault, (path) => path.refuse()),
  'connections hang': (places, fault) => onPath(places, fault, (path) => path.hang()),
  async 'event loop blocked'({ processes }, { target, span }) {
    processes[target].block(span);
    await sleep(span);
  },
  async 'SIGSTOP of a process'({ processes }, { target, span }) {
    processes[target].pause();
    await sleep(span);
    processes[target].resume();
  },
};

/**
 * @param {Places} places
 * @param {Fault} fault
 * @param {(path: any) => Promise<void>} become
 */
async function onPath({ paths }, { target, span }, become) {
  await become(paths[target]);
  await sleep(span);
  await paths[target].pass();
}

/**
 * Carries a plan out. Resolves when all is well again.
 *
 * @param {Fault[]} plan
 * @param {Places} places
 * @param {(kind: string) => void} tell of each when it is over
 */
async function carryOut(plan, places, tell) {
  /** The last fault at each place: a server that takes longer to come back isn't met by the next before. */
  const last = new Map();
  const all = plan.map(async (fault) => {
    await sleep(fault.at);
    const place = `${KINDS[fault.kind].whom === 'process' ? 'process' : 'server'} ${fault.target}`;
    const before = last.get(place);
    const own = (async () => {
      await before;
      await BRING_ABOUT[fault.kind](places, fault);
    })();
    last.set(place, own);
    await own;
    tell(fault.kind);
  });
  await Promise.all(all);
}

module.exports = { carryOut };
