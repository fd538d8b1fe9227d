'use strict';

// The tests' own servers: what everything else here relies on.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { once } = require('node:events');
const { test } = require('node:test');

const { startServers } = require('../support/servers');
const { until } = require('../support/until');

/** The module, as JavaScript text. */
const SERVERS = JSON.stringify(path.join(__dirname, '..', '..', 'scripts', 'servers'));

test('servers start on ports of their own and know nothing of each other', async (t) => {
  const servers = await startServers(t, 3);
  assert.equal(new Set(servers.map((server) => server.port)).size, 3);
  await servers[0].command('SET', 'k', 'v', 'PX', 5000);
  assert.deepEqual(await Promise.all(servers.map((server) => server.keys())), [['k'], [], []]);
});

test('a killed server comes back empty on the same port', async (t) => {
  const [server] = await startServers(t, 1);
  const { port, pid } = server;
  await server.command('SET', 'k', 'v');
  await server.kill();
  assert.equal(server.pid, undefined);
  await assert.rejects(server.command('PING'), /ECONNREFUSED/);
  await server.restart();
  assert.equal(server.port, port);
  assert.notEqual(server.pid, pid);
  assert.deepEqual(await server.keys(), []);
});

test('a restart waits for its port', async (t) => {
  const [server] = await startServers(t, 1);
  await server.kill();
  const stranger = net.createServer().listen(server.port, server.host);
  await once(stranger, 'listening');
  const restarted = server.restart();
  setTimeout(() => stranger.close(), 100);
  await restarted;
  assert.equal(await server.command('PING'), 'PONG');
});

test('a paused server is silent, answers after resume, and can be stopped while it is paused', async (t) => {
  const [server] = await startServers(t, 1);
  server.pause();
  let answered = false;
  const answer = server.command('PING').finally(() => {
    answered = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(answered, false);
  server.resume();
  assert.equal(await answer, 'PONG');
  server.pause();
  await server.stop();
  assert.equal(server.pid, undefined);
});

test('passwords and users are set, and our own commands get past them', async (t) => {
  const [secret] = await startServers(t, 1, { requirepass: 'secret' });
  assert.equal(await secret.command('PING'), 'PONG');
  assert.ok(fs.statSync(secret.socket).isSocket());
  const [narrow] = await startServers(t, 1, { users: ['alice on >secret ~a* +set', 'default off'] });
  const users = await narrow.command('ACL', 'USERS');
  assert.ok(users.includes('alice'));
  await assert.rejects(narrow.command('NO-SUCH-COMMAND'), /unknown command/);
});

test('a server that cannot start says why', async (t) => {
  await assert.rejects(startServers(t, 2, { args: ['--no-such-option', '1'] }), /no-such-option/);
});

test('a temporary folder that is too deep for a unix socket is no hindrance', { skip: !isLinux() }, (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'redlock-native-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  const deep = path.join(folder, 'd'.repeat(100));
  fs.mkdirSync(deep);
  const script = `require(${SERVERS}).startServers(1).then(async ([server]) => {
    console.log(await server.command('PING'));
    await server.stop();
  });`;
  const env = { ...process.env, TMPDIR: deep };
  const { stdout, stderr } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8', env });
  assert.equal(stdout, 'PONG\n', stderr);
});

for (const [how, ending] of [
  ['ends by itself', ''],
  ['exits', 'process.exit()'],
  ['throws', 'throw new Error("on purpose")'],
  ['is told to end', 'process.kill(process.pid, "SIGTERM"); setTimeout(() => {}, 60_000)'],
]) {
  test(`no server and no folder outlives a process that ${how}`, { skip: !isLinux() }, async () => {
    const script = `require(${SERVERS}).startServers(2).then((servers) => {
      console.log(JSON.stringify(servers.map(({ pid, dir }) => ({ pid, dir }))));
      servers[0].pause();
      ${ending}
    });`;
    const started = JSON.parse(spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' }).stdout);
    assert.equal(started.length, 2);
    for (const { pid, dir } of started) {
      await until(() => !isRunning(pid));
      assert.equal(fs.existsSync(dir), false);
    }
  });
}

function isLinux() {
  return process.platform === 'linux';
}

function isRunning(pid) {
  try {
    // An orphan stays a zombie until init looks after it.
    return !/^State:\s+Z/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
