/** Read by tsc alone (`npm run typecheck`): what must compile, and what must not. */

import type { EventEmitter } from 'node:events';
import type * as namespace from 'redlock-native';
import type Default from 'redlock-native';
import type {
  AcquireOptions,
  ArgumentError,
  ArgumentErrorCode,
  CallOptions,
  CompatibleRedisClient,
  Connection,
  ConnectionState,
  Disposer,
  Events,
  Histogram,
  Instance,
  InstanceErrorCode,
  LockLike,
  NodeRedisConfig,
  Options,
  PromiseLibrary,
  Script,
  ServerConfig,
  Stats,
  TlsOptions,
  TryOptions,
  Vote,
} from 'redlock-native';
import { ConnectionError, InstanceError, Lock, LockError, Redlock } from 'redlock-native';

import required = require('redlock-native');

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(_yes: Same<A, B>): void {}

same<typeof Default, typeof Redlock>(true);
same<typeof Default, typeof required>(true);
same<typeof Default, typeof namespace.default>(true);
same<typeof Lock, typeof Redlock.Lock>(true);
same<typeof LockError, typeof required.LockError>(true);
same<typeof ConnectionError, typeof Redlock.ConnectionError>(true);

const redlock: Default = new Redlock(
  ['redis://u:p@h:1/0', new URL('valkey://h'), { host: 'h', port: '6379', password: null }, 'memory://m'],
  { retryCount: -1, driftFactor: 0.02, deadlineFloor: 50, deadlineCeiling: 500 },
);
const emitter: EventEmitter = redlock;

const pem = new Uint8Array();
const tls: TlsOptions = { ca: ['…', pem], cert: pem, key: '…', servername: 'a', rejectUnauthorized: false };
const nodeRedis: NodeRedisConfig = { socket: { host: 'h', port: 6380, tls: true, ca: '…' }, database: 1 };
const everyForm: Instance[] = [
  'rediss://h',
  'unix:///run/redis.sock?db=2',
  '/run/redis.sock',
  new URL('valkeys://h'),
  { path: '/run/redis.sock', db: 2, username: 'u', password: 'p' },
  { host: 'h', tls: true, connectionName: 'n', keyPrefix: 'k:', connectTimeout: 100, protocol: 3 },
  { host: 'h', tls },
  { host: 'h', tls: { rejectUnauthorized: false }, database: '1' },
  { url: 'redis://h', name: 'n', username: null, keyPrefix: 'k:' },
  { url: 'rediss://h', socket: { connectTimeout: 100 }, tls },
  nodeRedis,
  'rediss+sentinel://u:p@a:26379,b/main/1?sentinel_password=s',
  { sentinels: [{ host: 'a' }, 'b:26379'], name: 'main', db: 1, sentinelPassword: 's', sentinelTLS: true },
  { sentinels: [{ host: 'a' }], name: 'main', role: 'master', tls, enableTLSForSentinelMode: true },
  { cluster: [7000, 'a:7001', new URL('redis://b'), { host: 'c', port: 7002 }], keyPrefix: '{k}' },
  { cluster: ['a'], redisOptions: { password: 'p', tls }, natMap: { '10.0.0.1:1': { host: 'a', port: 1 } } },
  { rootNodes: [{ url: 'redis://a' }], defaults: { username: 'u', socket: { tls: true } } },
];
new Redlock(everyForm);

// @ts-expect-error locks are not written to replicas
new Redlock([{ sentinels: [{ host: 'a' }], name: 'main', role: 'slave' }]);
// @ts-expect-error sentinels watch more than one master
new Redlock([{ sentinels: [{ host: 'a' }] }]);
// @ts-expect-error a function can't be called from a connection of our own
new Redlock([{ cluster: ['a'], natMap: (address: string) => address }]);
// @ts-expect-error a certificate is text or bytes
new Redlock([{ host: 'h', tls: { ca: 1 } }]);
// @ts-expect-error what is refused at run time
new Redlock([{ host: 'h', tls: { pfx: pem } }]);
// @ts-expect-error a flag
new Redlock([{ host: 'h', tls: { rejectUnauthorized: 0 } }]);
// @ts-expect-error there are two versions
new Redlock([{ host: 'h', protocol: 4 }]);
// @ts-expect-error a url in an object is text
new Redlock([{ url: new URL('redis://h') }]);
// @ts-expect-error beside it there is TLS or not
new Redlock([{ socket: { host: 'h', tls: {} } }]);
redlock.retryCount = Infinity;
redlock.retryDelay += 1;
redlock.retryDelay = (attempt: number) => attempt * 10;
new Redlock(['redis://h'], { retryDelay: (attempt) => attempt * 10 });

