import { Cache, CACHE_MANAGER, CacheModule } from '@nestjs/cache-manager';
import { Test } from '@nestjs/testing';
import { Keyv } from 'keyv';
import { CacheUnavailableError, RedisCacheModule, RedisCacheStore } from 'nestjs-redis-cache-store';
import { RedisCacheKeyvAdapter } from 'nestjs-redis-cache-store/keyv';
import { SILENT } from '../support/cache-app.js';
import { eventually } from '../support/eventually.js';
import { RedisServer } from '../support/redis-server.js';
import { Stage } from '../support/stage.js';

const LONG = 'x'.repeat(10_000);

describe('the adapter for Keyv', () => {
  let stage: Stage;
  let store: RedisCacheStore;

  beforeAll(async () => {
    stage = await Stage.redis();
  });
  beforeEach(async () => {
    store = await stage.open({ namespace: 'keyv', ttl: null });
    await store.clear();
  });
  afterEach(() => stage.clean());
  afterAll(() => stage.stop());

  const open = () => new RedisCacheKeyvAdapter(store);
  const cache = (namespace?: string) => new Keyv({ store: open(), ...(namespace && { namespace }) });

  it.each([
    ['long', LONG],
    ['empty', ''],
    ['made of a lone surrogate', '\uD800'],
    ['like a hash', `#${'0'.repeat(64)}`],
  ])('keeps a value under a key that is %s', async (_, key) => {
    const keyv = cache('a');
    await keyv.setMany([
      { key, value: 1 },
      { key: `${key}\uD801`, value: 2 },
    ]);
    expect(await keyv.getMany([key, `${key}\uD801`, `${key}\uD802`])).toEqual([1, 2, undefined]);
    expect([await keyv.has(key), await keyv.get(key)]).toEqual([true, 1]);
    expect([await keyv.delete(key), await keyv.delete(key), await keyv.get(key)]).toEqual([true, false, undefined]);
  });

  it('gives long keys back when it iterates, and only those of the namespace', async () => {
    await cache('a').set(LONG, 1);
    await cache('a').set('b:c', 2);
    await cache('ab').set(LONG, 3);
    const entries = [];
    for await (const entry of cache('a').iterator?.(undefined) ?? []) entries.push(entry);
    expect(entries.toSorted(([a], [b]) => String(a).length - String(b).length)).toEqual([
      ['b:c', 2],
      [LONG, 1],
    ]);
  });

  it('clears long keys with their namespace, and no others', async () => {
    await cache('a').set(LONG, 1);
    await cache('ab').set(LONG, 2);
    await cache('a').clear();
    expect([await cache('a').get(LONG), await cache('ab').get(LONG)]).toEqual([undefined, 2]);
  });

  it.each([
    { useKeyPrefix: true, key: 'a:a:key' },
    { useKeyPrefix: false, key: 'a:key' },
  ])('keeps a namespace whether or not Keyv puts it before keys: $useKeyPrefix', async ({ useKeyPrefix, key }) => {
    const keyv = new Keyv({ store: open(), namespace: 'a', useKeyPrefix });
    await keyv.set('key', 1);
    expect(await store.keys()).toEqual([key]);
    expect(await keyv.get('key')).toBe(1);
    const keys = [];
    for await (const [each] of keyv.iterator?.(undefined) ?? []) keys.push(each);
    expect(keys).toEqual(['key']);
    await keyv.clear();
    expect(await keyv.get('key')).toBeUndefined();
  });

  it('keeps keys apart that begin with the namespace, if Keyv leaves it to the adapter', async () => {
    const keyv = new Keyv({ store: open(), namespace: 'a', useKeyPrefix: false });
    await keyv.setMany([
      { key: 'key', value: 1 },
      { key: 'a:key', value: 2 },
    ]);
    expect(await keyv.get(['key', 'a:key'])).toEqual([1, 2]);
  });

  it('lets records live as long as Keyv says, and without that as long as the store says', async () => {
    const short = await stage.open({ namespace: 'short', ttl: '1h' });
    const keyv = new Keyv({ store: new RedisCacheKeyvAdapter(short), namespace: 'a', useKeyPrefix: false });
    await keyv.set('given', 1, 5000.5);
    await keyv.set('over', 1, -5);
    await keyv.set('usual', 1);
    expect(await short.ttl('a:given')).toBeLessThanOrEqual(5001);
    expect(await short.ttl('a:usual')).toBeGreaterThan(3_500_000);
    expect(await keyv.get('over')).toBeUndefined();
  });

  it('keeps values of every kind where Keyv does not make texts of them', async () => {
    const keyv = new Keyv({ store: open(), serialize: undefined, deserialize: undefined });
    const value = { at: new Date(5), ids: new Set([1]) };
    await keyv.set('key', value);
    expect(await keyv.get('key')).toEqual(value);
  });

  it('carries the cache of @nestjs/cache-manager over two instances', async () => {
    const start = () =>
      Test.createTestingModule({
        imports: [
          RedisCacheModule.forRoot({ url: stage.url, namespace: 'shared', ttl: '1h', timeout: '10s' }),
          CacheModule.registerAsync({
            inject: [RedisCacheStore],
            useFactory: (shared: RedisCacheStore) => ({ stores: new RedisCacheKeyvAdapter(shared) }),
          }),
        ],
      })
        .setLogger(SILENT)
        .compile();
    const apps = [await start(), await start()];
    const [a, b] = apps.map((app) => app.get<Cache>(CACHE_MANAGER));
    await a?.set('price', { cents: 5 }, 60_000);
    await a?.mset([{ key: LONG, value: 7, ttl: 60_000 }]);
    expect(await b?.mget(['price', LONG, 'none'])).toEqual([{ cents: 5 }, 7, undefined]);
    await b?.del('price');
    expect(await a?.get('price')).toBeUndefined();
    await b?.clear();
    expect(await a?.get(LONG)).toBeUndefined();
    await Promise.all(apps.map((app) => app.close()));
  });
});

