'use strict';

/**
 * Connections that can't be used: every one is a vote against with a cause that says what to do, in
 * time, and never with a password in it.
 */

const assert = require('node:assert/strict');
const { once } = require('node:events');
const net = require('node:net');
const path = require('node:path');
const { describe, before, test } = require('node:test');
const { inspect } = require('node:util');

const Redlock = require('../..');
const { makeCertificates, WRONG_NAME } = require('../support/certificates');
const { rejection } = require('../support/rejection');
const { needsTls, startServers } = require('../support/servers');
const { endOfSuite } = require('../support/suite');
const { until } = require('../support/until');

const TTL = 2000;
/** An instance may take a tenth of the ttl for its vote; the rest is for a machine that is busy. */
const IN_TIME = 1500;
const PASSWORD = 'top-secret/P@ss';

/**
 * @typedef {object} Case
 * @property {string} what
 * @property {() => object | Promise<object>} instance
 * @property {string} [code] of the vote's error
 * @property {string} [reply]
 * @property {RegExp} says what is wrong
 * @property {RegExp} [advice] what to do about it
 * @property {'down' | 'ready' | 'connecting'} [state] of the connection, then
 */

describe('TLS', needsTls(), () => {
  const suite = endOfSuite();
  let certificates;
  /** @type {Record<string, import('../../scripts/servers').RedisServer>} */
  const servers = {};
  before(async () => {
    certificates = await makeCertificates();
    const { ca, server } = certificates;
    const start = async (name, tls) => {
      [servers[name]] = await startServers(suite, 1, { tls });
    };
    const bad = ['expired', 'wrongName', 'unknown'].map((name) => start(name, certificates[name]));
    await Promise.all([start('mutual', { ...server, ca, clientAuth: 'yes' }), ...bad]);
    [servers.plain] = await startServers(suite, 1);
  });

  const at = (name, tls) => () => {
    const { host, port } = servers[name];
    const { ca, client } = certificates;
    return { host, port, password: PASSWORD, tls: tls?.({ ca, ...client }) };
  };
  const trusted = ({ ca }) => ({ ca });

  /** @type {Case[]} */
  const cases = [
    {
      what: 'a server whose authority is unknown',
      instance: at('unknown', trusted),
      says: /UnknownIssuer/,
      advice: /give its authority in tls\.ca/,
    },
    {
      what: 'a server that nobody on Node’s own list vouches for',
      instance: at('unknown', () => true),
      says: /UnknownIssuer/,
      advice: /give its authority in tls\.ca/,
    },
    {
      what: 'a server’s certificate for another name',
      instance: at('wrongName', trusted),
      says: new RegExp(`"127\\.0\\.0\\.1".*${WRONG_NAME}`),
      advice: /give it in tls\.servername/,
    },
    {
      what: 'a servername that the certificate isn’t for',
      instance: at('mutual', (tls) => ({ ...tls, servername: WRONG_NAME })),
      says: new RegExp(`${WRONG_NAME}.*localhost`),
      advice: /tls\.servername/,
    },
    {
      what: 'a server’s certificate that has expired',
      instance: at('expired', trusted),
      says: /expired/,
      advice: /must be renewed, or the clock here is wrong/,
    },
    {
      what: 'no client certificate where one is wanted',
      instance: at('mutual', trusted),
      says: /CertificateRequired|HandshakeFailure/,
      advice: /give tls\.cert and tls\.key/,
    },
    {
      what: 'a client certificate of a stranger',
      instance: at('mutual', ({ ca }) => ({ ca, ...certificates.unknown })),
      says: /UnknownCA|client certificate/,
      advice: /give tls\.cert and tls\.key/,
    },
    {
      what: 'no TLS on a port that has it',
      instance: at('mutual'),
      says: /reset|closed|protocol/i,
      advice: /TLS|rediss:/,
    },
    {
      what: 'TLS on a port that has none',
      instance: at('plain', trusted),
      code: 'ERR_REDLOCK_SILENT',
      // The deadline is over long before the dial knows better; the connection's lastError tells then.
      says: /no answer within \d+ ms/,
      state: 'connecting',
    },
  ];
  for (const one of cases) testCase(one);

  test('a server that isn’t to be authenticated is taken as it is', async (t) => {
    for (const name of ['expired', 'wrongName', 'unknown']) {
      const { host, port } = servers[name];
      const redlock = new Redlock([{ host, port, tls: { ca: certificates.ca, rejectUnauthorized: false } }]);
      t.after(() => redlock.quit());
      await (await redlock.lock('a', TTL)).unlock();
    }
  });

  test('a servername is what the certificate must be for', async (t) => {
    const { host, port } = servers.wrongName;
    const { ca } = certificates;
    const redlock = new Redlock([{ host, port, tls: { ca, servername: WRONG_NAME } }]);
    t.after(() => redlock.quit());
    await (await redlock.lock('a', TTL)).unlock();
  });

  test('one bad instance of three doesn’t matter', async (t) => {
    const { ca, client } = certificates;
    const { host, port } = servers.mutual;
    const good = { host, port, tls: { ca, ...client } };
    const redlock = new Redlock([good, at('expired', trusted)(), { host, port: servers.plain.port }]);
    t.after(() => redlock.quit());
    const lock = await redlock.lock('a', TTL);
    await lock.unlock();
    const [one, two, three] = await until(() => {
      const { connections } = redlock;
      return connections.every(({ state }) => state !== 'connecting') && connections;
    });
    assert.deepEqual([one.state, two.state, three.state], ['ready', 'down', 'ready']);
    assert.match(two.lastError.message, /expired/);
  });
});