new Redlock({ retryCount: 1 }, 'redis://h', new URL('redis://i'));
new Redlock(undefined, 'redis://h');

// @ts-expect-error no instance after the options
new Redlock({ retryCount: 1 });
// @ts-expect-error instances are an array
new Redlock('redis://h');
// @ts-expect-error there must be instances
new Redlock();
// @ts-expect-error a port is a number or its digits
new Redlock([{ host: 'h', port: true }]);
new Redlock([{ host: 'h', family: 4, maxRetriesPerRequest: null, retryStrategy: () => 5 }]);
// @ts-expect-error no such option
new Redlock(['redis://h'], { retries: 3 });
// @ts-expect-error a number
new Redlock(['redis://h'], { retryCount: '3' });

async function promises(): Promise<void> {
  const lock = await redlock.lock('a', 1000);
  same<typeof lock, Lock>(true);
  same<Lock['resource'], string[]>(true);
  same<Lock['value'], string>(true);
  same<Lock['expiration'], number>(true);
  same<Lock['redlock'], Redlock>(true);
  const names: readonly string[] = ['a', 'b'];
  same<Awaited<ReturnType<typeof redlock.acquire>>, Lock>(true);
  await redlock.acquire(names, 1000, { retryCount: 0 });
  await redlock.lock('a', 1000, undefined);
  await redlock.lock('a', 1000, null, () => {});
  same<Awaited<ReturnType<typeof redlock.lockWithOptions>>, Lock>(true);
  await redlock.lockWithOptions(['a'], 1000, { retryCount: 0, retryDelay: 1 });
  await redlock.acquireWithOptions('a', 1000, {}, (_error, held) => void held?.value);

  const taken: Lock = await redlock._lock('a', null, 1000);
  const again: Lock = await redlock._lock(['a'], taken.value, 1000, { retryCount: 0 });
  await redlock._lock('a', again.value, 1000, null, (_error, held) => void held?.value);
  await redlock._lock('a', null, 1000, (error, held) => void [error, held]);
  redlock._random = () => 'mine';

  const extended = await redlock.extend(lock, 1000, { retryDelay: 1 });
  same<typeof extended, Lock>(true);
  const stored = { resource: 'a', value: 'v', expiration: 1, note: 'mine' };
  const same_object = await redlock.extend(stored, 1000);
  same<typeof same_object, typeof stored>(true);
  const own: Lock = await lock.extend(1000);
  same<ReturnType<typeof own.unlock>, Promise<void>>(true);
  await redlock.unlock(stored);
  await redlock.release(lock);
  const rebuilt = new Lock(redlock, 'a', 'v', Date.now() + 1000);
  await rebuilt.release();
  const data: { resource: string[]; value: string } = rebuilt.toJSON();
  const replies: unknown[] = await redlock.quit();

  // @ts-expect-error a ttl is a number
  await redlock.lock('a', '1000');
  // @ts-expect-error a resource is a name or several
  await redlock.lock(1, 1000);
  // @ts-expect-error no such option of a call
  await redlock.lock('a', 1000, { deadlineFloor: 1 });
  // @ts-expect-error nor of one by another name
  await redlock.lockWithOptions('a', 1000, { deadlineCeiling: 1 });
  // @ts-expect-error a value is text
  await redlock._lock('a', 1, 1000);
  // @ts-expect-error not a lock
  await redlock.unlock({ resource: 'a' });
  // @ts-expect-error a promise of a lock is no lock
  await redlock.unlock(redlock.lock('a', 1000));
  void [data, replies];
}

