import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { RedisCacheModule, RedisCacheStore } from 'nestjs-redis-cache-store';

/** Vitest and Jest each have a global of their own. */
declare const vi: typeof jest | undefined;
const timers = typeof vi === 'undefined' ? import.meta.jest : vi;

describe('with fake timers that begin after the boot', () => {
  afterEach(() => void timers.useRealTimers());

  it('calls are answered by Redis', async () => {
    const options = { url: process.env.REDIS_URL, namespace: 'timers', ttl: '1m' };
    const app = await NestFactory.createApplicationContext(RedisCacheModule.forRoot(options), { logger: ['error'] });
    const store = app.get(RedisCacheStore);
    timers.useFakeTimers();
    await store.put('key', 1, { tags: ['tag'] });
    expect(await store.update<number>('key', (value) => value + 1)).toBe(2);
    expect(await store.keys({ tag: 'tag' })).toEqual(['key']);
    expect(await store.take('key')).toBe(2);
    timers.useRealTimers();
    await app.close();
  });
});
