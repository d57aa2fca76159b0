import { setTimeout as sleep } from 'node:timers/promises';
import { CacheArgumentError, jsonSerializer, type RedisCacheStore, type Serializer } from 'nestjs-redis-cache-store';
import { AWKWARD_KEYS } from '../support/arbitraries.js';
import { CacheApp } from '../support/cache-app.js';
import type { Stage } from '../support/stage.js';
import { describeValues } from './store-values-contract.js';

/** Gives Buffers out as they are, and is right to: bytes from a store are the caller's own. */
const rawSerializer: Serializer = {
  serialize: (value) => value as Uint8Array,
  deserialize: (bytes) => bytes,
};

export async function allOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** What a store promises of putting, getting, listing and deleting. */
export function describeStore(open: () => Promise<Stage>): void {
  describe('RedisCacheStore', () => {
    let stage: Stage;
    let app: CacheApp;
    let store: RedisCacheStore;

    beforeAll(async () => {
      stage = await open();
      app = await CacheApp.start(
        { ...stage.defaults, namespace: 'default' },
        { namespace: 'a' },
        { namespace: 'a.b' },
        { namespace: 'brief', ttl: 50 },
        { namespace: 'json', serializer: jsonSerializer },
        { namespace: 'raw', serializer: rawSerializer },
      );
      store = app.store;
    });
    afterEach(async () => {
      for (const each of [store, ...['a', 'a.b', 'brief', 'json', 'raw'].map((other) => app.storeOf(other))]) {
        await each.clear();
      }
    });
    afterAll(() => app?.close());

    describe('what it was from the beginning', () => {
      it('puts, gets, deletes, and then answers undefined', async () => {
        expect(await store.get('key')).toBeUndefined();
        await store.put('key', 'value');
        expect(await store.get('key')).toBe('value');
        await store.delete('key');
        expect(await store.get('key')).toBeUndefined();
      });

      it('lists keys without the namespace', async () => {
        await store.put('key1', 'value');
        await store.put('key2', 'value');
        expect(await store.keys()).toEqual(['key1', 'key2']);
      });

      it('has a record with a ttl of 100 after 50 ms, and after 150 ms no more', async () => {
        for (let attempt = 1; ; attempt++) {
          const begun = performance.now();
          await store.put('key', 'value', { ttl: 100 });
          await sleep(50);
          const found = await store.get('key');
          const stalled = performance.now() - begun > 90;
          if (!stalled) expect(found).toBe('value');
          await sleep(100);
          expect(await store.get('key')).toBeUndefined();
          if (!stalled) break;
          if (attempt === 10) throw new Error('this machine is too busy to measure 50 ms');
        }
      });
    });

    describe('namespaces', () => {
      it('expire and clear independently of each other', async () => {
        const [a, b] = [app.storeOf('a'), app.storeOf('a.b')];
        await a.put('key', 'a', { ttl: 50 });
        await b.put('key', 'b');
        await sleep(100);
        expect([await a.get('key'), await b.get('key')]).toEqual([undefined, 'b']);
        await a.put('key', 'a');
        expect(await b.clear()).toBe(1);
        expect([await a.get('key'), await b.get('key')]).toEqual(['a', undefined]);
      });

      it('never see each other, though one begins as the other does', async () => {
        const [a, ab] = [app.storeOf('a'), app.storeOf('a.b')];
        await ab.put('key', 'ab');
        await ab.put('b:key', 'ab');
        expect(await a.get('b:key')).toBeUndefined();
        expect(await a.has('.b:key')).toBe(false);
        expect(await a.keys()).toEqual([]);
        expect(await allOf(a.entries())).toEqual([]);
        expect(await a.clear()).toBe(0);
        expect(await ab.keys()).toEqual(['b:key', 'key']);
      });
    });

    describe('many', () => {
      const records = Array.from({ length: 2500 }, (_, i): [string, unknown] => [`key ${i}`, { number: i }]);

      it('are put, got in the order of the keys, listed and deleted', async () => {
        await store.putMany(new Map(records), { ttl: '1h' });
        const names = records.map(([key]) => key);
        const asked = ['absent', ...names.toReversed(), 'absent', 'key 0'];
        const expected = [undefined, ...records.map(([, value]) => value).toReversed(), undefined, { number: 0 }];
        expect(await store.getMany(asked)).toEqual(expected);
        expect(await store.ttl('key 2499')).toBeGreaterThan(3_000_000);
        expect(new Set(await allOf(store.scan()))).toEqual(new Set(names));
        expect(new Map(await allOf(store.entries()))).toEqual(new Map(records));
        expect(await store.deleteMany(new Set([...names, 'absent']))).toBe(2500);
        expect(await store.keys()).toEqual([]);
      });

      it('are none at all without a complaint', async () => {
        await store.putMany([]);
        expect([await store.getMany([]), await store.deleteMany([]), await store.clear()]).toEqual([[], 0, 0]);
      });

      it('are put all or, if one of them is bad, not at all', async () => {
        await expect(store.putMany([...records, ['bad', undefined]])).rejects.toBeInstanceOf(CacheArgumentError);
        await expect(store.putMany([...records, ['', 1]])).rejects.toBeInstanceOf(CacheArgumentError);
        expect(await store.keys()).toEqual([]);
      });

      it('of equal keys the last wins, and one deletes', async () => {
        await store.putMany([
          ['key', 1],
          ['key', 2],
        ]);
        expect(await store.getMany(['key', 'key'])).toEqual([2, 2]);
        expect(await store.deleteMany(['key', 'key'])).toBe(1);
        await store.putMany([['key', 1, { tags: ['a', 'b'] }], ['key', 2]]); // prettier-ignore
        expect([await store.get('key'), await store.keys({ tag: 'a' })]).toEqual([2, []]);
      });

      it('are found by the beginning of their keys, taken literally', async () => {
        await store.putMany(['web:1', 'web:2', 'we*:3', 'app:1', 'wéb:1'].map((key) => [key, key] as const));
        expect(await store.keys({ prefix: 'web:' })).toEqual(['web:1', 'web:2']);
        expect(await store.keys({ prefix: 'we*' })).toEqual(['we*:3']);
        expect(await allOf(store.scan({ prefix: 'app' }))).toEqual(['app:1']);
        expect(await allOf(store.entries({ prefix: 'wé' }))).toEqual([['wéb:1', 'wéb:1']]);
        expect(await store.keys({ prefix: 'x' })).toEqual([]);
      });
    });

    describe('time to live', () => {
      it('is what the call says, else what the store says, else endless', async () => {
        const brief = app.storeOf('brief');
        await brief.put('said', 1, { ttl: '1h' });
        await brief.put('default', 1);
        await brief.put('ever', 1, { ttl: null });
        await store.put('ever', 1);
        expect(await brief.ttl('said')).toBeGreaterThan(3_500_000);
        expect(await brief.ttl('ever')).toBeNull();
        expect(await store.ttl('ever')).toBeNull();
        expect(await store.ttl('absent')).toBeUndefined();
        await sleep(100);
        expect(await brief.keys()).toEqual(['ever', 'said']);
      });

      it('is rounded up to whole milliseconds, never down to none', async () => {
        await store.put('key', 1, { ttl: 0.2 });
        expect(await store.ttl('key')).not.toBeNull();
        await store.put('key', 1, { ttl: '1.0005h' });
        expect(await store.ttl('key')).toBeLessThanOrEqual(3_601_800);
      });

      it('goes back to endless when a record is put anew without one', async () => {
        await store.put('key', 1, { ttl: '1h' });
        await store.put('key', 2);
        expect(await store.ttl('key')).toBeNull();
      });

      it('is given again by touch, and a record that is not there stays so', async () => {
        const brief = app.storeOf('brief');
        await store.put('key', 1, { ttl: '1h' });
        expect(await store.touch('key', '2h')).toBe(true);
        expect(await store.ttl('key')).toBeGreaterThan(3_600_000);
        await brief.put('key', 1, { ttl: '1h' });
        expect(await brief.touch('key', 50)).toBe(true);
        expect(await brief.ttl('key')).toBeLessThanOrEqual(50);
        expect(await store.touch('absent', '1h')).toBe(false);
        expect(await store.has('absent')).toBe(false);
      });
    });

    it.each(AWKWARD_KEYS)('takes the key %j through every method', async (key) => {
      const neighbours = ['x', 'ax', 'xx', `${key.slice(0, 100)}x`, `x${key.slice(0, 100)}`].filter(
        (each) => each !== key,
      );
      await store.putMany(neighbours.map((each) => [each, 'neighbour'] as const));
      expect(await store.has(key)).toBe(false);
      await store.put(key, { key }, { ttl: '1h' });
      expect(await store.get(key)).toEqual({ key });
      expect(await store.getMany(['x', key])).toEqual(['neighbour', { key }]);
      expect(await store.has(key)).toBe(true);
      expect(await store.ttl(key)).toBeGreaterThan(3_500_000);
      expect(await store.touch(key, '2h')).toBe(true);
      expect(await store.keys()).toEqual([...new Set([...neighbours, key])].toSorted());
      expect(await allOf(store.scan({ prefix: key }))).toContain(key);
      expect(Object.fromEntries(await allOf(store.entries({ prefix: key })))[key]).toEqual({ key });
      expect(await store.putIfAbsent(key, 0)).toBe(false);
      expect(await store.replace(key, 1)).toBe(true);
      expect(await store.update<number>(key, (value) => value + 1)).toBe(2);
      expect(await store.getOrPut(key, () => 0)).toBe(2);
      expect(await store.take(key)).toBe(2);
      expect(await store.delete(key)).toBe(false);
      await store.putMany([[key, 3]], { tags: [key] });
      expect(await store.keys({ tag: key })).toEqual([key]);
      expect(await store.deleteByTag(key)).toBe(1);
      await store.put(key, 4);
      expect(await store.deleteMany([key])).toBe(1);
      expect(await store.clear()).toBe(new Set(neighbours).size);
    });

    describeValues(() => ({ store, json: app.storeOf('json'), raw: app.storeOf('raw') }));
  });
}