describe('logging in', () => {
  const suite = endOfSuite();
  /** @type {import('../../scripts/servers').RedisServer} */
  let server;
  before(async () => {
    const commands = '+set +get +exists +del +pttl +pexpire +eval +evalsha';
    [server] = await startServers(suite, 1, {
      users: [
        `alice on >${PASSWORD} ~own:* -@all ${commands}`,
        `reader on >${PASSWORD} ~* -@all +get +eval +evalsha`,
        `half on >${PASSWORD} ~* -@all ${commands} -exists -del`,
        'default off',
      ],
    });
  });

  const as =
    (username, more = {}) =>
    () => ({ host: server.host, port: server.port, username, password: PASSWORD, ...more });

  /** @type {Case[]} */
  const cases = [
    {
      what: 'no user',
      instance: as(undefined, { password: undefined }),
      reply: 'NOAUTH',
      says: /NOAUTH/,
      advice: /give this instance a password/,
    },
    {
      what: 'a wrong user',
      instance: as('bob'),
      reply: 'WRONGPASS',
      says: /WRONGPASS/,
      advice: /check this instance's username and password/,
    },
    {
      what: 'a wrong password',
      instance: as('alice', { password: `${PASSWORD}!` }),
      reply: 'WRONGPASS',
      says: /WRONGPASS/,
      advice: /check this instance's username and password/,
    },
    {
      what: 'the password of a user that is off',
      instance: as('default'),
      reply: 'WRONGPASS',
      says: /WRONGPASS/,
      advice: /check this instance's username and password/,
    },
    {
      what: 'no permission on the key',
      instance: as('alice'),
      reply: 'NOPERM',
      says: /NOPERM.*keys/,
      advice: /allow this user SELECT, SET.*on the resource's key/,
      state: 'ready',
    },
    {
      what: 'no permission on the command',
      instance: as('reader'),
      reply: 'NOPERM',
      says: /run this command.*: SET|NOPERM.*set/,
      advice: /allow this user SELECT, SET/,
      state: 'ready',
    },
    {
      what: 'a database that the user may not select',
      instance: as('alice', { db: 2 }),
      reply: 'NOPERM',
      says: /NOPERM.*select/,
      advice: /allow this user SELECT/,
    },
  ];
  for (const one of cases) testCase({ code: 'ERR_REDLOCK_REFUSED', ...one });

  test('with the right ones it locks', async (t) => {
    const redlock = new Redlock([as('alice', { keyPrefix: 'own:' })()]);
    t.after(() => redlock.quit());
    for (const names of ['a', ['a', 'b']]) {
      const lock = await redlock.lock(names, TTL);
      await lock.extend(2 * TTL);
      await lock.unlock();
    }
  });

  for (const [what, names] of [
    ['several resources', ['a', 'b']],
    // Another name: what could not be deleted ends by itself, but only a millisecond later.
    ['releasing', 'c'],
  ]) {
    const refusal = async () => {
      const redlock = new Redlock([as('half')()], { retryCount: 0 });
      try {
        return await rejection(redlock.lock(names, TTL).then((lock) => lock.unlock()));
      } finally {
        await redlock.quit();
      }
    };
    test(`no permission on a command inside of a script: ${what}`, async () => {
      const { votes } = await refusal();
      assert.equal(votes[0].error.code, 'ERR_REDLOCK_REFUSED');
      assert.match(votes[0].error.message, /run this command|permission/);
      assert.match(votes[0].error.message, /allow this user.*EXISTS/);
    });
  }

  test('a database that there isn’t', async (t) => {
    const [open] = await startServers(t, 1);
    await refuses({
      instance: () => ({ host: open.host, port: open.port, db: 99, password: undefined }),
      code: 'ERR_REDLOCK_REFUSED',
      reply: 'ERR',
      says: /DB index is out of range/,
    });
  });

  test('a password for a server that has none', async (t) => {
    const [open] = await startServers(t, 1);
    const error = await refuses({
      instance: () => ({ host: open.host, port: open.port, password: PASSWORD }),
      code: 'ERR_REDLOCK_REFUSED',
      says: /AUTH/,
    });
    assert.match(error.message, /without any password configured/);
  });

  test('a server without AUTH that repeats the password in its error', async (t) => {
    const [odd] = await startServers(t, 1, { args: ['--rename-command', 'AUTH', ''] });
    for (const login of [{ password: PASSWORD }, { username: 'alice', password: PASSWORD }]) {
      await refuses({
        instance: () => ({ host: odd.host, port: odd.port, ...login }),
        code: 'ERR_REDLOCK_REFUSED',
        says: /unknown command/,
      });
    }
  });
});