describe('in an outage the adapter for Keyv', () => {
  let server: RedisServer;
  let stage: Stage;

  beforeEach(async () => {
    stage = await Stage.redis();
    server = stage.server;
  });
  afterEach(() => stage.stop());

  it('gives what Keyv gives then, and tells its listeners why, each failure once', async () => {
    const keyv = new Keyv({ store: new RedisCacheKeyvAdapter(await stage.open({ ttl: '1h', timeout: '500ms' })) });
    await keyv.set('key', 1);
    await server.kill9();
    expect([await keyv.get('key'), await keyv.set('key', 2)]).toEqual([undefined, false]);
    const errors: unknown[] = [];
    keyv.on('error', (error) => errors.push(error));
    expect([await keyv.get('key'), await keyv.set('key', 2), await keyv.delete('key')]).toEqual([
      undefined,
      false,
      false,
    ]);
    await keyv.clear();
    await eventually(() => expect(errors).toHaveLength(4));
    for (const error of errors) expect(error).toBeInstanceOf(CacheUnavailableError);
  });

  it('lets a caller that asks for errors tell it from a miss', async () => {
    const adapter = new RedisCacheKeyvAdapter(await stage.open({ ttl: '1h', timeout: '500ms' }));
    const keyv = new Keyv({ store: adapter, throwOnErrors: true });
    await server.kill9();
    const calls = [keyv.get('key'), keyv.get(['key']), keyv.set('key', 1), keyv.delete('key'), keyv.has('key')];
    for (const result of await Promise.allSettled(calls)) {
      expect(result).toMatchObject({ reason: expect.any(CacheUnavailableError) });
    }
    await expect(adapter.get('key')).rejects.toThrow(CacheUnavailableError);
  });
});