async function holding(): Promise<void> {
  const result = await redlock.using(['a'], 1000, async (signal, lock) => {
    same<typeof signal, AbortSignal>(true);
    same<typeof lock, Lock>(true);
    return 7;
  });
  same<typeof result, number>(true);
  const tried = await redlock.using('a', 1000, { tryLock: true, maxWait: 5 }, () => 'done');
  same<typeof tried, string | null>(true);
  const maybe = await redlock.lock('a', 1000, { tryLock: true });
  same<typeof maybe, Lock | null>(true);
  const controller = new AbortController();
  const sure = await redlock.acquire('a', 1000, {
    signal: controller.signal,
    maxWait: 100,
    autoExtend: { maxHold: 60_000, threshold: 500 },
  });
  same<typeof sure, Lock>(true);
  same<ReturnType<typeof sure.remaining>, number>(true);
  same<typeof sure.held, boolean>(true);
  sure.autoExtend({ ttl: 2000 }).signal.throwIfAborted();
  sure.stopExtending().held satisfies boolean;
  await redlock.lock('a', 1000, { retryDelay: (attempt) => Math.min(2000, 50 * 2 ** attempt) });
  (await redlock.quit({ unlock: true })) satisfies unknown[];
  redlock.quit(null, (error) => error?.message);
  // @ts-expect-error misspelt
  await redlock.lock('a', 1000, { autoextend: true });
  // @ts-expect-error misspelt
  await redlock.quit({ unlok: true });
  // @ts-expect-error no number
  await redlock.lock('a', 1000, { retryDelay: () => '20' });
  await sure[Symbol.asyncDispose]();
  same<ReturnType<Redlock[typeof Symbol.asyncDispose]>, Promise<void>>(true);
  const { held, instances } = await redlock.inspect('a');
  same<typeof held, boolean | undefined>(true);
  void instances[0].error?.message;
  const restored: Lock = redlock.restore(JSON.stringify(sure));
  redlock.on('lost', (error, lock) => void [error.code, lock?.resource]).on('unlockError', () => {});
  // @ts-expect-error a routine is needed
  await redlock.using('a', 1000, {});
  // @ts-expect-error one at a time
  await redlock.inspect(['a', 'b']);
  // @ts-expect-error in ms
  await redlock.lock('a', 1000, { maxWait: '1s' });
  void restored;
}

void holding;

function callbacks(): void {
  redlock.lock('a', 1000, (error, lock) => {
    same<typeof lock, Lock | undefined>(true);
    same<typeof error, LockError | ArgumentError | null>(true);
    if (error === null || error instanceof LockError) return;
    same<typeof error.code, ArgumentErrorCode>(true);
    // @ts-expect-error no argument of a lock's is called that
    void (error.code === 'ERR_REDLOCK_INVALID_NAME');
  });
  redlock.lock('a', 1000, { retryCount: 1 }, (_error, lock) => lock?.unlock((error) => void error?.message));
  redlock.unlock(new Lock(redlock, ['a'], 'v', 0), (error) => void error);
  redlock.quit((_error, replies) => same<typeof replies, unknown[] | undefined>(true));
  // @ts-expect-error an unlock has no result
  redlock.unlock(new Lock(redlock, ['a'], 'v', 0), (_error, _result) => {});
}

