// A second instance of the application, whose writes outdate what others keep.
import { setTimeout as sleep } from 'node:timers/promises';
import { NestFactory } from '@nestjs/core';
import { RedisCacheModule, RedisCacheStore } from 'nestjs-redis-cache-store';

const module = RedisCacheModule.forRoot({ url: process.env['REDIS_URL'] ?? '', namespace: 'near', nearCache: true });
const app = await NestFactory.createApplicationContext(module, { logger: false });
const store = app.get(RedisCacheStore);

/** Counts every key up; when each count was acknowledged, by a clock that all processes share. */
export async function countUp(
  keys: readonly string[],
  from: number,
  to: number,
): Promise<[key: string, at: bigint[]][]> {
  return Promise.all(
    keys.map(async (key) => {
      const acknowledged: bigint[] = [];
      for (let count = from; count < to; count++) {
        await sleep(Math.random() * 8);
        await store.put(key, count);
        acknowledged.push(process.hrtime.bigint());
      }
      return [key, acknowledged] as [string, bigint[]];
    }),
  );
}

/** When it was acknowledged. */
export async function revoke(key: string): Promise<bigint> {
  await store.delete(key);
  return process.hrtime.bigint();
}
