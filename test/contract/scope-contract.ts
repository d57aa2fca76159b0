import { CacheArgumentError, type RedisCacheStore } from 'nestjs-redis-cache-store';
import type { Stage } from '../support/stage.js';
import { allOf } from './store-contract.js';

/** What a store promises of its scopes. */
export function describeScopes(open: () => Promise<Stage>): void {
  describe('scopes', () => {
    let stage: Stage;
    let store: RedisCacheStore;
    let a: RedisCacheStore;
    let b: RedisCacheStore;
    beforeAll(async () => (stage = await open()));
    beforeEach(async () => {
      store = await stage.open({ ttl: '1h' });
      [a, b] = [store.scope('a'), store.scope('b')];
    });
    afterEach(() => stage.clean());

    it('have keys, tags and counters of their own', async () => {
      for (const [i, each] of [store, a, b].entries()) {
        await each.put('key', i, { tags: ['tag'] });
        await each.increment('key', { by: i + 1 });
      }
      for (const [i, each] of [store, a, b].entries()) {
        expect(await each.get('key')).toBe(i);
        expect(await each.counter('key')).toMatchObject({ count: i + 1 });
        expect(await each.keys({ tag: 'tag' })).toEqual(['key']);
      }
      expect(await a.keys()).toEqual(['key']);
      expect(await a.deleteByTag('tag')).toBe(1);
      expect([await store.has('key'), await a.has('key'), await b.has('key')]).toEqual([true, false, true]);
    });

    it('do everything that a store does, with keys that do not show the scope', async () => {
      await a.putMany([['k1', 1], ['k2', 2]], { tags: ['tag'], ttl: '2h' }); // prettier-ignore
      expect(await a.getMany(['k1', 'k2'])).toEqual([1, 2]);
      expect(await a.replace('k1', 3)).toBe(true);
      expect(await a.update<number>('k1', (n) => n + 1, { tags: ['tag', 'other'] })).toBe(4);
      expect(await a.move('k2', 'k3')).toBe(2);
      expect(await a.inspect('k1')).toMatchObject({ key: 'k1', value: 4 });
      if (!stage.defaults.hashKeys) expect((await a.inspect('k1'))?.tags).toEqual(['tag', 'other']);
      expect(Object.fromEntries(await allOf(a.entries()))).toEqual({ k1: 4, k3: 2 });
      expect((await allOf(a.records({ tag: 'tag' }))).map(({ key }) => key).toSorted()).toEqual(['k1', 'k3']);
      expect(await allOf(a.scan({ prefix: 'k1' }))).toEqual(['k1']);
      expect(await a.count({ tag: 'tag' })).toBe(2);
      expect(await a.getOrPut('k4', () => 5)).toBe(5);
      expect(await a.take('k4')).toBe(5);
      expect(await a.putIfAbsent('k4', 6)).toBe(true);
      expect(await a.deleteIf('k4', () => true)).toBe(true);
      expect([await a.touch('k1'), await a.has('k1'), await a.delete('k1')]).toEqual([true, true, true]);
      expect(await a.resetCounter('none')).toBe(false);
      expect(await a.deleteByTag('tag', { thorough: true })).toBe(1);
      expect(await store.keys()).toEqual([]);
    });

    it('and their store name a key once, be it of one record or, where keys are hashed, of two', async () => {
      await store.put('a:key', 1);
      await a.put('key', 2);
      const records = stage.defaults.hashKeys ? 2 : 1;
      expect([await store.keys(), await store.keys({ prefix: 'a:' })]).toEqual([['a:key'], ['a:key']]);
      expect([await store.get('a:key'), await a.get('key')]).toEqual([stage.defaults.hashKeys ? 1 : 2, 2]);
      expect([await store.count(), await store.clear()]).toEqual([records, records]);
    });

    it('are seen by the store that they belong to, below their names', async () => {
      await Promise.all([store.put('key', 0), a.put('key', 1), b.put('key', 2, { tags: ['tag'] })]);
      expect(await store.keys()).toEqual(['a:key', 'b:key', 'key']);
      expect(await store.keys({ prefix: 'a:' })).toEqual(['a:key']);
      expect(Object.fromEntries(await allOf(store.entries()))).toEqual({ 'a:key': 1, 'b:key': 2, key: 0 });
      expect(await store.count()).toBe(3);
      if (stage.defaults.hashKeys) return;
      expect(await store.get('a:key')).toBe(1);
      await store.put('a:new', 3);
      expect(await a.get('new')).toBe(3);
      expect(await store.keys({ tag: 'b:tag' })).toEqual(['b:key']);
    });

    it('reach no record outside of them, whatever tags the store gives those', async () => {
      if (stage.defaults.hashKeys) return; // a tag of the store is none of a scope, then
      await store.put('outside', 1, { tags: ['a:tag'] });
      for (const remove of [() => a.deleteByTag('tag'), () => a.clear({ tag: 'tag' })]) {
        await store.put('a:key', 2, { tags: ['user:42', 'a:tag'] });
        expect(await a.inspect('key')).toMatchObject({ value: 2, tags: ['tag'] });
        expect([await a.keys({ tag: 'tag' }), await a.count({ tag: 'tag' })]).toEqual([['key'], 1]);
        expect(await remove()).toBe(1);
        expect(await store.keys()).toEqual(['outside']);
      }
      expect(await a.deleteByTag('tag', { thorough: true })).toBe(0);
      expect(await store.deleteByTag('a:tag')).toBe(1);
    });

    it('are cleared for themselves, and by the store that they belong to', async () => {
      const fill = () =>
        Promise.all([store, a, b].map(async (each) => [await each.put('key', 1), await each.increment('key')]));
      await fill();
      expect(await a.clear()).toBe(1);
      expect(await a.counter('key')).toBeUndefined();
      expect([await store.counter('key'), await b.counter('key')]).toMatchObject([{ count: 1 }, { count: 1 }]);
      expect(await store.keys()).toEqual(['b:key', 'key']);
      await fill();
      expect(await store.clear()).toBe(3);
      expect([await a.counter('key'), await b.counter('key')]).toEqual([undefined, undefined]);
    });

    it('may lie in each other, and a name that begins as another one is another scope', async () => {
      const inner = a.scope('b');
      const similar = store.scope('a.b');
      await inner.put('key', 1, { tags: ['tag'] });
      await similar.put('key', 2, { tags: ['tag'] });
      expect(await inner.keys()).toEqual(['key']);
      expect(await a.keys()).toEqual(['b:key']);
      expect(await store.keys()).toEqual(['a.b:key', 'a:b:key']);
      expect(await store.scope('a').scope('b').get('key')).toBe(1);
      expect(await a.clear()).toBe(1);
      expect(await similar.keys({ tag: 'tag' })).toEqual(['key']);
    });

    it('lie in each other as deep as a key has room for, with as many tags as a record may have', async () => {
      let deepest = store;
      const deeper = () => {
        for (let i = 0; i < 200; i++) deepest = deepest.scope('abcd');
      };
      expect(deeper).toThrow(CacheArgumentError);
      await deepest.put('k', 1, { tags: Array.from({ length: 64 }, (_, i) => `${i}`) });
      expect(await deepest.keys({ tag: '63' })).toEqual(['k']);
      expect(await store.count()).toBe(1);
    });

    it('of one name are one scope, with loads and updates that are shared', async () => {
      let loads = 0;
      const load = () => store.scope('a').getOrPut('key', async () => ++loads);
      expect(await Promise.all([load(), load(), load()])).toEqual([1, 1, 1]);
      let changes = 0;
      const update = () => store.scope('a').update<number>('key', (n) => (changes++, n + 1));
      await Promise.all(Array.from({ length: 50 }, update));
      expect([await a.get('key'), changes]).toEqual([51, 50]);
    });

    it.each(['', 'a:b', 'a b', 'ä', 'x'.repeat(65), 5, null, undefined])('refuse the name %p', (scope) => {
      expect(() => store.scope(scope as string)).toThrow(CacheArgumentError);
    });

    it('refuse a key that is too long together with their name, so that the store can name it, too', async () => {
      const key = 'x'.repeat(510);
      await a.put(key, 1);
      expect(await a.get(key)).toBe(1);
      expect(await store.keys()).toEqual([`a:${key}`]);
      await expect(a.put(`${key}x`, 1)).rejects.toThrow('those of its scope included');
    });
  });
}
