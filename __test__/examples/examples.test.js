'use strict';

/** Each example does what its first line says, run by its one command. */

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const path = require('node:path');
const test = require('node:test');
const { promisify } = require('node:util');

const EXAMPLES = path.join(__dirname, '..', '..', 'examples');
const RUN = path.join(EXAMPLES, 'run.js');
const TIMEOUT = 60_000;

/** What the example NAME prints; rejects, with what it printed, unless it ends by itself with code 0. */
async function printed(name) {
  const { stdout } = await promisify(execFile)(process.execPath, [RUN, name], { timeout: TIMEOUT });
  return stdout;
}

for (const name of ['express', 'fastify']) {
  test(`${name}: of two requests for one order one is served, and one is told when to come back`, async () => {
    const answers = (await printed(name)).trim().split('\n').sort();
    assert.deepEqual(answers, ['200 - {"order":"42","paid":true}', '409 1 {"error":"ERR_REDLOCK_HELD"}']);
  });
}

test('cron: four processes run the job once per tick', async () => {
  const ticks = [...(await printed('cron')).matchAll(/tick (\d+): process \d+ sends/g)].map(
    ([, tick]) => tick,
  );
  assert.deepEqual(ticks, ['1', '2', '3']);
});

test('graceful-shutdown: the next one has the lock long before its ttl ends', async () => {
  const output = await printed('graceful-shutdown');
  assert.match(output, /worker: told to stop, has ended its message/);
  const [, waited] = /next: has the lock after (\d+) ms/.exec(output);
  assert.ok(Number(waited) < 15_000, output);
});

test('long-job: the lock outlives its ttl while the job runs, and a job whose lock is lost stops', async () => {
  const output = await printed('long-job');
  const [, took] = /25 rows in (\d+) ms under a lock of 1000 ms/.exec(output);
  assert.ok(Number(took) > 1000, output);
  assert.match(output, /lost: ERR_REDLOCK_NOT_HELD/);
  assert.match(output, /the second import has stopped: AbortError/);
});

test('version-column: a writer who has read an old version is refused', async () => {
  const output = await printed('version-column');
  assert.match(output, /refused 40: version 3 is stale/);
  assert.match(output, /balance 135$/m);
});

test('bullmq: jobs of one customer never overlap', async () => {
  assert.match(await printed('bullmq'), /^6 jobs are done, at most 1 at a time for one customer$/m);
});

test('jest: code with locks is tested by jest without a server', async () => {
  const { stderr } = await promisify(execFile)(
    process.execPath,
    [path.join(EXAMPLES, 'node_modules', 'jest', 'bin', 'jest.js'), '--rootDir', path.join(EXAMPLES, 'jest')],
    { timeout: TIMEOUT, cwd: EXAMPLES },
  );
  assert.match(stderr, /2 passed/);
});
