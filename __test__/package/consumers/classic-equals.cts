import Async = require('redlock-native/redlock-async');
import V0 = require('redlock-native/v0');
import V1 = require('redlock-native/v1');
import V2 = require('redlock-native/v2');
import V3 = require('redlock-native/v3');
import V4 = require('redlock-native/v4');

async function main(): Promise<void> {
  const options: V4.Options = { retryCount: 0 };
  const redlock: V4 = new V4(['memory://a'], options);
  const lock: V4.Lock = await redlock.lockWithOptions(['invoice', 'order'], 5000, { retryCount: 1 });
  const remaining: number = lock.attemptsRemaining;
  const same: V4.Lock = await lock.extend(5000);
  await redlock
    .lock('invoice', 5000)
    .then(() => remaining)
    .catch(V4.LockError, (error: V4.LockError) => error.attempts);
  same.unlock((error) => error?.code);
  const [name, attempts]: [string, number] = await new V3(['memory://c'])
    .lock('invoice', 5000)
    .then(({ resource, attempts }) => [resource, attempts]);
  const rebuilt = new V2.Lock(new V2(['memory://d']), name, 'value', attempts);
  await rebuilt.unlock().tap(() => undefined);
  const held: Async.Lock = await new Async(['memory://e']).lock('invoice', 5000);
  await held.unlock();
  await new V1(['memory://f'], options).acquire('invoice', 5000);
  new V0(options, 'memory://g').lock('invoice', 5000, (error, last) => {
    if (error) throw error;
    last.unlock(() => console.log('released'));
  });
}

// @ts-expect-error: the types are there, and not any
export const refused: V4.Options = { retryCount: 'often' };
// @ts-expect-error: before redlock 4, one resource
new V3(['memory://h']).lock(['a', 'b'], 5000).catch(() => undefined);

main();
