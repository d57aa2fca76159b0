import { CacheArgumentError } from 'nestjs-redis-cache-store';
import type { RedisCacheStore } from 'nestjs-redis-cache-store';
import type { Stage } from '../support/stage.js';
import { HOUR, hundred, MINUTE } from './auth-contract.js';

const TAG = 'user:42';
const tags = [TAG];

/** What tags promise. */
export function describeTags(open: () => Promise<Stage>): void {
  describe('tags', () => {
    let stage: Stage;
    let store: RedisCacheStore;
    beforeAll(async () => (stage = await open()));
    beforeEach(async () => (store = await stage.open({ ttl: '1h' })));
    afterEach(() => stage.clean());

    it('every writing method takes tags', async () => {
      await store.put('put', 1, { tags });
      await store.putMany(
        [
          ['many 1', 1],
          ['many 2', 2],
        ],
        { tags },
      );
      expect(await store.putIfAbsent('absent', 1, { tags })).toBe(true);
      await store.put('replaced', 1);
      await store.replace('replaced', 2, { tags });
      await store.put('replaced with ttl', 1);
      await store.replace('replaced with ttl', 2, { ttl: '2h', tags });
      await store.getOrPut('loaded', () => 1, { tags });
      const tagged = ['absent', 'loaded', 'many 1', 'many 2', 'put', 'replaced', 'replaced with ttl'];
      expect(await store.keys({ tag: TAG })).toEqual(tagged);
      expect(await store.deleteByTag(TAG)).toBe(tagged.length);
      expect(await store.keys()).toEqual([]);
    });

    it('keys, scan and entries give the records that have a tag, and of these those with a prefix', async () => {
      await store.put('web:*', 1, { tags });
      await store.put('web:2', 2, { tags: [TAG, 'admin'] });
      await store.put('app:3', 3, { tags });
      await store.put('web:4', 4, { tags: ['user:4'] });
      await store.put('web:5', 5);
      expect(await store.keys({ tag: TAG })).toEqual(['app:3', 'web:*', 'web:2']);
      expect(await store.keys({ tag: TAG, prefix: 'web:' })).toEqual(['web:*', 'web:2']);
      expect(await store.keys({ tag: TAG, prefix: 'web:*' })).toEqual(['web:*']);
      expect(await store.keys({ tag: 'admin' })).toEqual(['web:2']);
      expect(await store.keys({ tag: 'user' })).toEqual([]);
      expect((await collect(store.scan({ tag: TAG, prefix: 'web:' }))).toSorted()).toEqual(['web:*', 'web:2']);
      const entries = await collect(store.entries({ tag: TAG, prefix: 'web:' }));
      expect(Object.fromEntries(entries)).toEqual({ 'web:*': 1, 'web:2': 2 });
      expect(await collect(store.entries({ tag: TAG }))).toHaveLength(3);
    });

    it('deleteByTag deletes the records of this tag and namespace, all of them and no others', async () => {
      const neighbour = await stage.open();
      await neighbour.put('a', 1, { tags });
      await hundred((i) => store.put(`mine ${i}`, i, { tags: [TAG, 'all'] }));
      await store.put('other', 1, { tags: ['user:4', 'all'] });
      await store.put('none', 1);
      expect(await store.deleteByTag('user')).toBe(0);
      expect(await store.deleteByTag(TAG)).toBe(100);
      expect(await store.deleteByTag(TAG)).toBe(0);
      expect(await store.keys()).toEqual(['none', 'other']);
      expect(await store.keys({ tag: 'all' })).toEqual(['other']);
      expect(await neighbour.keys({ tag: TAG })).toEqual(['a']);
    });

    it.each<[string, (store: RedisCacheStore) => Promise<unknown>]>([
      ['touch', (s) => s.touch('key', '10h')],
      ['get with touch', (s) => s.get('key', { touch: '10h' })],
      ['replace', (s) => s.replace('key', 2, { ttl: '10h' })],
      ['replace with the tag given again', (s) => s.replace('key', 2, { ttl: '10h', tags })],
      ['replace to no end', (s) => s.replace('key', 2, { ttl: null })],
      [
        'touch, then replace with the tag given again',
        (s) => s.touch('key', '10h').then(() => s.replace('key', 2, { tags })),
      ],
      ['update after touch', (s) => s.touch('key', '10h').then(() => s.update('key', () => 2))],
      ['touch while update runs', (s) => s.update('key', () => s.touch('key', '10h').then(() => 2))],
      ['another put', (s) => s.put('key', 2, { ttl: '10h', tags })],
    ])('deleteByTag finds a record whose ttl was extended by %s', async (_, extend) => {
      await store.put('key', 1, { ttl: '1h', tags });
      await stage.pass(HOUR / 2);
      await extend(store);
      for (let hours = 0; hours < 9; hours += 3) {
        expect(await store.keys({ tag: TAG })).toEqual(['key']);
        await stage.pass(3 * HOUR);
      }
      expect(await store.deleteByTag(TAG)).toBe(1);
      expect(await store.has('key')).toBe(false);
    });

    it('a touch while replace gives new tags is not lost, and the new tags cover it', async () => {
      for (let steps = 0; steps < 8; steps++) {
        await store.put('key', 1, { ttl: '1h' });
        const replaced = store.replace('key', 2, { tags });
        for (let i = 0; i < steps; i++) await store.has('another'); // as many round trips later
        expect([await store.touch('key', '10h'), await replaced]).toEqual([true, true]);
        expect(await store.ttl('key')).toBeGreaterThan(9 * HOUR);
      }
      await stage.pass(9 * HOUR);
      expect(await store.deleteByTag(TAG)).toBe(1);
      expect(await store.has('key')).toBe(false);
    });

    it('deleteByTag finds a session that sliding reads have kept alive for days', async () => {
      const sessions = await stage.open({ ttl: '1h', sliding: true });
      await sessions.put('key', 1, { tags });
      for (let reads = 0; reads < 100; reads++) {
        await stage.pass(50 * MINUTE);
        expect(await sessions.get('key')).toBe(1);
      }
      expect(await sessions.deleteByTag(TAG)).toBe(1);
      expect(await sessions.get('key')).toBeUndefined();
    });

    it('deleteByTag finds a record although others of the tag had, or got, shorter ttls', async () => {
      await store.put('long', 1, { ttl: '10h', tags });
      await store.put('endless', 1, { ttl: null, tags });
      await store.put('short', 1, { ttl: '1m', tags });
      await store.put('shortened', 1, { ttl: '10h', tags });
      await store.touch('shortened', '2m');
      await stage.pass(3 * MINUTE);
      expect(await store.keys({ tag: TAG })).toEqual(['endless', 'long']);
      await store.put('short', 1, { ttl: '1m', tags });
      await stage.pass(9 * HOUR);
      expect(await store.deleteByTag(TAG)).toBe(2);
      expect(await store.keys()).toEqual([]);
    });

    it('deleteByTag finds a record although somebody else would have put it for a shorter time', async () => {
      await store.put('key', 1, { ttl: '10h', tags });
      await store.put('endless', 1, { ttl: null, tags });
      for (const key of ['key', 'endless']) {
        expect(await store.putIfAbsent(key, 2, { ttl: '1m', tags })).toBe(false);
      }
      await stage.pass(9 * HOUR);
      expect(await store.keys({ tag: TAG })).toEqual(['endless', 'key']);
      expect(await store.deleteByTag(TAG)).toBe(2);
    });

    it('a record put again without the tag is neither listed nor deleted by it', async () => {
      await store.put('key', 1, { tags });
      await store.put('key', 2, { tags: ['user:7'] });
      expect(await store.keys({ tag: TAG })).toEqual([]);
      expect(await store.deleteByTag(TAG)).toBe(0);
      expect(await store.keys({ tag: 'user:7' })).toEqual(['key']);
      await store.put('key', 3);
      expect(await store.deleteByTag('user:7')).toBe(0);
      expect(await store.get('key')).toBe(3);
    });

    it('putIfAbsent gives its tags to no record of somebody else', async () => {
      await store.put('key', 1, { tags: ['user:7'] });
      expect(await store.putIfAbsent('key', 2, { tags })).toBe(false);
      expect(await store.keys({ tag: TAG })).toEqual([]);
      expect(await store.deleteByTag(TAG)).toBe(0);
      expect(await store.get('key')).toBe(1);
    });

    it('a record that was deleted, taken, cleared away or has expired is not listed any more', async () => {
      for (const key of ['deleted', 'taken', 'kept']) await store.put(key, 1, { tags });
      await store.put('expired', 1, { ttl: '1m', tags });
      await store.delete('deleted');
      await store.take('taken');
      await stage.pass(2 * MINUTE);
      expect(await store.keys({ tag: TAG })).toEqual(['kept']);
      await store.clear();
      expect(await store.keys({ tag: TAG })).toEqual([]);
      expect(await store.deleteByTag(TAG)).toBe(0);
    });

    it('a tag is any text that a key may be, and a record may have 64', async () => {
      const odd = [' ', '*', 'user:*', 'a#b', '\u0000', 'ü', '🔑', 'x'.repeat(512)];
      const many = [...odd, ...Array.from({ length: 64 - odd.length }, (_, i) => `tag ${i}`)];
      await store.put('key', 1, { tags: [...many, ' ', ' '] });
      await store.replace('key', 2);
      for (const tag of many) expect([tag, await store.keys({ tag })]).toEqual([tag, ['key']]);
      expect(await store.deleteByTag('user:*')).toBe(1);
    });

    it.each([
      [['']],
      [['\ud800']],
      [['x'.repeat(513)]],
      [Array.from({ length: 65 }, (_, i) => String(i))],
      ['user:42'],
      [[42]],
    ])('other tags are a CacheArgumentError, and nothing is written (%#)', async (bad) => {
      const options = { tags: bad as string[] };
      await expect(store.put('key', 1, options)).rejects.toThrow(CacheArgumentError);
      await expect(store.putMany([['key', 1]], options)).rejects.toThrow(CacheArgumentError);
      await expect(store.putIfAbsent('key', 1, options)).rejects.toThrow(CacheArgumentError);
      await expect(store.getOrPut('key', () => 1, options)).rejects.toThrow(CacheArgumentError);
      expect(await store.has('key')).toBe(false);
      await store.put('key', 1);
      await expect(store.replace('key', 2, options)).rejects.toThrow(CacheArgumentError);
      expect(await store.get('key')).toBe(1);
    });

    it('deleteByTag leaves none of the records that 100 callers go on changing meanwhile', async () => {
      await hundred((i) => store.put(`key ${i}`, i, { tags }));
      const changes = hundred<unknown>((i) =>
        [
          () => store.replace(`key ${i}`, -i),
          () => store.replace(`key ${i}`, -i, { ttl: '9h', tags }),
          () => store.update(`key ${i}`, (n: number) => -n),
          () => store.touch(`key ${i}`, '9h'),
          () => store.get(`key ${i}`, { touch: '9h' }),
        ][i % 5]?.(),
      );
      await store.deleteByTag(TAG);
      expect(await store.keys()).toEqual([]);
      await changes;
      expect(await store.keys()).toEqual([]);
    });

    it('lists thousands of records of one tag, each once', async () => {
      const keys = Array.from({ length: 2500 }, (_, i) => `key ${10_000 + i}`);
      await store.putMany(
        keys.map((key) => [key, key]),
        { tags },
      );
      expect(await store.keys({ tag: TAG })).toEqual(keys);
      expect(await store.deleteByTag(TAG)).toBe(keys.length);
      expect(await store.keys()).toEqual([]);
    });
  });
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
