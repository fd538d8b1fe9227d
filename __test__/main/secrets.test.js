'use strict';

/** Whatever repeats a configured secret, in whatever form: no error, event, warning or print of ours has it. */

const assert = require('node:assert/strict');
const { inspect } = require('node:util');
const { describe, test } = require('node:test');

const Redlock = require('../..');
const { Redactor } = require('../../lib/redact');
const { IOREDIS, NODE_REDIS, REDIS_3, makeClient } = require('../support/clients');
const { startParrot } = require('../support/parrot');
const { redlockOver } = require('../support/redlock');
const { rejection } = require('../support/rejection');
const { startServers } = require('../support/servers');

const SECRET = 'p@ss/w"ö rd\\1';

/** As URLs, JSON, logs and headers write it. */
const FORMS = {
  'as it is': SECRET,
  percent: encodeURIComponent(SECRET),
  'percent, twice': encodeURIComponent(encodeURIComponent(SECRET)),
  'percent, lower case': encodeURIComponent(SECRET).replace(/%../g, (one) => one.toLowerCase()),
  'all percent': [...Buffer.from(SECRET)].map((byte) => `%${byte.toString(16)}`).join(''),
  form: new URLSearchParams({ p: SECRET }).toString(),
  JSON: JSON.stringify(SECRET),
  'JSON in JSON': JSON.stringify(JSON.stringify({ SECRET })),
  print: inspect(SECRET),
  'as Redis prints it': SECRET.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replace('ö', '\\xc3\\xb6'),
  '\\x': [...Buffer.from(SECRET)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join(''),
  '\\u': [...SECRET].map((char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`).join(''),
  '\\u{}': [...SECRET].map((char) => `\\u{${char.charCodeAt(0).toString(16)}}`).join(''),
  hex: Buffer.from(SECRET).toString('hex'),
  base64: Buffer.from(SECRET).toString('base64'),
  'base64 of a login': Buffer.from(`:${SECRET}`).toString('base64'),
  base64url: Buffer.from(`:${SECRET}`).toString('base64url'),
  'taken for Latin-1': Buffer.from(SECRET).toString('latin1'),
  'cut off': `${SECRET.slice(0, 8)}…`,
};

/** What of it may not be seen. */
const PARTS = [
  /ss\/w/,
  /ss%2f/i,
  /w\\*"/,
  /70.{0,4}40.{0,4}73/,
  new RegExp(Buffer.from(SECRET).toString('base64').slice(4, 12)),
  new RegExp(Buffer.from(`:${SECRET}`).toString('base64').slice(4, 12)),
  /rd\\+1/,
];

/** @param {unknown} shown */
function assertHidden(...shown) {
  for (const text of [
    inspect(shown, { depth: null, showHidden: true, getters: true }),
    JSON.stringify(shown),
  ]) {
    for (const part of PARTS) assert.doesNotMatch(text, part);
    assert.ok(!text.includes('hunter2'), text);
  }
}

for (const [form, text] of Object.entries(FORMS)) {
  test(`is found ${form}`, () => {
    const cleaned = new Redactor([SECRET]).clean(`ERR bad password ${text} given`.replace('… given', '…'));
    assertHidden(cleaned);
    assert.match(cleaned, /^ERR bad password /);
  });

  describe(`a server that repeats the password ${form}`, () => {
    const answerWith = async (t, urlOf) => {
      const port = await startParrot(t, `-ERR bad ${text}\r\n`);
      const redlock = new Redlock([urlOf(port)], { retryCount: 0 });
      t.after(() => redlock.quit());
      const events = [];
      for (const event of ['clientError', 'connection']) redlock.on(event, (...what) => events.push(what));
      const error = await rejection(redlock.lock('a', 30_000));
      assert.match(error.cause.message, /ERR bad/);
      const inspection = await redlock.inspect('a');
      assertHidden(error, error.cause, error.votes, events, inspection, redlock.connections, redlock);
    };

    test('that stands in a URL', (t) =>
      answerWith(t, (port) => `redis://:${encodeURIComponent(SECRET)}@127.0.0.1:${port}`));
    test('that stands in an object', (t) =>
      answerWith(t, (port) => ({ host: '127.0.0.1', port, password: SECRET })));
  });

  test(`a client that repeats its password ${form}: our own words hide it, its error is handed on`, async (t) => {
    const thrown = new Error(`WRONGPASS ${text} is wrong`);
    const redlock = new Redlock(
      [
        {
          options: { password: SECRET },
          eval() {
            throw thrown;
          },
        },
      ],
      { retryCount: 0 },
    );
    t.after(() => redlock.quit());
    const error = await rejection(redlock.lock('a', 1000));
    const [vote] = error.votes;
    assert.equal(vote.error.cause ?? vote.error, thrown);
    assertHidden(error.message, error.cause.message, vote.error.message, redlock.connections);
  });
}

for (const library of [IOREDIS, NODE_REDIS, REDIS_3]) {
  test(`${library.title}: a client's error comes without the command's arguments, of which one is the lock's value`, async (t) => {
    const [server] = await startServers(t, 1, { users: ['locker on >pass-word ~* -@all +ping +info +role'] });
    const client = await makeClient(t, library, server, {
      username: 'locker',
      user: 'locker',
      password: 'pass-word',
    });
    const redlock = redlockOver(t, [client], { retryCount: 0, connections: 'bridge' });
    const told = [];
    redlock.on('clientError', (error) => told.push(error));
    redlock._random = () => 'the-value';
    const error = await rejection(redlock.lock('a', 5000));
    assert.equal(error.votes[0].error.reply ?? 'NOPERM', 'NOPERM');
    assert.ok(told.length > 0);
    const all = inspect([error, told], { depth: 20, showHidden: true });
    assert.ok(!all.includes('the-value'), all);
  });
}

test('a text from outside is no longer than a sentence or two', async (t) => {
  const port = await startParrot(t, `-ERR ${'x'.repeat(5000)}\r\n`);
  const redlock = new Redlock([`redis://127.0.0.1:${port}`], { retryCount: 0 });
  t.after(() => redlock.quit());
  const error = await rejection(redlock.lock('a', 1000));
  assert.ok(error.cause.message.length < 700, String(error.cause.message.length));
});

test('a secret of two letters hides the whole text that has it', () => {
  const redactor = new Redactor(['pw']);
  assert.doesNotMatch(redactor.clean('ERR pw is wrong'), /pw/);
  assert.equal(redactor.clean('ERR no'), 'ERR no');
});

describe('a password that is in our own words too', () => {
  const lockOver = async (t, instance) => {
    const redlock = new Redlock([instance], { retryCount: 0 });
    t.after(() => redlock.quit());
    return rejection(redlock.lock('a', 30_000));
  };

  for (const password of ['p', 'on', 'user', 'password']) {
    test(`${password}: a server's code and our hint are shown, and its text without it`, async (t) => {
      const port = await startParrot(t, `-WRONGPASS no ${password} of user <${password}>\r\n`);
      const { cause, votes } = await lockOver(t, `redis://:${password}@127.0.0.1:${port}`);
      for (const { message } of [cause, votes[0].error]) {
        assert.match(message, /WRONGPASS.*\(check this instance's username and password\)$/);
        assert.ok(!message.includes(`<${password}>`), message);
        assert.ok(!message.includes(`no ${password} `), message);
        // biome-ignore lint/suspicious/noControlCharactersInRegex: they mark what native quotes
        assert.doesNotMatch(message, /[\u0000-\u001f]/);
      }
    });

    test(`${password}: a client's code and our hint are shown, and its text without it`, async (t) => {
      const thrown = new Error(`NOPERM no <${password}>`);
      const instance = { options: { password }, eval: () => Promise.reject(thrown) };
      const { cause } = await lockOver(t, instance);
      assert.match(cause.message, /NOPERM .*\(allow this user SELECT, SET, .* on the resource's key/);
      assert.ok(!cause.message.includes(`<${password}>`), cause.message);
    });

    test(`${password}: what is ours alone is shown as it is`, async (t) => {
      const port = await startParrot(t, '');
      const { cause } = await lockOver(t, { path: `/nowhere/${port}.sock`, password });
      assert.match(cause.message, /not connected: .*; is the socket's path right\?$/);
      const refused = () => new Redlock([{ host: 'h', password, port: 'x' }]);
      assert.throws(
        refused,
        /^RangeError|instances\[0\]\.port must be a whole number from 1 to 65535, not "x"$/,
      );
    });
  }

  test('is masked where an error of ours quotes it', () => {
    for (const [password, message] of [
      ['hun', /has the unknown scheme "\*\*\*:"/],
      ['hu', /has the unknown scheme \(a text that has a secret in it\)/],
    ]) {
      assert.throws(() => new Redlock([{ host: 'h', password }, `${password}://h`]), message);
    }
  });
});

describe('what is refused or warned of shows none', () => {
  const URL_TEXT = 'redis://:hunter2@h';
  for (const [what, make] of Object.entries({
    'options that are a URL': () => new Redlock(['memory://s'], URL_TEXT),
    'an option that is a URL': () =>
      new Redlock(['memory://s'], { retryCount: URL_TEXT, connections: URL_TEXT }),
    'an option whose name is a URL': () => new Redlock(['memory://s'], { [URL_TEXT]: 1 }),
    'a path that is a URL': () => new Redlock([{ path: URL_TEXT }]),
    'a host that is a URL': () => new Redlock([{ host: URL_TEXT }]),
    'a port that is a URL': () => new Redlock([{ host: 'h', port: URL_TEXT }]),
    'a port that is the password': () => new Redlock([{ host: 'h', port: 'hunter2', password: 'hunter2' }]),
    'a database that is a URL': () => new Redlock([{ host: 'h', db: URL_TEXT }]),
    'a name that is a URL': () => new Redlock([{ host: 'h', clientName: `${URL_TEXT} ` }]),
    'sentinels whose service is a URL': () => new Redlock([{ sentinels: ['h'], name: URL_TEXT }]),
    'a role that is a URL': () => new Redlock([{ sentinels: ['h'], name: 'm', role: URL_TEXT }]),
    'a natMap whose key is a URL': () =>
      new Redlock([{ cluster: ['h'], natMap: { [URL_TEXT]: { host: 'h', port: 1 } } }]),
    'a key that is a URL': () => new Redlock([{ host: 'h', [URL_TEXT]: 1 }]),
    'a key that is the password': () => new Redlock([{ host: 'h', password: 'hunter2', hunter2: 1 }]),
    'a key of tls that is a URL': () => new Redlock([{ host: 'h', tls: { [URL_TEXT]: 1 } }]),
    'a query whose key is the password': () => new Redlock(['redis://:hunter2@h?hunter2=1']),
    'a path of a URL that is the password': () => new Redlock(['redis://:hunter2@h/hunter2']),
    'a wrapped client with a URL for a rule': () =>
      new Redlock([{ client: { eval() {} }, connections: URL_TEXT }]),
    'autoExtend with a URL': () =>
      new Redlock(['memory://s']).lock('a', 1000, { autoExtend: { [URL_TEXT]: 1 } }),
    'maxWait that is a URL': () => new Redlock(['memory://s']).lock('a', 1000, { maxWait: URL_TEXT }),
    'a signal that is a URL': () => new Redlock(['memory://s']).lock('a', 1000, { signal: URL_TEXT }),
  })) {
    test(what, async (t) => {
      const told = [];
      const listener = (warning) => told.push(warning);
      process.on('warning', listener);
      t.after(() => process.off('warning', listener));
      let thrown;
      let made;
      try {
        made = await make();
      } catch (error) {
        thrown = error;
      }
      await new Promise(setImmediate);
      assert.ok(thrown || told.length > 0);
      assertHidden(thrown, thrown?.stack, told, told.map(String));
      if (made instanceof Redlock) await made.quit();
    });
  }

  test('the address of a client whose path is a URL', async (t) => {
    const redlock = new Redlock([{ eval() {}, options: { path: URL_TEXT, password: 'x' } }]);
    t.after(() => redlock.quit());
    assertHidden(redlock.connections);
  });
});
