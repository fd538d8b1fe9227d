/** Read by tsc alone (`npm run typecheck`): the clients people have are taken as they are, without a cast. */

import { GlideClient, GlideClusterClient } from '@valkey/valkey-glide';
import Ioredis5 from 'ioredis';
import Ioredis4 from 'ioredis-4';
import Ioredis6 from 'ioredis-6';
import IoredisMock from 'ioredis-mock';
import Iovalkey from 'iovalkey';
import * as redis3 from 'redis-3';
import * as redis4 from 'redis-4';
import * as redis5 from 'redis-5';
import * as redis6 from 'redis-6';
import { type CompatibleRedisClient, type Instance, Redlock } from 'redlock-native';

async function everyClient(): Promise<Instance[]> {
  return [
    new Ioredis4(),
    new Ioredis4.Cluster([]),
    new Ioredis5(),
    new Ioredis5.Cluster([]),
    new Ioredis6(),
    new Ioredis6.Cluster([]),
    new Iovalkey(),
    new IoredisMock(),
    redis3.createClient(6379, 'h'),
    redis4.createClient({ url: 'redis://h' }),
    redis4.createCluster({ rootNodes: [] }),
    redis5.createClient({ url: 'redis://h' }),
    redis5.createClient().legacy(),
    redis5.createCluster({ rootNodes: [] }),
    redis5.createSentinel({ name: 'n', sentinelRootNodes: [] }),
    redis5.createClientPool(),
    redis6.createClient({ RESP: 3 }),
    redis6.createCluster({ rootNodes: [] }),
    redis6.createSentinel({ name: 'n', sentinelRootNodes: [] }),
    redis6.createClientPool(),
    await GlideClient.createClient({ addresses: [] }),
    await GlideClusterClient.createClient({ addresses: [] }),
    { eval: async (_script: string, _keys: number, ..._rest: string[]) => 1 },
    { client: new Ioredis5(), connections: 'bridge' },
    { client: redis5.createClient() },
  ];
}

async function use(): Promise<void> {
  const redlock = new Redlock(await everyClient(), { connections: 'native' });
  const [first] = redlock.servers;
  const client: string | CompatibleRedisClient = first;
  // @ts-expect-error there are three ways
  new Redlock([new Ioredis5()], { connections: 'both' });
  // @ts-expect-error a client can do something
  new Redlock([{ client: {} }]);
  void client;
}

void use;
