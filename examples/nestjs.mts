// Shows a NestJS module that has one Redlock for the whole application and ends it with it.
// Run it: node examples/run.js nestjs

import 'reflect-metadata';
import { setTimeout as sleep } from 'node:timers/promises';

import { ConflictException, Inject, Injectable, Module, type OnApplicationShutdown } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import Redlock, { LockError } from 'redlock-native';

const urls = (process.env.REDIS_URLS ?? 'redis://localhost:6379').split(',');

@Module({
  providers: [{ provide: Redlock, useFactory: () => new Redlock(urls) }],
  exports: [Redlock],
})
class RedlockModule implements OnApplicationShutdown {
  @Inject(Redlock) private readonly redlock!: Redlock;

  // What is held goes to other processes at once.
  async onApplicationShutdown(): Promise<void> {
    await this.redlock.quit({ unlock: true });
  }
}

@Injectable()
class Payments {
  @Inject(Redlock) private readonly redlock!: Redlock;

  async pay(order: string): Promise<string> {
    try {
      return await this.redlock.using(`order:${order}`, 5000, { retryCount: 0 }, async (signal) => {
        await sleep(100, undefined, { signal });
        return `${order} is paid`;
      });
    } catch (error) {
      if (error instanceof LockError && error.code === 'ERR_REDLOCK_HELD') {
        throw new ConflictException(`${order} is being paid`);
      }
      throw error;
    }
  }
}

@Module({ imports: [RedlockModule], providers: [Payments] })
class App {}

const app = await NestFactory.createApplicationContext(App, { logger: false });
const payments = app.get(Payments);
for (const result of await Promise.allSettled([payments.pay('42'), payments.pay('42')])) {
  if (result.status === 'fulfilled') console.log(result.value);
  else console.log(`${result.reason.getStatus()}: ${result.reason.message}`);
}
await app.close();
