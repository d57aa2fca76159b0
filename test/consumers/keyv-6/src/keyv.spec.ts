import 'reflect-metadata';
import testSuite, { keyvIteratorTests } from '@keyv/test-suite';
import { NestFactory } from '@nestjs/core';
import { Keyv } from 'keyv';
import { CacheUnavailableError, RedisCacheModule, RedisCacheStore } from 'nestjs-redis-cache-store';
import { RedisCacheKeyvAdapter } from 'nestjs-redis-cache-store/keyv';
import * as vitest from 'vitest';

const start = (url: string | undefined, timeout: string) =>
  NestFactory.createApplicationContext(
    RedisCacheModule.forRoot({ url, namespace: 'keyv-6', ttl: null, startup: 'background', timeout }),
    { logger: false },
  );
const app = await start(process.env['REDIS_URL'], '5s');
const open = () => new RedisCacheKeyvAdapter(app.get(RedisCacheStore));
const { afterAll, describe, expect, it } = vitest;

/** The suite is of Keyv 5, whose `deleteMany` gives one boolean; that of Keyv 6 gives one for each key. */
const FOR_KEYV_5 = '.deleteMany([keys]) with nonexistent keys resolves to false';
const suite = {
  ...vitest,
  it: (title: string, run: vitest.TestFunction) => (title === FOR_KEYV_5 ? it.skip : it)(title, run),
} as typeof vitest;

afterAll(() => app.close());
describe('the adapter passes the suite of Keyv', () => {
  testSuite(suite, Keyv, open);
  keyvIteratorTests(suite, Keyv, open);
});

describe('on Keyv 6 the adapter', () => {
  const LONG = 'x'.repeat(10_000);

  it('keeps keys apart that begin with the namespace', async () => {
    const keyv = new Keyv({ store: open(), namespace: 'a' });
    await keyv.set('key', 1);
    await keyv.set('a:key', 2);
    expect(await keyv.getMany(['key', 'a:key'])).toEqual([1, 2]);
    expect(await app.get(RedisCacheStore).keys({ prefix: 'a:' })).toEqual(['a:a:key', 'a:key']);
    await keyv.clear();
  });

  it('gives keys back when it iterates, and clears a namespace, long keys included', async () => {
    const [keyv, other] = ['a', 'b'].map((namespace) => new Keyv({ store: open(), namespace }));
    for (const key of ['key', LONG]) await keyv?.set(key, key.length);
    await other?.set(LONG, 1);
    const entries = [];
    for await (const [key, value] of keyv?.iterator() ?? []) entries.push([String(key).length, value]);
    expect(entries.toSorted(([a], [b]) => a - b)).toEqual([
      [3, 3],
      [LONG.length, LONG.length],
    ]);
    await keyv?.clear();
    expect([await keyv?.get(LONG), await other?.get(LONG)]).toEqual([undefined, 1]);
    await other?.clear();
  });

  it('obeys the ttl of Keyv', async () => {
    const keyv = new Keyv({ store: open(), namespace: 'a' });
    await keyv.set('key', 1, 60_000);
    const ttl = await app.get(RedisCacheStore).ttl('a:key');
    expect(ttl).toBeGreaterThan(50_000);
    expect(ttl).toBeLessThanOrEqual(60_000);
    await keyv.clear();
  });

  it('answers that all keys were deleted if one of them was there', async () => {
    const keyv = new Keyv({ store: open(), namespace: 'a' });
    await keyv.set('key', 1);
    expect(await keyv.deleteMany(['key', 'none'])).toEqual([true, true]);
    expect(await keyv.deleteMany(['key', 'none'])).toEqual([false, false]);
  });

  it('rejects in an outage, unless there are listeners for errors, which hear of it then', async () => {
    const down = await start('redis://127.0.0.1:1', '100ms');
    const keyv = new Keyv({ store: new RedisCacheKeyvAdapter(down.get(RedisCacheStore)) });
    for (const call of [() => keyv.get('key'), () => keyv.set('key', 1), () => keyv.delete('key')]) {
      await expect(call()).rejects.toThrow(CacheUnavailableError);
    }
    const errors: unknown[] = [];
    keyv.on('error', (error: unknown) => errors.push(error));
    expect([await keyv.get('key'), await keyv.set('key', 1), await keyv.delete('key')]).toEqual([
      undefined,
      false,
      false,
    ]);
    expect(errors.length).toBeGreaterThanOrEqual(3);
    for (const error of errors) expect(error).toBeInstanceOf(CacheUnavailableError);
    await down.close();
  });
});
