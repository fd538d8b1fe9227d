/** Read by tsc alone (`npm run typecheck`): what must compile, and what must not. */

import type { EventEmitter } from 'node:events';
import type * as namespace from 'redlock-native';
import type Default from 'redlock-native';
import type { CallOptions, LockLike, Options, ServerConfig, Vote } from 'redlock-native';
import { InstanceError, Lock, LockError, Redlock } from 'redlock-native';

import required = require('redlock-native');

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(_yes: Same<A, B>): void {}

same<typeof Default, typeof Redlock>(true);
same<typeof Default, typeof required>(true);
same<typeof Default, typeof namespace.default>(true);
same<typeof Lock, typeof Redlock.Lock>(true);
same<typeof LockError, typeof required.LockError>(true);

const redlock: Default = new Redlock(
  ['redis://u:p@h:1/0', new URL('valkey://h'), { host: 'h', port: '6379', password: null }, 'memory://m'],
  { retryCount: -1, driftFactor: 0.02, deadlineFloor: 50, releaseDeadline: 500 },
);
const emitter: EventEmitter = redlock;
redlock.retryCount = Infinity;
redlock.retryDelay += 1;

// @ts-expect-error instances are an array
new Redlock('redis://h');
// @ts-expect-error there must be instances
new Redlock();
// @ts-expect-error a port is a number or its digits
new Redlock([{ host: 'h', port: true }]);
// @ts-expect-error no such key
new Redlock([{ host: 'h', family: 4 }]);
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
  const replies: string[] = await redlock.quit();

  // @ts-expect-error a ttl is a number
  await redlock.lock('a', '1000');
  // @ts-expect-error a resource is a name or several
  await redlock.lock(1, 1000);
  // @ts-expect-error no such option of a call
  await redlock.lock('a', 1000, { deadlineFloor: 1 });
  // @ts-expect-error not a lock
  await redlock.unlock({ resource: 'a' });
  // @ts-expect-error a promise of a lock is no lock
  await redlock.unlock(redlock.lock('a', 1000));
  void [data, replies];
}

function callbacks(): void {
  redlock.lock('a', 1000, (error, lock) => {
    same<typeof lock, Lock | undefined>(true);
    same<typeof error, LockError | TypeError | RangeError | null>(true);
  });
  redlock.lock('a', 1000, { retryCount: 1 }, (_error, lock) => lock?.unlock((error) => void error?.message));
  redlock.unlock(new Lock(redlock, ['a'], 'v', 0), (error) => void error);
  redlock.quit((_error, replies) => same<typeof replies, string[] | undefined>(true));
  // @ts-expect-error an unlock has no result
  redlock.unlock(new Lock(redlock, ['a'], 'v', 0), (_error, _result) => {});
}

function events(): void {
  redlock
    .on('clientError', (error, instance) => {
      same<typeof error, InstanceError>(true);
      const { index, address }: { index: number; address: string } = instance;
      void [index, address];
      same<typeof error.operation, 'lock' | 'extend' | 'unlock'>(true);
      same<typeof error.reply, string | undefined>(true);
    })
    .once('anything else', (...args) => void args);
  redlock.off('clientError', () => {});
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
void [emitter, promises, callbacks, events, errors, perCall, config, lockLike];
