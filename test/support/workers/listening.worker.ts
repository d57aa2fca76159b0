import { executionAsyncId } from 'node:async_hooks';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { NestFactory } from '@nestjs/core';
import { RedisCacheModule, RedisCacheStore } from 'nestjs-redis-cache-store';

/** Whether async hooks give each promise of the process an id of its own, which costs each of them time. */
async function followsPromises(): Promise<boolean> {
  const ids = new Set<number>();
  for (let i = 0; i < 3; i++) await Promise.resolve().then(() => ids.add(executionAsyncId()));
  return ids.size > 1;
}

/** The same before, while and after somebody listens to the calls of a store. (Jest itself follows promises.) */
export async function followedPromises(): Promise<boolean[]> {
  const root = RedisCacheModule.forRoot({ url: 'memory:', ttl: '1h' });
  const app = await NestFactory.createApplicationContext(root, { logger: false });
  const store = app.get(RedisCacheStore);
  const name = 'tracing:nestjs-redis-cache-store:call:start';
  const listener = () => {};
  const followed: boolean[] = [];
  const call = async () => [await store.get('a'), followed.push(await followsPromises())];
  await call();
  subscribe(name, listener);
  await call();
  unsubscribe(name, listener);
  await call();
  await app.close();
  return followed;
}
