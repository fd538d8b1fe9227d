'use strict';

/**
 * `npm run endurance [-- --seconds 60] [--seed 1] [--only urls,v5,…]`
 *
 * Processes of all kinds contend for the same locks on five real servers while these and the network between fail
 * in every way a plan has. Prints what there was; ends with 1 if two held one lock at a time, an update made under
 * one was lost, a key was left behind, or too little happened to say so.
 */

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { setTimeout: sleep } = require('node:timers/promises');
const { parseArgs } = require('node:util');

const { startProxy } = require('../__test__/support/proxy');
const { findRedisServer, HOW_TO_GET_ONE } = require('../scripts/redis-server');
const { startServers } = require('../scripts/servers');
const { carryOut } = require('./faults');
const { HOLDERS, missing } = require('./holders');
const { Ledger } = require('./ledger');
const { makePlan } = require('./plan');
const { Contender } = require('./processes');
const { Record, describe, judge } = require('./report');

const SERVERS = 5;
const TTL = 1000;
const RESOURCES = Array.from({ length: 8 }, (_, at) => `account:${at}`);

/** All that are there by themselves; others must be asked for. */
const USUAL = Object.keys(HOLDERS).filter((name) => name !== 'nobody');

/** For how long the longest-lived key of ours is there, in ms: one that proves where a client leads to. */
const LONGEST_KEY = 2000;

const LONGEST_RUN = 3600;

async function main() {
  const options = parse();
  const program = findRedisServer({ install: true });
  if (!program) throw new Error(HOW_TO_GET_ONE);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-native-'));
  process.once('exit', () => fs.rmSync(folder, { recursive: true, force: true }));

  const { seed, seconds, holders } = options;
  console.log(`${holders.length} processes, ${SERVERS} servers, ${seconds} s, ttl ${TTL} ms, seed ${seed}`);
  const record = new Record();
  await run({ ...options, program, folder }, record);
  const terms = { seconds, share: holders.length / USUAL.length };
  const verdict = judge(record, terms, (resource) => new Ledger(folder, resource).read());
  console.log(describe(record, verdict));
  if (verdict.failures.length) process.exitCode = 1;
}

/**
 * @param {{seed: number, seconds: number, holders: string[], program: string, folder: string}} options
 * @param {Record} record
 */
async function run({ seed, seconds, holders, program, folder }, record) {
  /** @type {(() => Promise<unknown>)[]} */
  const endings = [];
  const stage = { after: (/** @type {() => Promise<unknown>} */ end) => endings.unshift(end) };
  try {
    const servers = await startServers(SERVERS, { program });
    stage.after(() => Promise.all(servers.map((server) => server.stop())));
    const paths = await Promise.all(servers.map((server) => startProxy(stage, server)));
    const processes = holders.map((holder, index) => {
      const places = servers.map((server, at) => {
        // To each server half of the processes go by the path that fails.
        const { host, port } = (index + at) % 2 ? server : paths[at];
        return { host, port };
      });
      const task = { name: `${holder}#${index}`, holder, places, resources: RESOURCES, folder, ttl: TTL };
      return new Contender({ ...task, seed: seed + index }, record);
    });
    await Promise.all(processes.map((process) => process.ready()));

    const plan = makePlan({ seed, seconds, servers: SERVERS, processes: holders.length, ttl: TTL });
    const progress = setInterval(() => {
      process.stderr.write(`${record.acquisitions} acquisitions, ${record.faultCount} faults so far\n`);
    }, 10_000);
    await Promise.all([
      carryOut(plan, { servers, paths, processes }, (kind) => record.fault(kind)),
      sleep(seconds * 1000),
    ]).finally(() => clearInterval(progress));

    const ends = await Promise.all(processes.map((process) => process.stop()));
    record.troubles.push(...ends.filter((trouble) => trouble !== undefined));
    await sleep(Math.max(TTL, LONGEST_KEY) + 500);
    record.left = (await Promise.all(servers.map((server) => server.keys()))).flat();
  } finally {
    for (const end of endings) await end();
  }
}

function parse() {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '60' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      only: { type: 'string', default: USUAL.join() },
    },
  });
  const seconds = Number(values.seconds);
  if (!(seconds >= 1 && seconds <= LONGEST_RUN)) {
    throw new Error(`--seconds: "${values.seconds}" is not a number from 1 to ${LONGEST_RUN}`);
  }
  const seed = Number(values.seed);
  if (!Number.isSafeInteger(seed)) throw new Error(`--seed: "${values.seed}" is not a whole number`);
  const asked = values.only.split(',');
  for (const name of asked) {
    if (Object.hasOwn(HOLDERS, name)) continue;
    const known = Object.keys(HOLDERS).join(', ');
    throw new Error(`--only: there is no "${name}"; there are ${known}`);
  }
  const holders = asked.filter((name) => {
    const reason = missing(name);
    if (reason) console.log(`${name} is left out: ${reason}`);
    return !reason;
  });
  return { seconds, seed, holders };
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