describe('nothing that could answer', () => {
  const suite = endOfSuite();
  /** @type {{port: number, socket: string}} */
  const nobody = { port: 0, socket: '' };
  before(async () => {
    const [server] = await startServers(suite, 1);
    nobody.port = server.port;
    nobody.socket = path.join(server.dir, 'nothing.sock');
    await server.kill();
  });

  /** @type {Case[]} */
  const cases = [
    {
      what: 'a unix socket that isn’t there',
      instance: () => ({ path: nobody.socket, password: PASSWORD }),
      says: /No such file/,
      advice: /is the socket's path right\?/,
    },
    {
      what: 'a unix socket that is a file',
      instance: () => ({ path: __filename, password: PASSWORD }),
      says: /not connected/,
    },
    {
      what: 'a port on which nobody listens',
      instance: () => ({ port: nobody.port, password: PASSWORD }),
      says: /refused/,
      advice: /is the server running, and on this port\?/,
    },
    {
      what: 'a host that there isn’t',
      instance: () => ({ host: WRONG_NAME, password: PASSWORD }),
      code: null,
      says: /not connected|no answer/,
      state: null,
    },
  ];
  for (const one of cases) testCase(one);
});

describe('a server that is no Redis', () => {
  const count = (chunk) => String(chunk).split(/^\*/m).length - 1;
  /** What it does with a connection. @type {[string, (socket: net.Socket) => void, Partial<Case>][]} */
  const servers = [
    [
      'speaks HTTP',
      (socket) => socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')),
      NO_REDIS(),
    ],
    ['speaks first', (socket) => socket.write('220 mail.invalid ESMTP\r\n'), NO_REDIS()],
    ['sends garbage', (socket) => socket.on('data', () => socket.write(Buffer.alloc(64, 0xff))), NO_REDIS()],
    ['never ends its answer', endless, NO_REDIS()],
    [
      'answers numbers to everything',
      (socket) => socket.on('data', (chunk) => socket.write(':42\r\n'.repeat(count(chunk)))),
      NO_REDIS(),
    ],
    [
      'answers an error to everything',
      (socket) => socket.on('data', (chunk) => socket.write('-ERR not today\r\n'.repeat(count(chunk)))),
      { code: 'ERR_REDLOCK_REFUSED', reply: 'ERR', says: /ERR not today/ },
    ],
    [
      'answers an error to everything but PING',
      (socket) =>
        socket.on('data', (chunk) => {
          for (const command of String(chunk).split(/(?=^\*)/m)) {
            socket.write(
              /AUTH/.test(command)
                ? '+OK\r\n'
                : /PING/.test(command)
                  ? '+PONG\r\n'
                  : '-MISCONF not today\r\n',
            );
          }
        }),
      { code: 'ERR_REDLOCK_REFUSED', reply: 'MISCONF', says: /MISCONF not today/, state: 'ready' },
    ],
    ['hangs up', (socket) => socket.end(), { says: /closed the connection|broke|reset/i }],
    ['resets', (socket) => socket.resetAndDestroy(), { says: /reset/i }],
    [
      'says nothing',
      () => {},
      {
        code: 'ERR_REDLOCK_SILENT',
        says: /no answer within \d+ ms/,
        advice: /hung, overloaded or cut off/,
        state: 'connecting',
      },
    ],
  ];
  for (const [what, behave, expected] of servers) {
    let server;
    describe(what, () => {
      const suite = endOfSuite();
      before(async () => {
        const sockets = new Set();
        server = net.createServer((socket) => {
          sockets.add(socket);
          socket.on('error', () => {});
          behave(socket);
        });
        server.listen(0, '127.0.0.1');
        await once(server, 'listening');
        suite.after(() => {
          server.close();
          for (const socket of sockets) socket.destroy();
        });
      });
      const instance = (more) => () => ({ host: '127.0.0.1', port: server.address().port, ...more });
      testCase({ what: 'is no vote', instance: instance(), ...expected });
      testCase({
        what: 'is no vote with a password',
        instance: instance({ password: PASSWORD }),
        ...expected,
      });
    });
  }

  function NO_REDIS() {
    return {
      code: 'ERR_REDLOCK_UNEXPECTED',
      says: /an answer that no lock command gives/,
      advice: /is this a Redis or Valkey server\?/,
    };
  }

  function endless(socket) {
    socket.on('data', () => {
      const more = setInterval(() => socket.write('x'.repeat(1000)), 2);
      socket.once('close', () => clearInterval(more));
    });
  }
});

