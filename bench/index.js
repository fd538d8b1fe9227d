'use strict';

/**
 * `npm run bench -- [--n 1,3,5] [--c 1,100] [--rounds 3] [--seconds 2] [--only name,…] [--json]`
 *
 * All contenders against the same real servers, in turn, round by round, so that whatever else the
 * machine does meets them all alike. Reports each one's medians and the ratios between them.
 */

const os = require('node:os');
const { parseArgs } = require('node:util');

const { findRedisServer, HOW_TO_GET_ONE } = require('../scripts/redis-server');
const { startServers } = require('../scripts/servers');
const { combine, DEFAULTS } = require('./cases');
const { Contender } = require('./contender');
const { contenders } = require('./contenders');
const { compare, summarise, table } = require('./report');

const WARM_UP = 1;

async function main() {
  const options = parse();
  const program = findRedisServer({ install: true });
  if (!program) throw new Error(HOW_TO_GET_ONE);

  const outcomes = [];
  note(
    `${os.cpus()[0].model} × ${os.availableParallelism()}, Node ${process.version}, ${process.platform} ${process.arch}`,
  );
  note(
    `${options.rounds} rounds of ${options.seconds} s each, medians; µs of CPU time are per cycle (lock + unlock)`,
  );
  if (process.platform !== 'linux')
    note("the JavaScript thread's CPU time can't be told from the process's on this system");
  for (const one of combine(options.n, options.c)) {
    const outcome = await compete(one, { ...options, program });
    outcomes.push(outcome);
    if (!options.json) console.log(`\n${table(outcome)}`);
  }
  if (options.json) console.log(JSON.stringify(outcomes, null, 2));
}

/** One case, all contenders, on servers of its own. */
async function compete(one, { contenders: chosen, rounds, seconds, program }) {
  const servers = await startServers(one.n, { program });
  const running = chosen.map((description) => new Contender(description, servers));
  try {
    await Promise.all(running.map((contender) => contender.open()));
    for (const contender of running) await contender.run({ c: one.c, seconds: WARM_UP });
    const measured = new Map(running.map(({ name }) => [name, []]));
    for (let round = 0; round < rounds; round += 1) {
      // Not always the same one first.
      for (const contender of rotate(running, round)) {
        measured.get(contender.name).push(await contender.run({ c: one.c, seconds }));
      }
    }
    const results = [...measured].map(([name, all]) => ({ name, median: summarise(all), rounds: all }));
    return { case: one, results, ratios: ratiosOf(results) };
  } finally {
    await Promise.all(running.map((contender) => contender.close()));
    await Promise.all(servers.map((server) => server.stop()));
  }
}

/** Ours against each of the others; nothing if ours didn't run. */
function ratiosOf(results) {
  const ours = results.find(({ name }) => name === contenders[0].name);
  if (!ours) return [];
  return results
    .filter((other) => other !== ours)
    .map((other) => ({ name: other.name, times: compare(ours.median, other.median) }));
}

function rotate(list, by) {
  const at = by % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}

function parse() {
  const { values } = parseArgs({
    options: {
      n: { type: 'string', default: DEFAULTS.n.join() },
      c: { type: 'string', default: DEFAULTS.c.join() },
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '2' },
      only: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const only = values.only?.split(',') ?? contenders.map(({ name }) => name);
  for (const name of only) {
    if (!contenders.some((one) => one.name === name)) {
      throw new Error(
        `--only: no contender "${name}"; there are ${contenders.map((one) => `"${one.name}"`).join(', ')}`,
      );
    }
  }
  return {
    n: values.n.split(',').map((text) => positive('--n', text)),
    c: values.c.split(',').map((text) => positive('--c', text)),
    rounds: positive('--rounds', values.rounds),
    seconds: positive('--seconds', values.seconds),
    contenders: contenders.filter(({ name }) => only.includes(name)),
    json: values.json,
  };
}

function positive(flag, text) {
  const number = Number(text);
  if (!(number > 0)) throw new Error(`${flag}: "${text}" is not a positive number`);
  return number;
}

/** To stderr: with --json, stdout is for the figures alone. */
function note(line) {
  process.stderr.write(`${line}\n`);
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
