'use strict';

/** Several processes, one lock, one counter in a file: nothing is lost. */

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');

const { runScript } = require('../support/script');
const { startServers } = require('../support/servers');
const { until } = require('../support/until');

const PROCESSES = 4;
const INCREMENTS = 25;

test('processes that count under a lock lose nothing, while a server dies', async (t) => {
  const servers = await startServers(t, 3);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-native-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  const file = path.join(folder, 'counter');
  fs.writeFileSync(file, '0');

  const counting = Array.from({ length: PROCESSES }, () =>
    runScript(
      `
      const fs = require('node:fs');
      const Redlock = require('redlock-native');
      const { setTimeout: sleep } = require('node:timers/promises');
      const redlock = new Redlock(JSON.parse(process.env.URLS), { retryCount: -1, retryDelay: 5, retryJitter: 5 });
      (async () => {
        for (let i = 0; i < ${INCREMENTS}; i++) {
          const lock = await redlock.lock('counter', 10_000);
          const seen = Number(fs.readFileSync(process.env.COUNTER, 'utf8'));
          await sleep(2);
          fs.writeFileSync(process.env.COUNTER, String(seen + 1));
          // One that only the server that dies and one other had is released as far as it can be: its unlock
          // says so, and the next holder waits for nothing more than its ttl on a dead server.
          await lock.unlock().catch((error) => {
            if (error.code !== 'ERR_REDLOCK_UNAVAILABLE') throw error;
          });
        }
      })();
    `,
      { timeout: 60_000, env: { URLS: JSON.stringify(servers.map(({ url }) => url)), COUNTER: file } },
    ),
  );
  await until(() => Number(fs.readFileSync(file, 'utf8')) >= 20, {
    timeout: 30_000,
    what: 'they are counting',
  });
  await servers[1].kill();
  for (const { code, stderr } of await Promise.all(counting)) {
    assert.equal(stderr, '');
    assert.equal(code, 0);
  }
  assert.equal(fs.readFileSync(file, 'utf8'), String(PROCESSES * INCREMENTS));
});
