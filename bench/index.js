'use strict';

/**
 * `npm run bench -- [--quick] [--n 1,3,5] [--c 1,100] [--rounds 5] [--seconds 0.6] [--cases cycles,…] [--only url,…]
 * [--hung-c 1,100] [--hung-rounds 3] [--hung-seconds 10] [--json FILE] [--markdown FILE] [--plots FOLDER] [--from FILE]`
 *
 * All contenders against the same real servers, in turn, round by round. Prints each one's medians and the ratios
 * between them, where a peer is ahead, and how far the goals are met. `--from` shows a run that was kept with `--json`.
 */

const fs = require('node:fs');
const path = require('node:path');

const { findRedisServer, HOW_TO_GET_ONE } = require('../scripts/redis-server');
const { cases } = require('./cases');
const { buildCeiling } = require('./ceiling');
const { describeForeign } = require('./foreign');
const { judgeGoals } = require('./goals');
const { describeMachine } = require('./machine');
const { requireMarks, writeMarkdown } = require('./markdown');
const { outcomeOf } = require('./outcome');
const { parseOptions } = require('./options');
const { installPeers } = require('./peers');
const { writePlots } = require('./plots');
const { goalLines, machineLines, table } = require('./report');
const { findWins } = require('./wins');

async function main() {
  const options = parseOptions(process.argv.slice(2));
  // Before half an hour has gone by.
  if (options.markdown) requireMarks(options.markdown);
  const run = options.from ? JSON.parse(fs.readFileSync(options.from, 'utf8')) : await measure(options);
  if (options.from) for (const outcome of run.outcomes) console.log(`\n${table(outcome)}`);
  // Said anew of a run that was kept too: what is ahead and what is a goal may have been told otherwise then.
  run.wins = findWins(run.outcomes);
  run.goals = judgeGoals(run.outcomes);
  if (options.json) writeJson(options.json, run);
  console.log(`\n${run.wins.join('\n')}\n\n${goalLines(run.goals)}`);
  if (options.markdown) writeMarkdown(options.markdown, run);
  if (options.plots) writePlots(options.plots, run);
}

async function measure(options) {
  const program = findRedisServer({ install: true });
  if (!program) throw new Error(HOW_TO_GET_ONE);
  const ceiling = options.contenders.some((one) => one.native) ? buildCeiling() : null;
  if (ceiling) note(ceiling);
  const chosen = ceiling ? options.contenders.filter((one) => !one.native) : options.contenders;
  if (chosen.some((one) => one.isInstalled)) await installPeers();

  const { n, c, rounds, seconds, hungRounds, hungSeconds } = options;
  const run = {
    machine: describeMachine(program),
    options: { n, c, rounds, seconds, hungRounds, hungSeconds },
    notes: ceiling ? [ceiling] : [],
    outcomes: [],
  };
  for (const line of machineLines(run)) note(line);
  for (const kind of options.cases) {
    for (const one of cases[kind].plan(options)) {
      const taking = chosen.filter((description) => takesPart(description, kind, one));
      try {
        const measured = await cases[kind].compete(one, taking, { ...options, program });
        const outcome = outcomeOf(kind, one, taking, measured);
        run.outcomes.push(outcome);
        console.log(`\n${table(outcome)}`);
      } catch (error) {
        // One case less is no reason to lose the others.
        run.notes.push(`${cases[kind].title(one)} could not be measured: ${error.message}`);
        note(run.notes.at(-1));
      }
    }
  }
  const foreign = describeForeign(run.outcomes);
  if (foreign) {
    run.notes.push(foreign);
    note(`\n${foreign}`);
  }
  return run;
}

function takesPart(description, kind, one) {
  return (description.only ?? kind) === kind && cases[kind].admits(description, one);
}

function writeJson(file, run) {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, `${JSON.stringify(run, null, 2)}\n`);
}

/** To stderr, so that stdout has the figures alone. */
function note(line) {
  process.stderr.write(`${line}\n`);
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
