'use strict';

/**
 * A fleet is never updated all at once: processes with the real redlock 2, 3, 4 and 5 and with ours contend
 * for the same resources on the same servers, and no two hold one at once.
 */

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const { test } = require('node:test');

const { startServers } = require('../support/servers');

const CONTENDER = path.join(__dirname, '..', 'support', 'contender.js');
const KINDS = ['redlock-2', 'redlock-3', 'redlock-4', 'redlock-5', 'main', 'v4'];
const ACQUISITIONS = 10_000;
const TIMEOUT = 110_000;

test(`in ${ACQUISITIONS} acquisitions by redlock 2, 3, 4, 5 and ours, no two hold at once`, async (t) => {
  const servers = await startServers(t, 3);
  const held = await contend(t, { kinds: KINDS, servers, resources: 16, number: ACQUISITIONS });
  assert.equal(held.length, Math.ceil(ACQUISITIONS / KINDS.length) * KINDS.length);
  assert.ok(handovers(held) > held.length / 4, 'they hardly met');
  assert.deepEqual(overlaps(held), []);
});

test('it would be noticed if two held at once', async (t) => {
  const held = await contend(t, { kinds: ['nobody', 'nobody'], servers: [], resources: 1, number: 100 });
  assert.equal(held.length, 100);
  assert.ok(overlaps(held).length > 0);
});

test('an overlap of one nanosecond is one, and holding right after another is none', () => {
  const one = { kind: 'a', resource: 'r', from: 10n, to: 20n };
  const next = { kind: 'b', resource: 'r', from: 20n, to: 30n };
  assert.deepEqual(overlaps([next, one]), []);
  assert.deepEqual(
    overlaps([
      { ...next, resource: 's' },
      { ...one, to: 25n },
    ]),
    [],
  );
  assert.deepEqual(overlaps([next, { ...one, to: 21n }]), [[{ ...one, to: 21n }, next]]);
  // One that encloses several overlaps each.
  const late = { kind: 'c', resource: 'r', from: 40n, to: 41n };
  assert.equal(overlaps([{ ...one, to: 50n }, next, late]).length, 2);
});

/**
 * @typedef {{kind: string, resource: string, from: bigint, to: bigint}} Held
 */

/**
 * Lets one process of each kind acquire its share.
 *
 * @returns {Promise<Held[]>}
 */
async function contend(t, { kinds, servers, resources, number }) {
  const env = {
    ...process.env,
    URLS: JSON.stringify(servers.map(({ url }) => url)),
    RESOURCES: JSON.stringify(Array.from({ length: resources }, (_, index) => `resource-${index}`)),
  };
  const share = String(Math.ceil(number / kinds.length));
  const contenders = kinds.map((kind) => {
    const child = spawn(process.execPath, [CONTENDER, kind, share], {
      env,
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: TIMEOUT,
    });
    t.after(() => child.kill('SIGKILL'));
    return { kind, child, ended: outputOf(kind, child) };
  });
  await Promise.all(contenders.map(({ child, ended }) => Promise.race([once(child.stdout, 'data'), ended])));
  for (const { child } of contenders) child.stdin.end();
  return (await Promise.all(contenders.map(({ ended }) => ended))).flat();
}

/** @returns {Promise<Held[]>} */
async function outputOf(kind, child) {
  const said = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr']) {
    child[stream].setEncoding('utf8').on('data', (text) => {
      said[stream] += text;
    });
  }
  const [code] = await once(child, 'close');
  assert.equal(code, 0, `${kind}: ${said.stderr}`);
  const [, ...lines] = said.stdout.trim().split('\n');
  return lines.map((line) => {
    const [resource, from, to] = line.split(' ');
    return { kind, resource, from: BigInt(from), to: BigInt(to) };
  });
}

/**
 * The pairs that held the same resource at once.
 *
 * @param {Held[]} held
 */
function overlaps(held) {
  const pairs = [];
  for (const turns of byResource(held)) {
    let last;
    for (const turn of turns) {
      if (last && turn.from < last.to) pairs.push([last, turn]);
      if (!last || turn.to > last.to) last = turn;
    }
  }
  return pairs;
}

/** How often a resource went from one kind to another. */
function handovers(held) {
  const turns = byResource(held);
  return turns.flatMap((row) => row.filter((turn, at) => at > 0 && row[at - 1].kind !== turn.kind)).length;
}

/**
 * Each resource's turns, in the order of their beginning.
 *
 * @param {Held[]} held
 */
function byResource(held) {
  const rows = new Map();
  for (const turn of held) {
    if (!rows.has(turn.resource)) rows.set(turn.resource, []);
    rows.get(turn.resource).push(turn);
  }
  const order = (a, b) => (a.from < b.from ? -1 : 1);
  return [...rows.values()].map((row) => row.sort(order));
}
