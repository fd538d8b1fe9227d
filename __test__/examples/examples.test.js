'use strict';

/** Each example does what its first line says, run by its one command. */

const assert = require('node:assert/strict');
const { execFile, spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { createInterface } = require('node:readline');
const test = require('node:test');
const { promisify } = require('node:util');

const { blocksOf } = require('../support/documents');
const { startServers } = require('../support/servers');

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
  const [, took] = /30 rows in (\d+) ms under a lock of 2000 ms/.exec(output);
  assert.ok(Number(took) > 2000, output);
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

test('typescript: is checked, and of two who want one thing one has it', async () => {
  const tsc = require.resolve('typescript/bin/tsc');
  await promisify(execFile)(process.execPath, [tsc, '--project', EXAMPLES], { timeout: TIMEOUT });
  const lines = (await printed('typescript')).trim().split('\n');
  assert.deepEqual(lines, ['renewed true', 'somebody else is renewing it', 'free again: true']);
});

test('nestjs: of two payments of one order one is made, and one is a conflict', async () => {
  const lines = (await printed('nestjs')).trim().split('\n').sort();
  assert.deepEqual(lines, ['409: 42 is being paid', '42 is paid']);
});

test('sentinel: the lock is on the master that the sentinels name', async () => {
  assert.match(await printed('sentinel'), /^the report is made, by a sentinel that is ready$/m);
});

test('cluster: names with one tag are locked together, others are refused', async () => {
  const lines = (await printed('cluster')).trim().split('\n');
  assert.deepEqual(lines, [
    'locked {order:7}:items and {order:7}:payment',
    'refused: ERR_REDLOCK_CROSS_SLOT',
  ]);
});

test('lambda: the bundled handler serves one of two invocations, and is free when it is invoked again', async () => {
  const [first, second, again] = (await printed('lambda')).trim().split('\n');
  assert.deepEqual([first, second].sort(), ['200 paid', '409 ERR_REDLOCK_HELD']);
  assert.equal(again, '200 when it is invoked again');
});

test('prometheus: what the engine has counted is scraped, for as long as nobody ends it', async (t) => {
  const servers = await startServers(t, 3);
  const env = { ...process.env, REDIS_URLS: servers.map(({ url }) => url).join(','), PORT: '0' };
  const child = spawn(process.execPath, [path.join(EXAMPLES, 'prometheus.js')], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  const url = await addressIn(child.stdout);
  for (let scrape = 0; scrape < 2; scrape++) {
    const answer = await fetch(url);
    assert.equal(answer.headers.get('content-type'), 'text/plain; version=0.0.4');
    expectMetrics(await answer.text());
  }
  child.kill('SIGTERM');
  const [code] = await once(child, 'exit');
  assert.equal(code, 0);
});

/** @param {import('node:stream').Readable} stdout */
async function addressIn(stdout) {
  for await (const line of createInterface({ input: stdout })) if (line.startsWith('http')) return line;
  throw new Error('it has ended without saying where it listens');
}

/** @param {string} text what Prometheus is given */
function expectMetrics(text) {
  assert.match(text, /^redlock_acquire_duration_seconds_count\{outcome="granted"\} 1$/m);
  assert.match(text, /^redlock_acquire_duration_seconds_bucket\{outcome="granted",le="\+Inf"\} 1$/m);
  assert.match(text, /^redlock_hold_duration_seconds_count\{outcome="released"\} 1$/m);
  assert.match(text, /^redlock_endangered_total\{\} 0$/m);
  assert.match(text, /^redlock_lost_total\{error_type="ERR_REDLOCK_NOT_HELD"\} 0$/m);
  assert.equal([...text.matchAll(/^redlock_instance_up\{address="[^"]+"\} 1$/gm)].length, 3, text);
  assert.ok(
    [...text.matchAll(/^redlock_instance_votes_total\{address="[^"]+",vote="granted"\} \d+$/gm)].length === 3,
    text,
  );
  // Each sample follows the line that says what its metric is, and none is there twice.
  const seen = new Set();
  let declared;
  for (const line of text.trimEnd().split('\n')) {
    const type = /^# TYPE ([a-z_]+) (counter|gauge|histogram)$/.exec(line);
    if (type) declared = type;
    else {
      const [, labelled, name] = /^(([a-z_]+)\{.*\}) [\d.e+-]+$/.exec(line) ?? assert.fail(line);
      const [, metric, kind] = declared;
      assert.equal(kind === 'histogram' ? name.replace(/_(bucket|sum|count)$/, '') : name, metric);
      assert.equal(kind === 'counter', name.endsWith('_total'));
      assert.ok(!seen.has(labelled), line);
      seen.add(labelled);
    }
  }
}

test("prometheus: docs/observability.md has the example's own code", () => {
  const [shown] = blocksOf('docs/observability.md').filter(({ code }) => code.includes('# TYPE'));
  const example = fs.readFileSync(path.join(EXAMPLES, 'prometheus.js'), 'utf8');
  const core = (text) =>
    text.slice(text.indexOf('async function metrics(')).split('async function main(')[0].trim();
  assert.ok(core(example).length > 1000);
  assert.equal(core(shown.code), core(example));
});

test('jest: code with locks is tested by jest without a server', async () => {
  const { stderr } = await promisify(execFile)(process.execPath, [RUN, 'jest'], { timeout: TIMEOUT });
  assert.match(stderr, /2 passed/);
});

test('every example is in the list, and nothing else', async () => {
  const { stderr } = await promisify(execFile)(process.execPath, [RUN]).catch((error) => error);
  const names = /one of: (.*)/.exec(stderr)[1].split(', ');
  const list = fs.readFileSync(path.join(EXAMPLES, 'README.md'), 'utf8');
  const listed = [...list.matchAll(/^\| \[([\w-]+)\]/gm)].map(([, name]) => name);
  assert.deepEqual(listed.sort(), names.sort());
});
