import type { StandardSchemaV1 } from '@standard-schema/spec';
import { CacheCorruptError, type CacheStoreOf } from 'nestjs-redis-cache-store';
import type { Stage } from '../support/stage.js';

/** What `onCorrupt: 'miss'` promises of writes. */
export function describeMisses(open: () => Promise<Stage>): void {
  describe(`a record of an older release in a store with onCorrupt: 'miss'`, () => {
    let stage: Stage;
    beforeAll(async () => (stage = await open()));
    afterEach(() => stage.clean());

    type Release = { release: number };
    /** Since when, and how, records of the first release are refused. */
    let refuse: (() => Promise<void>) | undefined;
    const validate = async (value: unknown) => {
      if ((value as Release).release > 1 || !refuse) return { value: value as Release };
      await refuse();
      return { issues: [{ message: 'too old' }] };
    };
    const schema: StandardSchemaV1<Release> = { '~standard': { version: 1, vendor: 'test', validate } };

    const openWith = async (onCorrupt: 'throw' | 'miss') => {
      refuse = undefined;
      const store = await stage.open<CacheStoreOf<typeof schema>>({ schema, onCorrupt, ttl: '1h' });
      await store.put('key', { release: 1 }, { tags: ['first'] });
      refuse = async () => undefined;
      return store;
    };

    it('gives way to what is loaded, put or moved there, once', async () => {
      const loading = await openWith('miss');
      for (const release of [2, 3]) {
        expect(await loading.getOrPut('key', () => ({ release }))).toEqual({ release: 2 });
      }
      expect(await loading.keys({ tag: 'first' })).toEqual([]);
      const putting = await openWith('miss');
      const put = (_: unknown, i: number) => putting.putIfAbsent('key', { release: 2 + i }, { tags: ['next'] });
      const written = await Promise.all(Array.from({ length: 20 }, put));
      expect(written.filter(Boolean)).toHaveLength(1);
      expect(await putting.get('key')).toEqual({ release: 2 + written.indexOf(true) });
      expect([await putting.keys({ tag: 'first' }), await putting.keys({ tag: 'next' })]).toEqual([[], ['key']]);
      const moving = await openWith('miss');
      await moving.put('from', { release: 2 });
      expect(await moving.move('from', 'key')).toEqual({ release: 2 });
    });

    it('does not give way to what comes after another record was put there', async () => {
      const store = await openWith('miss');
      refuse = () => store.put('key', { release: 2 });
      expect(await store.putIfAbsent('key', { release: 3 })).toBe(false);
      expect(await store.get('key')).toEqual({ release: 2 });
    });

    it(`gives way to nothing with onCorrupt: 'throw'`, async () => {
      const store = await openWith('throw');
      expect(await store.putIfAbsent('key', { release: 2 })).toBe(false);
      await expect(store.getOrPut('key', () => ({ release: 2 }))).rejects.toBeInstanceOf(CacheCorruptError);
      expect(await store.keys({ tag: 'first' })).toEqual(['key']);
    });
  });
}
