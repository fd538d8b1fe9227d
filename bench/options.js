'use strict';

const { parseArgs } = require('node:util');

const { cases } = require('./cases');
const { contenders } = require('./contenders');

const FULL = {
  n: '1,3,5',
  c: '1,10,100,1000',
  'hung-c': '1,100',
  rounds: '5',
  'hung-rounds': '3',
  seconds: '0.6',
  'hung-seconds': '10',
  cases: Object.keys(cases).join(),
  only: contenders.map(({ id }) => id).join(),
};

/** About a minute. */
const QUICK = {
  ...FULL,
  n: '3',
  c: '1,100',
  'hung-c': '100',
  rounds: '3',
  'hung-rounds': '1',
  seconds: '0.5',
  'hung-seconds': '3',
  cases: 'cycles,hung',
  only: 'url,bridged,redlock-4-ioredis,redlock-4-redis,redlock-5-pipelining,ceiling',
};

/**
 * What is to be measured, and where it goes. Throws an error that says what can't be used.
 *
 * @param {string[]} args
 */
function parseOptions(args) {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean', default: false },
      ...Object.fromEntries(Object.keys(FULL).map((name) => [name, { type: 'string' }])),
      from: { type: 'string' },
      json: { type: 'string' },
      markdown: { type: 'string' },
      plots: { type: 'string' },
    },
  });
  const asked = { ...(values.quick ? QUICK : FULL), ...values };
  const only = known('only', asked.only, new Map(contenders.map((one) => [one.id, one])));
  return {
    n: numbers('n', asked.n),
    c: numbers('c', asked.c),
    hungC: numbers('hung-c', asked['hung-c']),
    rounds: positive('rounds', asked.rounds),
    hungRounds: positive('hung-rounds', asked['hung-rounds']),
    seconds: positive('seconds', asked.seconds),
    hungSeconds: positive('hung-seconds', asked['hung-seconds']),
    cases: known('cases', asked.cases, new Map(Object.keys(cases).map((name) => [name, name]))),
    // In the order of the table, the first of them ours, however they were asked for.
    contenders: contenders.filter((one) => only.includes(one)),
    from: values.from,
    json: values.json,
    markdown: values.markdown,
    plots: values.plots,
  };
}

function known(flag, text, all) {
  return text.split(',').map((name) => {
    if (!all.has(name)) throw new Error(`--${flag}: no "${name}"; there are ${[...all.keys()].join(', ')}`);
    return all.get(name);
  });
}

function numbers(flag, text) {
  return text.split(',').map((one) => positive(flag, one));
}

function positive(flag, text) {
  const number = Number(text);
  if (!(number > 0)) throw new Error(`--${flag}: "${text}" is not a positive number`);
  return number;
}

module.exports = { parseOptions };