describe('tls options', () => {
  const instance = (tls) => ({ host: '127.0.0.1', tls });
  let pem;
  before(async () => {
    pem = await makeCertificates();
  });

  for (const [what, tls, name, message] of [
    ['a string', () => 'yes', 'TypeError', /tls must be true or an object, not "yes"/],
    ['a number', () => 1, 'TypeError', /tls must be true or an object, not 1/],
    ['an array', () => ['ca'], 'TypeError', /tls must be true or an object, not an array/],
    [
      'a ca of the wrong type',
      () => ({ ca: 1 }),
      'TypeError',
      /tls\.ca must be PEM text or a Buffer of it, not of the type number/,
    ],
    ['a ca in a list of the wrong type', () => ({ ca: [pem.ca, {}] }), 'TypeError', /tls\.ca must be PEM/],
    [
      'a key of the wrong type',
      () => ({ cert: pem.client.cert, key: { pem: PASSWORD } }),
      'TypeError',
      /tls\.key must be PEM/,
    ],
    [
      'a servername of the wrong type',
      () => ({ servername: 1 }),
      'TypeError',
      /tls\.servername must be a host's name, not 1/,
    ],
    ['an empty servername', () => ({ servername: '' }), 'TypeError', /tls\.servername must be a host's name/],
    [
      'rejectUnauthorized as text',
      () => ({ rejectUnauthorized: 'false' }),
      'TypeError',
      /rejectUnauthorized must be true or false, not "false"/,
    ],
    [
      'a pfx',
      () => ({ pfx: Buffer.from('x') }),
      'RangeError',
      /tls\.pfx can't be used.*give ca, cert and key as PEM/,
    ],
    ['a passphrase', () => ({ passphrase: PASSWORD }), 'RangeError', /tls\.passphrase can't be used/],
    [
      'checkServerIdentity',
      () => ({ checkServerIdentity() {} }),
      'RangeError',
      /tls\.checkServerIdentity can't be used/,
    ],
    ['ciphers', () => ({ ciphers: 'ALL' }), 'RangeError', /tls\.ciphers can't be used/],
    ['a ca that is no PEM', () => ({ ca: PASSWORD }), null, /ca/i],
    ['a ca that is broken', () => ({ ca: pem.ca.replace(/[A-Z]/g, '!') }), null, /ca/i],
    ['a ca that is empty', () => ({ ca: '' }), null, /ca/i],
    ['a cert that is no PEM', () => ({ cert: 'PEM', key: pem.client.key }), null, /cert/i],
    ['a key that is no PEM', () => ({ cert: pem.client.cert, key: PASSWORD }), null, /key/i],
    ['a cert without its key', () => ({ cert: pem.client.cert }), null, /key/i],
    ['a key without its cert', () => ({ key: pem.client.key }), null, /cert/i],
    ['a key of another cert', () => ({ cert: pem.client.cert, key: pem.server.key }), null, /key/i],
    ['a key that is encrypted', () => ({ cert: pem.client.cert, key: ENCRYPTED }), null, /key/i],
  ]) {
    test(`refused: ${what}`, () => {
      const error = thrownBy(() => new Redlock(['memory://good', instance(tls())]));
      assert.match(error.message, message);
      if (name) assertNamed(error, name);
      assertDiscreet(error);
    });
    if (!name) {
      test(`refused as others are: ${what}`, () => {
        assertNamed(
          thrownBy(() => new Redlock(['memory://good', instance(tls())])),
          'RangeError',
        );
      });
    }
  }

  test('may be Buffers, lists and absent', async () => {
    const { ca, unknownCa, client } = pem;
    for (const tls of [
      true,
      false,
      null,
      {},
      { ca: Buffer.from(ca) },
      { ca: [ca, Buffer.from(unknownCa)] },
      { ca: ca + unknownCa },
      { ca, cert: Buffer.from(client.cert), key: Buffer.from(client.key) },
      { ca, cert: null, key: undefined, servername: null, rejectUnauthorized: undefined },
    ]) {
      await new Redlock([instance(tls)]).quit();
    }
  });
});

function assertNamed(error, name) {
  assert.match(error.message, /instances\[1\]/);
  assert.equal(error.code, 'ERR_REDLOCK_INVALID_INSTANCE');
  assert.equal(error.name, name);
}

/** Looks like what openssl makes of a key with a passphrase. */
const ENCRYPTED = `-----BEGIN ENCRYPTED PRIVATE KEY-----
${Buffer.alloc(96, 'secret').toString('base64')}
-----END ENCRYPTED PRIVATE KEY-----
`;

/** @param {Case} expected */
function testCase(expected) {
  test(expected.what, () => refuses(expected));
}

/**
 * Tries to lock with nothing but that instance, and resolves with the vote's error.
 *
 * @param {Omit<Case, 'what'>} expected
 */
async function refuses({ instance, code = 'ERR_REDLOCK_UNREACHABLE', reply, says, advice, state = 'down' }) {
  const redlock = new Redlock([await instance()], { retryCount: 0 });
  const events = [];
  redlock.on('clientError', (...args) => events.push(args));
  redlock.on('connection', (connection) => events.push([connection]));
  const started = performance.now();
  const error = await rejection(redlock.lock('a', TTL));
  const took = performance.now() - started;
  try {
    // Who has never said anything may take as long as the lock's validity, where nobody else is asked.
    const longest = code === 'ERR_REDLOCK_SILENT' ? TTL + IN_TIME : IN_TIME;
    assert.ok(took < longest, `${took} ms`);
    assert.equal(error.code, 'ERR_REDLOCK_UNAVAILABLE');
    assert.equal(error.votes.length, 1);
    const [{ vote, error: why }] = error.votes;
    assert.equal(vote, 'failed');
    if (code) assert.equal(why.code, code);
    if (reply) assert.equal(why.reply, reply);
    assert.match(why.message, says);
    if (advice) assert.match(why.message, advice);
    assert.ok(error.cause.message.includes(why.message.replace(/^.*? on \S+: /, '')), error.cause.message);
    const [connection] = redlock.connections;
    if (state) assert.equal(connection.state, state);
    if (state === 'down') assert.match(connection.lastError.message, says);
    assert.ok(
      events.some(([first]) => first instanceof Redlock.InstanceError),
      'clientError',
    );
    for (const one of [
      error,
      why,
      error.cause,
      redlock,
      connection,
      connection.lastError,
      ...events.flat(),
    ]) {
      assertDiscreet(one);
    }
    return why;
  } finally {
    await redlock.quit();
  }
}

/** However it is looked at, there is no password in it. */
function assertDiscreet(value) {
  const texts = [
    inspect(value, { depth: 10, showHidden: true }),
    JSON.stringify(value) ?? '',
    String(value),
    String(value?.stack),
  ];
  for (const text of texts) {
    assert.ok(!text.includes(PASSWORD), text);
    assert.ok(!text.includes(encodeURIComponent(PASSWORD)), text);
    assert.ok(!text.includes('PRIVATE KEY'), text);
  }
}

function thrownBy(call) {
  try {
    call();
  } catch (error) {
    return error;
  }
  return assert.fail('nothing was thrown');
}
