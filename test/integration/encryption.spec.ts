import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import {
  CacheConfigError,
  CacheCorruptError,
  jsonSerializer,
  type RedisCacheModuleOptions,
} from 'nestjs-redis-cache-store';
import { CacheApp } from '../support/cache-app.js';
import { commandsDuring } from '../support/command-stats.js';
import { reasonOf } from '../support/reason-of.js';
import { Stage } from '../support/stage.js';

const [newKey, otherKey] = [randomBytes(32), randomBytes(32)];

describe('encryption on Redis', () => {
  let stage: Stage;
  let raw: Redis;
  beforeAll(async () => {
    stage = await Stage.redis();
    raw = stage.server.client();
  });
  afterEach(async () => {
    await stage.clean();
    await stage.server.cli('FLUSHALL');
  });
  afterAll(() => stage?.stop());

  const open = (options: RedisCacheModuleOptions) => stage.open({ namespace: 'session', ttl: '1h', ...options });

  /** Every byte that somebody with access to Redis can read: names and contents. */
  async function allThatLies(): Promise<string> {
    const seen: unknown[] = [];
    for (const name of await raw.keys('*')) {
      const type = await raw.type(name);
      expect(['string', 'zset']).toContain(type);
      seen.push(name, type === 'string' ? await raw.getBuffer(name) : await raw.zrangeBuffer(name, 0, '-1'));
    }
    return seen
      .flat()
      .map((each) => (Buffer.isBuffer(each) ? each.toString('latin1') : String(each)))
      .join('\n');
  }

  it('leaves nothing of a value to be read in Redis, with either serializer', async () => {
    for (const serializer of [undefined, jsonSerializer]) {
      const store = await open({ encryption: { keys: [newKey] }, ...(serializer && { serializer }) });
      await store.put('key', { name: 'plain-to-see' }, { tags: ['tag-name'] });
      await store.update('key', (value: object) => ({ ...value, more: 'also-plain' }));
      const seen = await allThatLies();
      expect(seen).toMatch(/^session:key$/m);
      expect(seen).toMatch(/^session#tag-name$/m);
      expect(seen).not.toMatch(/plain|name"/);
      expect(await store.get('key')).toEqual({ name: 'plain-to-see', more: 'also-plain' });
    }
  });

  it('is for the stores that do not say otherwise', async () => {
    const app = await CacheApp.start(
      { url: stage.url, namespace: 'root', encryption: { keys: [newKey] }, hashKeys: true },
      { namespace: 'same' },
      { namespace: 'open', encryption: false, hashKeys: false },
      { namespace: 'named', hashKeys: false },
      { namespace: 'own', encryption: { keys: [otherKey] } },
    );
    try {
      for (const name of ['same', 'open', 'named', 'own']) {
        await app.storeOf(name).put('the-key', 'the-value');
        expect(await app.storeOf(name).get('the-key')).toBe('the-value');
      }
      await app.store.put('the-key', 'the-value');
      const seen = await allThatLies();
      expect(seen.match(/^\w+:the-key$/gm)?.toSorted()).toEqual(['named:the-key', 'open:the-key']);
      expect(seen.match(/the-value/g)).toHaveLength(1);
    } finally {
      await app.close();
    }
    const own = await stage.open({ namespace: 'own', encryption: { keys: [newKey] }, hashKeys: true });
    expect(await own.get('the-key')).toBeUndefined(); // another hash
    const named = await stage.open({ namespace: 'named', encryption: { keys: [otherKey] } });
    await expect(named.get('the-key')).rejects.toThrow(CacheCorruptError);
  });

  it.each([{}, { encryption: false as const }])('hashKeys without encryption fails the boot (%#)', async (options) => {
    const error = await reasonOf(open({ ...options, hashKeys: true }));
    expect(error).toBeInstanceOf(CacheConfigError);
    expect(error).toMatchObject({ option: 'hashKeys' });
    const feature = CacheApp.start(
      { url: stage.url, encryption: { keys: [newKey] }, hashKeys: true },
      { namespace: 'feature', encryption: false },
    );
    await expect(feature).rejects.toMatchObject({ option: 'hashKeys' });
  });

  describe('hashKeys', () => {
    const options = { encryption: { keys: [newKey] }, hashKeys: true };
    const records = Array.from({ length: 1200 }, (_, i) => [`canary-key:${i}`, `canary-value ${i}`] as const);

    it('leaves nothing of key, tag or value to be read in Redis', async () => {
      const store = await open({ ...options, maxAge: '30d', sliding: true });
      await store.putMany(records.slice(0, 20), { tags: ['canary-tag', 'canary-tag:2'] });
      await store.putIfAbsent('canary-key', 1, { tags: ['canary-tag'] });
      await store.getOrPut('canary-key', () => 1);
      await store.update('canary-key', (n: number) => n + 1);
      await store.replace('canary-key', 'canary-value', { tags: ['canary-tag'] });
      await store.touch('canary-key', '2h');
      const scope = store.scope('canary-scope');
      await scope.put('canary-key', 1, { tags: ['canary-tag'] });
      await scope.increment('canary-key');
      const seen = await allThatLies();
      expect(seen.match(/^session:[\w-]{32}$/gm)).toHaveLength(21);
      expect(seen.match(/^session#[\w-]{32}$/gm)).toHaveLength(2);
      // What lies in a scope begins with the hash of its name, so that a walk over it has a prefix.
      const inScope = seen.match(/^session[:#+][\w-]{32}:[\w-]{32}$/gm) ?? [];
      expect(inScope).toHaveLength(3);
      expect(new Set(inScope.map((key) => key.slice('session:'.length, -32)))).toHaveProperty('size', 1);
      expect(seen).not.toContain('canary');
    });

    it('gives the original keys from keys, scan and entries, by prefix and by tag', async () => {
      const store = await open(options);
      await store.putMany(records, { tags: ['user:42'] });
      await store.putMany(records.slice(0, 3).map(([key]) => [`other ${key}`, 1]));
      await store.put('*', 'star', { tags: ['*'] });
      expect(await store.keys({ tag: 'user:42' })).toEqual(records.map(([key]) => key).toSorted());
      expect(await store.keys()).toHaveLength(records.length + 4);
      expect(await store.keys({ prefix: 'other ' })).toEqual(records.slice(0, 3).map(([key]) => `other ${key}`));
      expect(await store.keys({ prefix: '*' })).toEqual(['*']);
      expect(await store.keys({ tag: '*' })).toEqual(['*']);
      expect(await store.keys({ tag: 'user:42', prefix: 'canary-key:119' })).toHaveLength(11);
      const entries = new Map<string, unknown>();
      for await (const [key, value] of store.entries({ prefix: 'canary-key:' })) entries.set(key, value);
      expect(entries).toEqual(new Map(records));
      const scanned = new Set<string>();
      for await (const key of store.scan({ tag: 'user:42' })) scanned.add(key);
      expect(scanned).toEqual(new Set(entries.keys()));
    });

    it('deletes by key, by tag, and all, and nothing of other stores', async () => {
      const store = await open(options);
      const neighbour = await open({ ...options, namespace: 'neighbour' });
      await neighbour.put('key', 1, { tags: ['user:42'] });
      await store.putMany(records, { tags: ['user:42'] });
      expect(await store.delete('canary-key:0')).toBe(true);
      expect(await store.delete('canary-key:0')).toBe(false);
      expect(await store.deleteMany(['canary-key:1', 'canary-key:2', 'absent'])).toBe(2);
      expect(await store.take('canary-key:3')).toBe('canary-value 3');
      expect(await store.deleteByTag('user:42')).toBe(records.length - 4);
      expect(await store.keys()).toEqual([]);
      await store.put('key', 1);
      expect(await store.clear()).toBe(1);
      expect(await neighbour.keys({ tag: 'user:42' })).toEqual(['key']);
    });

    it('costs keys one look at each record, and a get no more than before', async () => {
      const store = await open(options);
      await store.putMany(records.slice(0, 10));
      const sent = await commandsDuring(stage.server, () => store.get('canary-key:0'));
      expect(sent).toEqual({ getrange: 1 });
      // Of the first few, which tell how large the others are likely to be, and of those.
      expect((await commandsDuring(stage.server, () => store.keys()))['mget']).toBe(2);
    });

    it('lists a record whose value the serializer cannot read any more: only its key is looked at', async () => {
      await (await open({ ...options, serializer: jsonSerializer })).put('key', { a: 1 });
      const store = await open({
        ...options,
        serializer: {
          serialize: () => Buffer.of(),
          deserialize: () => {
            throw new Error('not mine');
          },
        },
      });
      await expect(store.get('key')).rejects.toThrow(CacheCorruptError);
      expect(await store.keys()).toEqual(['key']);
    });
  });
});