function events(): void {
  redlock
    .on('clientError', (error, instance) => {
      same<typeof error, Error | InstanceError>(true);
      const { index, address }: { index: number; address: string } = instance;
      void [index, address];
      if (!(error instanceof InstanceError)) return;
      same<typeof error.operation, 'lock' | 'extend' | 'unlock' | 'inspect'>(true);
      same<typeof error.reply, string | undefined>(true);
    })
    .once('connection', (connection) => same<typeof connection, Connection>(true))
    .once('anything else', (...args) => same<typeof args, unknown[]>(false));
  redlock.off('clientError', () => {});
  redlock.removeListener('connection', ({ address, state }) => void [address, state]);

  // Each event is the same to every method.
  type Said = [error: LockError, lock: Lock | undefined];
  redlock.on('lost', (...said) => same<typeof said, Said>(true));
  redlock.once('lost', (...said) => same<typeof said, Said>(true));
  redlock.addListener('lost', (...said) => same<typeof said, Said>(true));
  redlock.prependListener('unlockError', (...said) => same<typeof said, Said>(true));
  redlock.prependOnceListener('unlockError', (...said) => same<typeof said, Said>(true));
  redlock.off('unlockError', (...said) => same<typeof said, Said>(true));
  redlock.removeListener('lost', (...said) => same<typeof said, Said>(true));
  redlock.on('endangered', (error, lock) => void [error.remaining satisfies number, lock?.resource]);
  redlock.emit('lost', new LockError(), undefined) satisfies boolean;
  redlock.emit('anything else', 1, 'two') satisfies boolean;
  same<keyof Events, 'clientError' | 'connection' | 'endangered' | 'lost' | 'unlockError'>(true);

  // A listener may know more of its client's errors; and one that is passed on may be anybody's.
  class ReplyError extends Error {
    command = 'SET';
  }
  redlock.on('clientError', (error: ReplyError) => void error.command);
  const forward = (event: string, listener: (...args: unknown[]) => void) => redlock.on(event, listener);
  forward('lost', () => {});

  // @ts-expect-error an error, no number
  redlock.once('lost', (error: number) => void error);
  // @ts-expect-error an error comes with it
  redlock.emit('lost');
  // @ts-expect-error a listener is called
  redlock.on('anything else', 'twice');
}

async function trying(): Promise<void> {
  const tried = await redlock.tryLock('a', 1000);
  same<typeof tried, Lock | null>(true);
  same<Awaited<ReturnType<typeof redlock.tryLock>>, Lock | null>(true);
  await redlock.tryLock(['a', 'b'], 1000, { maxWait: 5, autoExtend: true });
  await redlock.lock('a', 1000, { fair: true });
  await redlock.tryLock('a', 1000, (_error, lock) => same<typeof lock, Lock | null | undefined>(true));
  await redlock.tryLock('a', 1000, null, (_error, lock) => same<typeof lock, Lock | null | undefined>(true));
  // @ts-expect-error that is what it does
  await redlock.tryLock('a', 1000, { tryLock: true });
  // @ts-expect-error misspelt
  await redlock.tryLock('a', 1000, { maxwait: 5 });

  // The option says what comes of a call, also where nobody knows whether it is true.
  const may = Math.random() < 0.5;
  const perhaps = await redlock.acquire('a', 1000, { tryLock: may });
  same<typeof perhaps, Lock | null>(true);
  const sure = await redlock.lockWithOptions('a', 1000, { tryLock: false, maxWait: 5 });
  same<typeof sure, Lock>(true);
  const stored: AcquireOptions = { maxWait: 5 };
  same<Awaited<ReturnType<typeof redlock.lock>>, Lock>(true);
  (await redlock.lock('a', 1000, stored)) satisfies Lock;
  const trial: TryOptions = { tryLock: true };
  const found = await redlock.lock('a', 1000, trial, (_error, lock) => {
    same<typeof lock, Lock | null | undefined>(true);
  });
  same<typeof found, Lock | null>(true);
  // @ts-expect-error misspelt, beside one that isn't
  await redlock.lock('a', 1000, { maxWait: 5, autoextend: true });
  const number = await redlock.using<number>('a', 1000, { maxWait: 5 }, () => 7);
  same<typeof number, number>(true);
}

async function stats(): Promise<void> {
  const { acquires, holds, lost, instances }: Stats = await redlock.stats();
  const { duration, attempts } = acquires.too_slow;
  for (const histogram of [duration, attempts, holds.released] satisfies Histogram[]) {
    for (const { le, count } of histogram.buckets) void (le * count * histogram.sum);
  }
  same<typeof lost.ERR_REDLOCK_EXPIRED, number>(true);
  for (const { address, votes, failures } of instances)
    void [address, votes.held, failures.ERR_REDLOCK_SILENT];
  // @ts-expect-error there is no such outcome
  void acquires.lost;
}

