// A second instance of the application, whose writes outdate what others keep.
import { setTimeout as sleep } from 'node:timers/promises';
import { NestFactory } from '@nestjs/core';
import { RedisCacheModule, RedisCacheStore } from 'nestjs-redis-cache-store';

const module = RedisCacheModule.forRoot({ url: process.env['REDIS_URL'] ?? '', namespace: 'near', nearCache: true });
const app = await NestFactory.createApplicationContext(module, { logger: false });
const store = app.get(RedisCacheStore);

/** Counts every key up, one after the other; when each count of each key was acknowledged, by a clock all processes share. */
export async function countUp(keys: readonly string[], rounds: number): Promise<Map<string, bigint[]>> {
  const acknowledged = new Map<string, bigint[]>(keys.map((key) => [key, []]));
  for (let count = 0; count < rounds; count++) {
    await Promise.all(
      keys.map(async (key) => {
        await store.put(key, count);
        acknowledged.get(key)?.push(process.hrtime.bigint());
      }),
    );
    await sleep(Math.random() * 4);
  }
  return acknowledged;
}

/** When it was acknowledged. */
export async function revoke(key: string): Promise<bigint> {
  await store.delete(key);
  return process.hrtime.bigint();
}
