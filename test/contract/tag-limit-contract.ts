import { CacheArgumentError, CacheLimitError, type RedisCacheStore } from 'nestjs-redis-cache-store';
import type { Stage } from '../support/stage.js';
import { HOUR, MINUTE } from './auth-contract.js';

/** What a store promises of limits on the records of a tag, and of what `move` leaves behind. */
export function describeTagLimits(open: () => Promise<Stage>): void {
  describe('limits of a tag', () => {
    let stage: Stage;
    let store: RedisCacheStore;
    beforeAll(async () => (stage = await open()));
    beforeEach(async () => (store = await stage.open({ ttl: '1h' })));
    afterEach(() => stage.clean());

    const tag = 'user:42';
    const limited = { tags: [tag, 'other'], limit: { tag, records: 3 } };
    const put = (key: string) => store.put(key, key, limited);
    const fill = async () => Promise.all(['a', 'b', 'c'].map(put));

    it('let exactly as many of 50 concurrent writes succeed, and leave nothing behind of the others', async () => {
      const writes = Array.from({ length: 50 }, (_, i) =>
        i % 2 ? put(`key ${i}`) : store.putIfAbsent(`key ${i}`, i, limited),
      );
      const settled = await Promise.allSettled(writes);
      const refused = settled.flatMap((each) => (each.status === 'rejected' ? [each.reason as unknown] : []));
      expect(refused).toHaveLength(47);
      for (const error of refused) expect(error).toBeInstanceOf(CacheLimitError);
      expect(refused[0]).toMatchObject({ code: 'CACHE_LIMIT', limit: 3 });
      for (const each of [tag, 'other']) expect(await store.keys({ tag: each })).toHaveLength(3);
      expect(await store.keys()).toHaveLength(3);
    });

    it('have room again once a record is deleted, taken or expired', async () => {
      await fill();
      await expect(put('d')).rejects.toThrow(CacheLimitError);
      await store.delete('a');
      await put('d');
      await store.take('b');
      await put('e');
      await expect(put('f')).rejects.toThrow(CacheLimitError);
      await stage.pass(HOUR + MINUTE);
      await fill();
    });

    it('hold for a value that getOrPut loads', async () => {
      await fill();
      await expect(store.getOrPut('d', () => 1, limited)).rejects.toThrow(CacheLimitError);
      expect(await store.getOrPut('a', () => 1, limited)).toBe('a');
      await store.delete('b');
      expect(await store.getOrPut('d', () => 1, limited)).toBe(1);
      expect(await store.keys({ tag })).toEqual(['a', 'c', 'd']);
    });

    it('hold for those alone that ask for them', async () => {
      await fill();
      await store.put('d', 1, { tags: [tag] });
      await expect(put('e')).rejects.toThrow(CacheLimitError);
      await store.put('e', 1, { tags: ['user:7'], limit: { tag: 'user:7', records: 1 } });
    });

    it('count a record that moves within the tag once, and one that comes in', async () => {
      await fill();
      expect(await store.move('a', 'd', limited)).toBe('a');
      await store.put('e', 'e');
      await expect(store.move('e', 'f', limited)).rejects.toThrow(CacheLimitError);
      expect(await store.get('e')).toBe('e');
      expect(await store.has('f')).toBe(false);
      expect(await store.keys({ tag })).toEqual(['b', 'c', 'd']);
      await store.delete('b');
      expect(await store.move('e', 'f', limited)).toBe('e');
    });

    it('refuse what is no limit, or is none of the tags', async () => {
      for (const limit of [
        { tag, records: 0 },
        { tag, records: 1.5 },
        { tag: 'x', records: 1 },
        { tag },
        5,
      ] as never[]) {
        await expect(store.put('key', 1, { tags: [tag], limit })).rejects.toThrow(CacheArgumentError);
        await expect(store.move('key', 'other', { tags: [tag], limit })).rejects.toThrow(CacheArgumentError);
      }
      await expect(store.update('key', () => 1, limited)).rejects.toThrow(CacheArgumentError);
      await expect(store.replace('key', 1, limited)).rejects.toThrow(CacheArgumentError);
    });

    describe('`leave` of move', () => {
      it('gives the value that the old key has for its grace, and takes its tags', async () => {
        await store.put('old', { data: 1 }, { tags: [tag] });
        const leave = () => ({ movedTo: 'new' });
        expect(await store.move('old', 'new', { grace: '1m', leave })).toEqual({ data: 1 });
        expect(await store.get('old')).toEqual({ movedTo: 'new' });
        expect(await store.keys({ tag })).toEqual(['new']);
        expect(await store.touch('old', '1h')).toBe(true);
        await stage.pass(MINUTE);
        expect(await store.has('old')).toBe(false);
        expect(await store.get('new')).toEqual({ data: 1 });
      });

      it('lets an error through, be it of the function or of its value, and changes nothing', async () => {
        await store.put('old', 1, { tags: [tag] });
        const failing = () => Promise.reject(new Error('mine'));
        await expect(store.move('old', 'new', { grace: '1m', leave: failing })).rejects.toThrow('mine');
        const bad = () => undefined as never;
        await expect(store.move('old', 'new', { grace: '1m', leave: bad })).rejects.toThrow(CacheArgumentError);
        expect([await store.keys(), await store.keys({ tag })]).toEqual([['old'], ['old']]);
      });

      it('needs a grace, and a function', async () => {
        await store.put('old', 1);
        await expect(store.move('old', 'new', { leave: () => 2 })).rejects.toThrow(CacheArgumentError);
        await expect(store.move('old', 'new', { grace: '1m', leave: 2 as never })).rejects.toThrow(CacheArgumentError);
        expect(await store.get('old')).toBe(1);
      });
    });
  });
}