function connections(): void {
  same<typeof redlock.connections, Connection[]>(true);
  for (const connection of redlock.connections) {
    const { index, address, db, state, since, lastError, mode, reasons, noWakeups } = connection;
    same<typeof mode, 'native' | 'bridge'>(true);
    same<typeof reasons, readonly string[]>(true);
    same<typeof index, number>(true);
    same<typeof address, string>(true);
    same<typeof db, number | undefined>(true);
    same<typeof state, ConnectionState>(true);
    same<ConnectionState, 'connecting' | 'ready' | 'down'>(true);
    same<typeof since, Date>(true);
    same<typeof lastError, ConnectionError | undefined>(true);
    same<typeof noWakeups, string | undefined>(true);
    if (lastError) same<typeof lastError.code, InstanceErrorCode>(true);
    if (lastError instanceof ConnectionError) same<typeof lastError.reply, string | undefined>(true);
  }
  const [first] = redlock.connections;
  // @ts-expect-error it is frozen
  first.state = 'ready';
  // @ts-expect-error it can't be replaced
  redlock.connections = [];
  // @ts-expect-error made here only
  new ConnectionError();
}

function scripts(): void {
  const own = new Redlock(['redis://h'], {
    lockScript: (text) => `-- mine\n${text}`,
    unlockScript: (text: string) => text,
    extendScript: () => 'return #KEYS',
  });
  same<typeof own.scripts.lockScript, Script>(true);
  own.scripts.lockScript.value = own.lockScript + own.unlockScript + own.extendScript;
  same<typeof own.scripts.extendScript.hash, string>(true);
  same<typeof own.servers, (string | CompatibleRedisClient)[]>(true);
  // @ts-expect-error a function from our text to yours
  new Redlock(['redis://h'], { lockScript: 'return #KEYS' });
  // @ts-expect-error it returns the text
  new Redlock(['redis://h'], { unlockScript: () => 1 });
  // @ts-expect-error scripts.lockScript.value is what is read
  own.lockScript = 'return #KEYS';
}

/** As `Promise.using` of bluebird's types takes its first argument. */
class BluebirdDisposer<_R> {}
declare function using<R, T>(disposer: BluebirdDisposer<R>, use: (held: R) => PromiseLike<T>): Promise<T>;

function disposers(): void {
  const disposer = redlock.disposer(['a'], 1000, (error) => console.error(error.message));
  same<typeof disposer, Disposer<Lock>>(true);
  const used: Promise<number> = using(redlock.disposer('a', 1000), async (lock: Lock) => lock.expiration);
  // @ts-expect-error no promise
  disposer.then();
  // @ts-expect-error a handler, no options
  redlock.disposer('a', 1000, { retryCount: 0 });

  same<typeof Redlock.Promise, PromiseLibrary>(true);
  Redlock.Promise = Promise;
  required.Promise = class Mine<T> extends Promise<T> {};
  // @ts-expect-error it can't make promises
  Redlock.Promise = {};
  void used;
}

function errors(error: unknown): string {
  if (error instanceof LockError) {
    same<typeof error.votes, Vote[]>(true);
    for (const { address, vote, error: failure } of error.votes) {
      same<typeof vote, 'granted' | 'held' | 'failed' | 'pending'>(true);
      if (failure instanceof InstanceError) return `${address} ${failure.code} ${failure.instance}`;
    }
    switch (error.code) {
      case 'ERR_REDLOCK_HELD':
        return error.resource.join();
      // @ts-expect-error no such code
      case 'ERR_REDLOCK_TAKEN':
        return '';
    }
    return error.cause?.message ?? `${error.attempts}`;
  }
  return new LockError('no', 3).message;
}

const options: Options = {};
const perCall: CallOptions = options;
const config: ServerConfig = { host: 'h' };
const lockLike: LockLike = new Lock(redlock, 'a', 'v', 0);
void [emitter, promises, callbacks, events, trying, connections, stats, scripts, disposers, errors];
void [perCall, config, lockLike];
