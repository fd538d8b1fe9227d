'use strict';

/** What can stand for an instance, and what can't. */

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { inspect } = require('node:util');

const Redlock = require('../..');
const { readInstance } = require('../../lib/instances');

const read = (instance) => readInstance(instance, 'instances[0]');

describe('an instance', () => {
  for (const [instance, config] of [
    ['redis://localhost', { host: 'localhost' }],
    ['redis://localhost/', { host: 'localhost' }],
    ['REDIS://localhost:7000', { host: 'localhost', port: 7000 }],
    ['valkey://10.0.0.1:6380/3', { host: '10.0.0.1', port: 6380, db: 3 }],
    ['redis://[::1]:6380', { host: '::1', port: 6380 }],
    ['redis://:secret@h', { host: 'h', password: 'secret' }],
    ['redis://alice:secret@h', { host: 'h', username: 'alice', password: 'secret' }],
    ['redis://al%40ice:p%3A%2F%3F%23%25%40@h', { host: 'h', username: 'al@ice', password: 'p:/?#%@' }],
    ['redis://h?keyPrefix=app%3A', { host: 'h', keyPrefix: 'app:' }],
    ['redis://h?keyPrefix=a+b=%26', { host: 'h', keyPrefix: 'a+b=&' }],
    [
      'redis://h/1?connectTimeout=300&clientName=worker-1',
      { host: 'h', db: 1, connectTimeout: 300, clientName: 'worker-1' },
    ],
    [new URL('redis://h:7000/1'), { host: 'h', port: 7000, db: 1 }],
    [{ host: 'h' }, { host: 'h' }],
    [{ port: 7000 }, { port: 7000 }],
    [
      { host: 'h', port: '7000', db: '2' },
      { host: 'h', port: 7000, db: 2 },
    ],
    [{ host: '::1', tls: undefined, path: null, password: null }, { host: '::1' }],
    [{ host: 'h', tls: false }, { host: 'h' }],
    ['unix:///run/redis.sock', { path: '/run/redis.sock' }],
    ['unix:///run/my%20redis.sock?db=2&keyPrefix=x', { path: '/run/my redis.sock', db: 2, keyPrefix: 'x' }],
    ['/run/redis.sock?db=2', { path: '/run/redis.sock', db: 2 }],
    [
      { path: '/run/redis.sock', password: 'p' },
      { path: '/run/redis.sock', password: 'p' },
    ],
    [
      { host: 'h', path: '/run/redis.sock', tls: true },
      { host: 'h', path: '/run/redis.sock' },
    ],
    [{ url: 'redis://:p@h/1' }, { host: 'h', password: 'p', db: 1 }],
    [
      { url: 'redis://h', database: 2, name: 'worker' },
      { host: 'h', db: 2, clientName: 'worker' },
    ],
    [{ socket: { host: 'h', port: 7000 } }, { host: 'h', port: 7000 }],
    [{ socket: { path: '/run/redis.sock' } }, { path: '/run/redis.sock' }],
    [
      { host: 'h', connectionName: 'worker' },
      { host: 'h', clientName: 'worker' },
    ],
    ['redis://h?protocol=3', { host: 'h' }],
    [
      {
        host: 'h',
        port: 1,
        username: 'u',
        password: 'p:/@',
        db: 0,
        keyPrefix: 'x:',
        clientName: 'c',
        connectTimeout: 5,
      },
      {
        host: 'h',
        port: 1,
        username: 'u',
        password: 'p:/@',
        db: 0,
        keyPrefix: 'x:',
        clientName: 'c',
        connectTimeout: 5,
      },
    ],
  ]) {
    test(`may be ${inspect(instance instanceof URL ? instance.href : instance)}`, () => {
      const given = Object.entries(read(instance)).filter(([, value]) => value !== undefined);
      assert.deepEqual(Object.fromEntries(given), { kind: 'redis', ...config });
    });
  }

  for (const [instance, tls] of [
    ['rediss://h', {}],
    ['valkeys://:p@h', {}],
    [{ host: 'h', tls: true }, {}],
    [{ host: 'h', tls: {} }, {}],
    [{ host: 'h', tls: { servername: 's' } }, { servername: 's' }],
    [{ socket: { host: 'h', tls: true, rejectUnauthorized: false } }, { rejectUnauthorized: false }],
    [{ url: 'rediss://h', socket: { servername: 's' } }, { servername: 's' }],
    [{ tls: { servername: 's' }, url: 'rediss://h' }, { servername: 's' }],
  ]) {
    test(`may be over TLS: ${inspect(instance)}`, () => {
      const { host, tls: read_ } = read(instance);
      const { ca, ...given } = JSON.parse(JSON.stringify(read_));
      assert.equal(host, 'h');
      assert.ok(ca.length > 0, 'whom Node trusts is trusted');
      assert.deepEqual(given, tls);
    });
  }

  test('may have the other options of ioredis and node-redis beside, as apps have them in one object', async (t) => {
    const warnings = [];
    const listener = (warning) => warnings.push(warning.message);
    process.on('warning', listener);
    t.after(() => process.off('warning', listener));
    const Redis = require('ioredis');
    const { options } = new Redis({
      lazyConnect: true,
      host: 'h',
      port: 7,
      db: 2,
      keyPrefix: 'a:',
      username: 'u',
    });
    const { host, port, db, keyPrefix, username } = read(options);
    assert.deepEqual(
      { host, port, db, keyPrefix, username },
      { host: 'h', port: 7, db: 2, keyPrefix: 'a:', username: 'u' },
    );
    const four = new (require('ioredis-4'))({ lazyConnect: true, host: 'h' });
    assert.equal(read(four.options).host, 'h');
    const six = new (require('ioredis-6'))({ lazyConnect: true, host: 'h' });
    assert.equal(read(six.options).host, 'h');
    const bull = { host: 'h', maxRetriesPerRequest: null, enableReadyCheck: false, retryStrategy: () => 5 };
    assert.equal(read(bull).host, 'h');
    assert.equal(
      read({ url: 'redis://h', socket: { reconnectStrategy: () => 5 }, pingInterval: 5 }).host,
      'h',
    );
    const old = {
      host: 'h',
      prefix: 'p:',
      auth_pass: 'x',
      user: 'y',
      retry_strategy() {},
      no_ready_check: true,
    };
    const { keyPrefix: prefix, password, username: user } = read(old);
    assert.deepEqual([prefix, password, user], ['p:', 'x', 'y']);
    await new Promise(setImmediate);
    assert.deepEqual(warnings, []);
  });

  const NODES = [
    { host: 'h', port: 6379 },
    { host: '::1', port: 7000 },
  ];
  for (const [instance, config] of [
    [{ cluster: ['h', '[::1]:7000'] }, { cluster: { nodes: NODES } }],
    [
      { cluster: [6379, '7000'] },
      { cluster: { nodes: [6379, 7000].map((port) => ({ host: '127.0.0.1', port })) } },
    ],
    [{ cluster: [new URL('redis://h/0'), { host: '::1', port: '7000' }] }, { cluster: { nodes: NODES } }],
    [
      {
        cluster: ['redis://u:p@h', '[::1]:7000'],
        redisOptions: { username: 'v', connectTimeout: 5 },
        keyPrefix: '{a}',
        natMap: { 'a:1': { host: 'b', port: '2' } },
      },
      {
        cluster: { nodes: NODES },
        username: 'v',
        password: 'p',
        connectTimeout: 5,
        keyPrefix: '{a}',
        natMap: [
          [
            { host: 'a', port: 1 },
            { host: 'b', port: 2 },
          ],
        ],
      },
    ],
    [
      {
        rootNodes: [{ url: 'redis://h' }, { socket: { host: '::1', port: 7000 } }],
        defaults: { username: 'u', password: 'p', socket: { connectTimeout: 5 } },
      },
      { cluster: { nodes: NODES }, username: 'u', password: 'p', connectTimeout: 5 },
    ],
    [
      'redis+sentinel://u:p%40@h,[::1]:7000/main/2?sentinel_username=s&sentinel_password=t%26&keyPrefix=a+b',
      {
        sentinel: {
          sentinels: [{ host: 'h', port: 26_379 }, NODES[1]],
          service: 'main',
          username: 's',
          password: 't&',
        },
        username: 'u',
        password: 'p@',
        db: 2,
        keyPrefix: 'a+b',
      },
    ],
    [
      { sentinels: [{ host: 'h' }, '[::1]:7000'], name: 'main', password: 'p', sentinelPassword: 't', db: 1 },
      {
        sentinel: { sentinels: [{ host: 'h', port: 26_379 }, NODES[1]], service: 'main', password: 't' },
        password: 'p',
        db: 1,
      },
    ],
    [
      { sentinels: ['redis://u:t@h:6379', { ...NODES[1], username: 'u', password: 't' }], name: 'main' },
      { sentinel: { sentinels: NODES, service: 'main', username: 'u', password: 't' } },
    ],
    [
      {
        sentinels: [{ ...NODES[0], password: 't' }, NODES[1]],
        name: 'main',
        sentinelUsername: 'u',
        sentinelPassword: 't',
      },
      { sentinel: { sentinels: NODES, service: 'main', username: 'u', password: 't' } },
    ],
    [
      { rootNodes: [{ url: 'redis://u:p@h' }, { ...NODES[1], username: 'u', password: 'p' }] },
      { cluster: { nodes: NODES }, username: 'u', password: 'p' },
    ],
  ]) {
    test(`may be several servers: ${inspect(instance, { depth: 4 })}`, () => {
      assert.deepEqual(JSON.parse(JSON.stringify(read(instance))), { kind: 'redis', ...config });
    });
  }

  test('of several servers may be over TLS', () => {
    const whole = { sentinels: ['h'], name: 'm', tls: true };
    assert.ok(read(whole).tls && !read(whole).sentinel.tls);
    assert.ok(!read({ ...whole, enableTLSForSentinelMode: false }).tls);
    assert.ok(read({ ...whole, tls: false, sentinelTLS: true }).sentinel.tls);
    const url = read('rediss+sentinel://h/m');
    assert.ok(url.tls && url.sentinel.tls);
    assert.ok(read({ cluster: ['rediss://h'] }).tls);
    assert.ok(read({ rootNodes: [{ url: 'redis://h' }], defaults: { socket: { tls: true } } }).tls);
    const tlsOf = (sentinels, sentinelTLS) => read({ sentinels, name: 'm', sentinelTLS }).sentinel.tls;
    assert.ok(tlsOf(['rediss://h', 'valkeys://i']));
    assert.ok(tlsOf(['rediss://h', { host: 'i', tls: {} }, { socket: { host: 'j', tls: true } }]));
    assert.deepEqual(tlsOf([{ host: 'h', tls: { ca: 'one' } }]).ca, ['one']);
    assert.deepEqual(tlsOf(['rediss://h', 'i'], { ca: 'one' }).ca, ['one'], 'how is said beside them');
  });

  test('may have a certificate authority of its own, and then no other', () => {
    const { tls } = read({ host: 'h', tls: { ca: [Buffer.from('one'), 'two'] } });
    assert.deepEqual(tls.ca, ['one', 'two']);
  });

  test('may be memory:// and a name', () => {
    assert.deepEqual(read('memory://a.b:c-1'), { kind: 'memory', name: 'a.b:c-1' });
  });

  const SECRET = 'hunter2';
  for (const [instance, message] of [
    [null, /not null$/],
    [6379, /not 6379$/],
    [true, /not true$/],
    [[], /not an empty array$/],
    ['', /is a string but not a URL/],
    ['localhost', /is a string but not a URL/],
    ['localhost:6379', /is a string but not a URL/],
    [`:${SECRET}@localhost:6379`, /is a string but not a URL/],
    [`http://u:${SECRET}@h`, /unknown scheme "http:"/],
    [
      `redis+sentinel://u:${SECRET}@h`,
      /can't be read; it must look like redis\+sentinel:\/\/user:password@host/,
    ],
    [`redis+sentinel://u:${SECRET}@/mymaster`, /can't be read/],
    [`redis+sentinel://u:${SECRET}@h/mymaster/0/1`, /can't be read/],
    [`redis+sentinel://u:${SECRET}@h/mymaster/one`, /db must be a whole number from 0 .* not "one"/],
    [`redis+sentinel://u:${SECRET}@h/my master`, /can't be read/],
    [`redis+sentinel://u:${SECRET}@h/my%20master`, /name must be letters, digits .* not "my master"/],
    [`redis+sentinel://u:hun/${SECRET}@h/mymaster`, /has an "@" after its hosts/],
    [`redis+sentinel://u:${SECRET}#@h/mymaster`, /has a "#"/],
    [`redis+sentinel://:${SECRET}@h:port/mymaster`, /sentinels\[0\] must look like "host:port"/],
    [
      `redis+sentinel://:${SECRET}@h,h:0/mymaster`,
      /sentinels\[1\].port must be a whole number from 1 .* not "0"/,
    ],
    [`redis+sentinel://:${SECRET}%@h/mymaster`, /has a "%" in its password that begins no escape/],
    [`redis+sentinel://h/mymaster?password=${SECRET}`, /has the unknown query key "password"/],
    [{ url: `redis+sentinel://:${SECRET}@h/m` }, /pass "memory:" and "redis\+sentinel:" URLs by themselves/],
    ['redis://', /can't be read; it must look like redis:\/\//],
    ['redis:///0', /can't be read/],
    ['redis://h:70000', /can't be read/],
    ['redis://h:port', /can't be read/],
    ['redis://h:0', /port must be a whole number from 1 to 65535, not "0"/],
    ['redis://[::1', /can't be read/],
    ['redis:// h', /can't be read/],
    ['redis://h\n', /can't be read/],
    [`redis://:${SECRET}`, /can't be read/],
    [`redis://:${SECRET}/0`, /can't be read/],
    [`redis://:${SECRET}%@h`, /has a "%" in its password that begins no escape/],
    [`redis://:hun/${SECRET}@h`, /has an "@" after its host/],
    [`redis://:hun?${SECRET}@h`, /has an "@" after its host/],
    [`redis://:hun#${SECRET}@h`, /has an "@" after its host/],
    [`redis://u:p@h/0?${SECRET}@h`, /has an "@" after its host/],
    [`redis://:${SECRET}@h:1:2`, /can't be read/],
    [`redis://:${SECRET}@h/mydb`, /has the path "\/mydb"; it must be a database's number/],
    [`redis://:${SECRET}@h/0/1`, /has the path "\/0\/1"/],
    [`redis://:${SECRET}@h/-1`, /has the path "\/-1"/],
    [`redis://:${SECRET}@h/99999999999`, /db must be a whole number from 0 to 2147483647/],
    [`redis://h?password=${SECRET}`, /has the unknown query key "password"/],
    [`redis://:${SECRET}@h?tls=true`, /has the unknown query key "tls"/],
    ['redis://h?db=1', /has the unknown query key "db"/],
    ['redis://h?host=other', /has the unknown query key "host"/],
    [`unix:///run/redis?//:${SECRET}@h`, /has an unknown query key; known are keyPrefix/],
    [`/run/redis?${SECRET}`, /has an unknown query key; known are keyPrefix/],
    ['redis://h?keyPrefix=a&keyPrefix=b', /has the query key "keyPrefix" twice/],
    ['redis://h?connectTimeout=soon', /connectTimeout must be a whole number from 1 .* not "soon"/],
    ['redis://h?clientName=a%20b', /clientName must be .* without spaces, not "a b"/],
    [`redis://:${SECRET}@h#0`, /has a "#" after its host/],
    ['memory://', /must be memory:\/\/ and a name/],
    ['memory://a/b', /must be memory:\/\/ and a name/],
    [`memory://u:${SECRET}@a`, /must be memory:\/\/ and a name/],
    [new Map([['host', 'h']]), /an object with a host, not one without any of "host", "port"/],
    [{ name: SECRET }, /not one without any of "host", "port", "path", "url"/],
    [{ db: 3, password: SECRET }, /not one without any of "host"/],
    ...[
      ...[
        'hostname',
        'servers',
        'endpoint',
        'dbNumber',
        'keyprefix',
        'passwd',
        'user_name',
        'authToken',
        'uri',
      ],
      ...['sslOptions', 'tenant', 'namespace', 'nodes', 'masterName'],
    ].flatMap((word) => [
      [{ [word]: SECRET }, new RegExp(`has the unknown key "${word}", which may be meant to lead elsewhere`)],
      [{ host: 'h', [word]: SECRET }, new RegExp(`has the unknown key "${word}", which may be`)],
      [
        { cluster: ['h'], redisOptions: { [word]: SECRET } },
        new RegExp(`redisOptions has the unknown key "${word}"`),
      ],
      [{ sentinels: ['h'], name: 'm', [word]: SECRET }, new RegExp(`has the unknown key "${word}"`)],
    ]),
    [{ hostname: 'h', retryStrategy() {} }, /has the unknown key "hostname"/],
    [{ maxRetriesPerRequest: 3 }, /not one without any of "host"/],
    [{ socket: { hostname: SECRET } }, /socket\.hostname is unknown there/],
    [{ socket: { host: 'h', password: SECRET } }, /socket\.password is unknown there/],
    [{ socket: { host: 'h', lookup() {} } }, /socket\.lookup is unknown there/],
    [{ host: 'h', Connector: class {} }, /Connector can't be followed by a connection of our own/],
    [{ host: 'h', dnsLookup() {} }, /dnsLookup can't be followed/],
    [{ url: 'redis://h', credentialsProvider: {} }, /credentialsProvider can't be followed/],
    [{ host: 'h', rename_commands: { EVAL: SECRET } }, /rename_commands can't be followed/],
    [{ host: 'h', db: 1, database: 2 }, /has both "db" and "database", which say different things/],
    [{ host: 'h', prefix: 'a', keyPrefix: 'b' }, /has both "prefix" and "keyPrefix"/],
    [{ host: 1 }, /host must be a string, not of the type number$/],
    [{ host: '' }, /host must be the name or the address of a host$/],
    [{ host: `redis://:${SECRET}@h` }, /host must be the name or the address of a host$/],
    [{ host: 'h', port: 0 }, /port must be a whole number from 1 to 65535, not 0$/],
    [{ host: 'h', port: 65_536 }, /port must be .* not 65536$/],
    [{ host: 'h', port: 6379.5 }, /port must be .* not 6379.5$/],
    [{ host: 'h', port: NaN }, /port must be .* not NaN$/],
    [{ host: 'h', port: '6379x' }, /port must be .* not "6379x"$/],
    [{ host: 'h', port: {} }, /port must be .* not an object$/],
    [{ host: 'h', db: -1 }, /db must be a whole number from 0 .* not -1$/],
    [{ host: 'h', db: '' }, /db must be .* not ""$/],
    [{ host: 'h', password: 12345 }, /password must be a string, not of the type number$/],
    [{ host: 'h', password: [SECRET] }, /password must be a string, not of the type object$/],
    [{ host: 'h', username: {} }, /username must be a string/],
    [{ host: 'h', keyPrefix: 1 }, /keyPrefix must be a string/],
    [{ host: 'h', connectTimeout: -1 }, /connectTimeout must be .* not -1$/],
    [{ host: 'h', clientName: 'a b' }, /clientName must be/],
    [{ sentinels: SECRET, name: 'm' }, /sentinels must be an array, not a string$/],
    [{ sentinels: [], name: 'm' }, /sentinels must name at least one server$/],
    [{ sentinels: [{}], name: 'm' }, /sentinels\[0\] must have a host and a port$/],
    [
      { sentinels: [true], name: 'm' },
      /sentinels\[0\] must be "host:port", a URL or \{host, port\}, not true$/,
    ],
    [{ sentinels: [{ host: 'h' }] }, /name must say which master the sentinels are to be asked for/],
    [{ sentinels: [{ host: 'h' }], name: 'm', role: 'slave' }, /role must be "master", .* not "slave"$/],
    [{ sentinels: [{ host: 'h' }], name: 'm', natMap() {} }, /natMap is a function, which can't be called/],
    [
      { sentinels: [{ host: 'h' }], name: 'm', sentinelPassword: [SECRET] },
      /sentinelPassword must be a string, not of the type object$/,
    ],
    ...[
      [
        ['redis://:a@h', `redis://:${SECRET}@i`],
        /sentinels\[1\]\.password and .*sentinels\[0\]\.password differ/,
      ],
      [[`redis://:${SECRET}@h`, 'i'], /sentinels\[1\]\.password and .*sentinels\[0\]\.password differ/],
      [[{ host: 'h', username: SECRET }, 'i'], /\.username differ: .* give sentinelUsername alone/],
      [['rediss://h', 'redis://i'], /sentinels\[1\]\.tls and .*sentinels\[0\]\.tls differ/],
      [['rediss://h', { host: 'i', tls: { ca: SECRET } }], /\.tls differ: .* give sentinelTLS alone/],
    ].map(([sentinels, message]) => [{ sentinels, name: 'm' }, message]),
    [
      { sentinels: [`redis://:${SECRET}@h`], name: 'm', sentinelPassword: 'other' },
      /sentinels\[0\]\.password and instances\[1\]\.sentinelPassword differ/,
    ],
    [
      { sentinels: ['rediss://h'], name: 'm', sentinelTLS: false },
      /sentinels\[0\]\.tls and instances\[1\]\.sentinelTLS differ/,
    ],
    [
      { sentinels: [{ host: 'h', tls: false }], name: 'm', sentinelTLS: true },
      /sentinels\[0\]\.tls and instances\[1\]\.sentinelTLS differ/,
    ],
    [
      { sentinels: ['redis://h/2'], name: 'm' },
      /sentinels\[0\]\.db is of no use to a sentinel; give it beside/,
    ],
    [{ sentinels: [{ host: 'h', keyPrefix: '0' }], name: 'm' }, /sentinels\[0\]\.keyPrefix is of no use/],
    [
      { cluster: ['redis://u:a@h', 'i', `redis://u:${SECRET}@j`] },
      /cluster\[2\] and .*cluster\[0\] differ in username and password: .* give username and password once/,
    ],
    [{ cluster: [`redis://u:${SECRET}@h`, `redis://:${SECRET}@i`] }, /differ in username and password/],
    [
      {
        rootNodes: [{ url: `redis://u:${SECRET}@h` }, { url: 'redis://u:a@i' }],
        defaults: { password: 'a' },
      },
      /rootNodes\[1\] and .*rootNodes\[0\] differ in username and password/,
    ],
    [{ cluster: [{ host: 'h', tls: false }, 'rediss://i'] }, /cluster\[1\] and .*cluster\[0\] differ in tls/],
    [{ sentinels: [{ host: 'h' }], cluster: [1] }, /has both "sentinels" and "cluster"/],
    [{ cluster: { host: 'h' } }, /cluster must be an array, not an object$/],
    [{ cluster: `redis://:${SECRET}@h` }, /cluster must be an array, not a string$/],
    [{ cluster: [] }, /cluster must name at least one server$/],
    [{ cluster: [0] }, /cluster\[0\].port must be .* not 0$/],
    [{ cluster: ['h:1:2'] }, /cluster\[0\] must look like "host:port" or "\[::1\]:port"$/],
    [{ cluster: [`u:${SECRET}@h:1`] }, /cluster\[0\] must look like "host:port"/],
    [{ cluster: [`redis://:${SECRET}@h/1`] }, /is a cluster, which has no database but 0, not "?1"?$/],
    [{ cluster: ['h'], db: 2 }, /is a cluster, which has no database but 0, not 2$/],
    [{ cluster: ['memory://a'] }, /cluster\[0\].url must lead to a server/],
    [{ cluster: ['h'], redisOptions: SECRET }, /redisOptions must be an object/],
    [{ cluster: ['h'], redisOptions: { db: 1 } }, /has no database but 0, not 1$/],
    [{ cluster: ['h'], redisOptions: { keyPrefix: 'x' } }, /redisOptions.keyPrefix does nothing in ioredis/],
    [{ cluster: ['h'], natMap() {} }, /natMap is a function, which can't be called/],
    [{ cluster: ['h'], dnsLookup() {} }, /dnsLookup is a function, which can't be called/],
    [{ cluster: ['h'], natMap: { 'a:1': 'b:1' } }, /natMap\["a:1"\] must be \{host, port\}, not a string$/],
    [{ rootNodes: [{ url: 'redis://h' }], nodeAddressMap() {} }, /nodeAddressMap is a function/],
    [{ rootNodes: [{ url: 'redis://h' }], defaults: { database: 3 } }, /has no database but 0, not 3$/],
    [{ client: { get() {} } }, /instances\[1\]\.client must be a client of a Redis library, not an object$/],
    [{ client: 'redis://h', connections: 'bridge' }, /client must be a client .* not "redis:/],
    [
      { client: { eval() {} }, connections: 'nativ' },
      /connections must be one of "auto", "native", "bridge", not "nativ"$/,
    ],
    [
      { client: { eval() {} }, connections: 'native' },
      /can't be reached over a connection of our own.* What works: connections: 'auto'/,
    ],
    [() => {}, /must be a URL or an object with a host, not a function$/],
    [
      undefined,
      /must be a URL or an object with a host, not undefined \(is an environment variable unset\?\)$/,
    ],
    ['redis://a,redis://b', /has several URLs in one text: give an array with one address each$/],
    ['redis://h?tls=true', /has the unknown query key "tls"; .*\(for TLS write rediss:\/\//],
  ]) {
    test(`must not be ${inspect(instance)}`, () => {
      let error;
      assert.throws(
        () => new Redlock(['memory://fine', instance]),
        (thrown) => {
          error = thrown;
          return true;
        },
      );
      assert.match(error.message, message);
      assert.match(error.message, /^instances\[1\]/, 'it says which');
      assert.equal(error.code, 'ERR_REDLOCK_INVALID_INSTANCE');
      assert.ok(error instanceof TypeError || error instanceof RangeError);
      assert.ok(!inspect(error, { showHidden: true, depth: null }).includes(SECRET), inspect(error));
      assert.ok(!inspect(error, { showHidden: true, depth: null }).includes('hun/'), inspect(error));
    });
  }

  for (const instances of ['redis://h', { 0: 'redis://h', length: 1 }, new Set(['redis://h']), 1, () => {}]) {
    test(`comes in an array, not in ${inspect(instances)}`, () => {
      assert.throws(() => new Redlock(instances), {
        code: 'ERR_REDLOCK_INVALID_INSTANCES',
        name: 'TypeError',
        message: /^instances must be an array with one address each, not /,
      });
    });
  }

  test('has its unknown keys named in one warning, without their values', async (t) => {
    const warnings = [];
    const listener = (warning) => warnings.push(warning);
    process.on('warning', listener);
    t.after(() => process.off('warning', listener));
    read({ host: 'h', colour: SECRET, flavour: 4, family: 4, maxRetriesPerRequest: null });
    await new Promise(setImmediate);
    assert.equal(warnings.length, 1);
    assert.match(warnings[0].message, /instances\[0\] has unknown keys: "colour", "flavour" \(ignored\)/);
    assert.ok(!warnings[0].message.includes(SECRET));
  });
});
