'use strict';

const { until } = require('./until');

/** How many SETs a server was sent so far, refused ones too: one for each attempt at one resource, and a few for proofs. */
async function setsOn(server) {
  const stats = await server.command('INFO', 'commandstats');
  return Number(/^cmdstat_set:calls=(\d+)/m.exec(stats)?.[1] ?? 0);
}

/**
 * Waits until `server` was sent that many SETs more than when it was called: so a test waits for attempts, however long a
 * machine takes for them.
 */
async function untilSets(server, count) {
  const before = await setsOn(server);
  await until(async () => (await setsOn(server)) >= before + count, { what: `${count} SETs more` });
}

module.exports = { setsOn, untilSets };
