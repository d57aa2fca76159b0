import { CacheCommandError, type RedisCacheStore } from 'nestjs-redis-cache-store';
import type { Stage } from '../support/stage.js';
import { HOUR, hundred, MINUTE } from './auth-contract.js';

/** How much of a ttl a slow machine may use up between two calls of a test. */
const SLACK = 30_000;

/** What a store promises of its counters. */
export function describeCounters(open: () => Promise<Stage>): void {
  describe('counters', () => {
    let stage: Stage;
    let store: RedisCacheStore;
    beforeAll(async () => (stage = await open()));
    beforeEach(async () => (store = await stage.open({ ttl: '1h' })));
    afterEach(() => stage.clean());

    /** A ttl or a pause that began just now. */
    const about = (ms: number): unknown => ({
      asymmetricMatch: (given: unknown) => typeof given === 'number' && given <= ms && given > ms - SLACK,
    });

    it('a counter begins with its first hit, and a hit gives exactly its four fields', async () => {
      expect(await store.counter('key')).toBeUndefined();
      expect(await store.increment('key')).toEqual({ count: 1, ttl: about(HOUR), allowed: true, retryAfter: 0 });
      expect(await store.increment('key')).toEqual({ count: 2, ttl: about(HOUR), allowed: true, retryAfter: 0 });
      expect(await store.counter('key')).toEqual({ count: 2, ttl: about(HOUR) });
    });

    it('a hit adds `by`, also a number below 0', async () => {
      expect(await store.increment('key', { by: 5 })).toMatchObject({ count: 5 });
      expect(await store.increment('key', { by: -7 })).toMatchObject({ count: -2 });
      expect(await store.increment('key', { by: 0 })).toMatchObject({ count: -2 });
    });

    it('the ttl is that of the call that begins the counter, and later hits do not change it', async () => {
      expect(await store.increment('key', { ttl: '10m' })).toMatchObject({ ttl: about(10 * MINUTE) });
      await stage.pass(8 * MINUTE);
      expect(await store.increment('key', { ttl: '5h' })).toMatchObject({ count: 2, ttl: about(2 * MINUTE) });
      await stage.pass(2 * MINUTE);
      expect(await store.counter('key')).toBeUndefined();
      expect(await store.increment('key')).toMatchObject({ count: 1, ttl: about(HOUR) });
    });

    it('a counter of a store without a ttl never ends', async () => {
      const endless = await stage.open();
      expect(await endless.increment('key', { limit: 1 })).toEqual({
        count: 1,
        ttl: null,
        allowed: true,
        retryAfter: 0,
      });
      expect(await endless.increment('key', { limit: 1 })).toEqual({
        count: 1,
        ttl: null,
        allowed: false,
        retryAfter: Infinity,
      });
      expect(await endless.counter('key')).toEqual({ count: 1, ttl: null });
    });

    it('a hit that would pass the limit is refused, changes nothing, and tells when the counter begins again', async () => {
      for (const count of [1, 2, 3]) expect(await store.increment('key', { limit: 3 })).toMatchObject({ count });
      const refused = { count: 3, ttl: about(HOUR), allowed: false, retryAfter: about(HOUR) };
      expect(await store.increment('key', { limit: 3 })).toEqual(refused);
      expect(await store.counter('key')).toEqual({ count: 3, ttl: about(HOUR) });
      await stage.pass(HOUR);
      expect(await store.increment('key', { limit: 3 })).toMatchObject({ count: 1, allowed: true });
    });

    it('a large hit is refused although a smaller one still fits', async () => {
      await store.increment('key', { by: 7, limit: 10 });
      expect(await store.increment('key', { by: 4, limit: 10 })).toMatchObject({ count: 7, allowed: false });
      expect(await store.increment('key', { by: 3, limit: 10 })).toMatchObject({ count: 10, allowed: true });
    });

    it('of 100 concurrent hits exactly as many are allowed as the limit says, each with a count of its own', async () => {
      const hits = await hundred(() => store.increment('key', { limit: 40 }));
      const allowed = hits.filter((hit) => hit.allowed).map(({ count }) => count);
      expect(allowed.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
      expect(hits.filter((hit) => !hit.allowed).every(({ count }) => count === 40)).toBe(true);
    });

    describe('with a block', () => {
      const options = { ttl: '15m', limit: 2, block: { first: '1m', factor: 3, longest: '6m' } };
      /** A series of hits up to the one that is refused. */
      const series = async () => {
        const hits = [];
        for (let i = 0; i < 3; i++) hits.push(await store.increment('key', options));
        expect(hits.map(({ allowed, count }) => [allowed, count])).toEqual([
          [true, 1],
          [true, 2],
          [false, 2],
        ]);
        return hits[2];
      };

      it('a refused hit stays refused until the block ends, be that before or after its ttl', async () => {
        expect(await series()).toMatchObject({ ttl: about(MINUTE), retryAfter: about(MINUTE) });
        await stage.pass(MINUTE);
        expect(await store.counter('key')).toBeUndefined();
        const long = { ttl: '1m', limit: 1, block: { first: '10m' } };
        await store.increment('long', long);
        await store.increment('long', long);
        await stage.pass(5 * MINUTE);
        const left = about(5 * MINUTE);
        expect(await store.increment('long', long)).toEqual({ count: 1, ttl: left, allowed: false, retryAfter: left });
        await stage.pass(5 * MINUTE);
        expect(await store.increment('long', long)).toMatchObject({ count: 1, ttl: about(MINUTE), allowed: true });
      });

      it('hits within a block change nothing', async () => {
        await series();
        await stage.pass(MINUTE / 2);
        const left = about(MINUTE / 2);
        for (let i = 0; i < 5; i++) {
          expect(await store.increment('key', options)).toEqual({
            count: 2,
            ttl: left,
            allowed: false,
            retryAfter: left,
          });
        }
        await stage.pass(MINUTE / 2);
        expect(await series()).toMatchObject({ retryAfter: about(3 * MINUTE) });
      });

      it('a block holds for hits with a limit that name no block, or a larger limit', async () => {
        await series();
        expect(await store.increment('key', { limit: 100 })).toMatchObject({ count: 2, allowed: false });
      });

      it('each further series is blocked `factor` times as long, at most `longest`', async () => {
        for (const minutes of [1, 3, 6, 6]) {
          expect(await series()).toMatchObject({ retryAfter: about(minutes * MINUTE) });
          await stage.pass(minutes * MINUTE);
        }
      });

      it('series are forgotten when the last block has been over for `longest`, and not before', async () => {
        await series();
        await stage.pass(MINUTE + 5 * MINUTE);
        expect(await series()).toMatchObject({ retryAfter: about(3 * MINUTE) });
        await stage.pass(3 * MINUTE + 6 * MINUTE);
        expect(await series()).toMatchObject({ retryAfter: about(MINUTE) });
      });

      it('without a factor all blocks last as long as the first', async () => {
        const same = { limit: 1, block: { first: '2m' } };
        for (let round = 0; round < 3; round++) {
          await store.increment('key', same);
          expect(await store.increment('key', same)).toMatchObject({ retryAfter: about(2 * MINUTE) });
          await stage.pass(2 * MINUTE);
        }
      });

      it('100 concurrent refused hits are one series', async () => {
        const hits = await hundred(() => store.increment('key', options));
        expect(hits.filter(({ allowed }) => allowed)).toHaveLength(2);
        await stage.pass(MINUTE);
        expect(await series()).toMatchObject({ retryAfter: about(3 * MINUTE) });
      });

      it('a reset ends the block and forgets the series', async () => {
        await series();
        expect(await store.resetCounter('key')).toBe(true);
        expect(await store.counter('key')).toBeUndefined();
        expect(await series()).toMatchObject({ retryAfter: about(MINUTE) });
      });
    });

    it('a reset says whether there was a counter', async () => {
      expect(await store.resetCounter('key')).toBe(false);
      await store.increment('key');
      expect(await store.resetCounter('key')).toBe(true);
      expect(await store.resetCounter('key')).toBe(false);
      expect(await store.increment('key')).toMatchObject({ count: 1 });
    });

    it('counters and records of one key know nothing of each other', async () => {
      await store.put('key', 'value', { tags: ['tag'] });
      await store.increment('key');
      await store.increment('only a counter');
      expect(await store.get('key')).toBe('value');
      expect(await store.keys()).toEqual(['key']);
      expect(await store.has('only a counter')).toBe(false);
      expect(await store.delete('only a counter')).toBe(false);
      expect(await store.deleteByTag('tag')).toBe(1);
      expect(await store.counter('key')).toMatchObject({ count: 1 });
      await store.put('key', 'value');
      expect(await store.resetCounter('key')).toBe(true);
      expect(await store.get('key')).toBe('value');
    });

    it('clear takes the counters of its namespace along and counts records only', async () => {
      const other = await stage.open();
      await Promise.all([store.put('a', 1), store.increment('a'), store.increment('b'), other.increment('a')]);
      expect(await store.clear()).toBe(1);
      expect([await store.counter('a'), await store.counter('b')]).toEqual([undefined, undefined]);
      expect(await other.counter('a')).toMatchObject({ count: 1 });
    });

    it('clear takes a counter along that is over but remembers a block', async () => {
      const options = { limit: 1, block: { first: '1m', factor: 2 } };
      for (let i = 0; i < 2; i++) await store.increment('key', options);
      await stage.pass(MINUTE);
      expect(await store.clear()).toBe(0);
      await store.increment('key', options);
      expect(await store.increment('key', options)).toMatchObject({ retryAfter: about(MINUTE) });
    });

    it('a count that would leave the safe integers is refused, and stays what it was', async () => {
      const most = Number.MAX_SAFE_INTEGER;
      expect(await store.increment('key', { by: most })).toMatchObject({ count: most });
      expect(await store.counter('key')).toMatchObject({ count: most });
      await expect(store.increment('key')).rejects.toMatchObject({ reply: 'ERR' });
      await expect(store.increment('key')).rejects.toBeInstanceOf(CacheCommandError);
      expect(await store.increment('key', { by: -1 })).toMatchObject({ count: Number.MAX_SAFE_INTEGER - 1 });
      await store.increment('low', { by: Number.MIN_SAFE_INTEGER });
      await expect(store.increment('low', { by: -1 })).rejects.toBeInstanceOf(CacheCommandError);
    });
  });
}
